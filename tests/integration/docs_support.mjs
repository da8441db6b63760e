// What the tests of the documentation share: the pages, their code blocks, their headings and links.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const page = (name) => readFileSync(path.join(ROOT, name), 'utf8');

/** All pages, by their paths from the top. */
export function pages() {
  const list = [];
  const walk = (folder) => {
    for (const entry of readdirSync(path.join(ROOT, folder), { withFileTypes: true })) {
      const name = path.join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!['node_modules', 'build', '.git', 'corpus'].includes(entry.name)) walk(name);
      } else if (name.endsWith('.md')) list.push(name);
    }
  };
  walk('.');
  return list.sort();
}

/** The fenced blocks of a page: { language, mark, text, line }.  mark: what a comment <!-- MARK --> right above the fence says. */
export function blocks(name) {
  const lines = page(name).split('\n');
  const list = [];
  for (let i = 0; i < lines.length; i++) {
    const fence = /^ *(```+)(\S*)/.exec(lines[i]);
    if (!fence) continue;
    const from = i + 1;
    while (++i < lines.length && lines[i].trim() !== fence[1]);
    if (i === lines.length) throw new Error(`${name}:${from}: the block does not end`);
    const mark = /^<!-- (.+) -->$/.exec(lines[from - 2]?.trim() ?? '');
    list.push({ language: fence[2], mark: mark?.[1] ?? '', text: `${lines.slice(from, i).join('\n')}\n`, line: from });
  }
  return list;
}

/** The text of the block of a page that is marked so; there must be exactly one. */
export function marked(name, mark) {
  const list = blocks(name).filter((block) => block.mark === mark);
  if (list.length !== 1) throw new Error(`${name} has ${list.length} blocks marked ${mark}`);
  return list[0].text;
}

/** A page without its code: blocks and `spans` are blanked out, line by line. */
export function prose(name) {
  let fence = '';
  return page(name).split('\n').map((line) => {
    const mark = /^ *(```+)/.exec(line)?.[1];
    if (mark && (!fence || line.trim() === fence)) {
      fence = fence ? '' : mark;
      return '';
    }
    return fence ? '' : line.replace(/(`+)(?!`).*?\1/g, '');
  });
}

/** The anchors that a renderer makes of a page's headings. */
export function anchors(name) {
  const seen = new Map();
  let fence = '';
  const list = [];
  for (const line of page(name).split('\n')) {
    const mark = /^ *(```+)/.exec(line)?.[1];
    if (mark) fence = fence ? '' : mark;
    const heading = fence ? null : /^#{1,6} +(.*?) *#*$/.exec(line);
    if (heading) {
      const words = heading[1].replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
      const slug = words.toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      list.push(count ? `${slug}-${count}` : slug);
    }
    for (const [, id] of line.matchAll(/<a (?:name|id)="([^"]+)"/g)) list.push(id);
  }
  return list;
}

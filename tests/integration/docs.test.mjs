// Goal: nothing in the documentation points to what is not there.  Method: the pages are read: each relative link and anchor is followed, each
// command of umbelctl is looked up in the table of commands, each configuration goes through umbeld --check, translations are
// compared with their originals.  Catches: renamed pages, headings, commands and options; code that was changed in one language only.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { bin, run } from './support.mjs';
import { ROOT, pages, page, blocks, prose, anchors } from './docs_support.mjs';

const all = pages();

test('every relative link and anchor resolves', () => {
  const bad = [];
  let count = 0;
  for (const name of all)
    prose(name).forEach((line, at) => {
      const targets = [...line.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g), ...line.matchAll(/^\[[^\]^]+\]: +(\S+)/g), ...line.matchAll(/ (?:src|href)="([^"]+)"/g)];
      for (const [, target] of targets) {
        if (/^[a-z+]+:/.test(target)) continue;
        count++;
        const [file, anchor] = target.split('#');
        const to = file ? path.join(path.dirname(name), decodeURI(file)) : name;
        if (!existsSync(path.join(ROOT, to))) bad.push(`${name}:${at + 1}: ${target}: no such file`);
        else if (anchor && to.endsWith('.md') && !anchors(to).includes(decodeURI(anchor))) bad.push(`${name}:${at + 1}: ${target}: no such heading`);
      }
    });
  assert.deepEqual(bad, []);
  assert.ok(count > 100, `${count} links were found`);
});

test('every footnote is there, and used', () => {
  for (const name of all) {
    const text = prose(name).join('\n');
    const used = new Set([...text.matchAll(/\[\^([^\]]+)\](?!:)/g)].map((m) => m[1]));
    const made = [...text.matchAll(/^\[\^([^\]]+)\]:/gm)].map((m) => m[1]);
    assert.deepEqual([...used].sort(), [...made].sort(), name);
  }
});

test('every command of umbelctl exists, with these options', () => {
  const table = page('core/admin/admin_commands.def');
  const commands = new Map([...table.matchAll(/^UMBEL_COMMAND\(\w+, *"([^"]+)", *"([^"]*)"/gm)].map((m) => [m[1], m[2]]));
  assert.ok(commands.size > 20);
  const bad = [];
  let count = 0;
  const look = (words, where) => {
    const list = words.replace(/^(?:(?:-s|--runtime-dir) +\S+ +|--json +)*/, '').split(/\s+/);
    if (!/^[a-z]/.test(list[0])) return; // umbelctl alone, --version, COMMAND
    count++;
    const name = [list.slice(0, 2).join(' '), list[0]].find((words) => commands.has(words));
    if (!name) return bad.push(`${where}: umbelctl ${words}`);
    for (const option of list.filter((word) => word.startsWith('--')))
      if (!['--json', '--help', '--runtime-dir'].includes(option) && !commands.get(name).includes(option)) bad.push(`${where}: ${name} has no ${option}`);
  };
  for (const name of all.filter((n) => n.startsWith('README') || n.startsWith('docs/') || n.endsWith('README.md'))) {
    if (name.startsWith('docs/decisions/')) continue; // they say what was thought then
    page(name).split('\n').forEach((line, at) => {
      for (const [, words] of line.matchAll(/`(?:\S*\/)?umbelctl ([^`]+)`/g)) look(words.replace(/[.,;]$/, ''), `${name}:${at + 1}`);
    });
    for (const block of blocks(name).filter((b) => ['', 'sh', 'console'].includes(b.language)))
      block.text.split('\n').forEach((line, at) => {
        const command = /^(?:\$ |sudo )?(?:\S*\/)?umbelctl ([a-z-][^#|>;]*)/.exec(line);
        if (command) look(command[1].trim(), `${name}:${block.line + at + 1}`);
      });
  }
  assert.deepEqual(bad, []);
  assert.ok(count > 60, `${count} commands were found`);
});

/** What a snippet leaves out, so that it can be checked: the upstreams and apps it names. */
function completed(text) {
  const has = (kind, name) => new RegExp(`^ *${kind} +"?${name}"? *\\{`, 'm').test(text);
  const named = (pattern) => [...text.matchAll(pattern)].flatMap((m) => [...m[1].matchAll(/"([^"]+)"/g)].map((n) => n[1]));
  let more = '';
  for (const app of new Set([...named(/^ *apps *= *\{([^}]*)\}/gm), ...named(/^ *(?:anonymous_)?app *= *("[^"]*")/gm), 'shop']))
    if (!has('app', app)) more += `app ${app} { upstreams = { "demo" } keys = { "0123456789abcdef" } }\n`;
  for (const upstream of new Set([...named(/^ *upstreams *= *\{([^}]*)\}/gm), 'demo']))
    if (!has('upstream', upstream)) more += `upstream ${upstream} { base_url = "http://127.0.0.1:1/v1" models = { "demo-1" } }\n`;
  if (!/^ *transport /m.test(text)) more += 'transport check { plugin = openai-api listen = { "127.0.0.1:1" } apps = { "shop" } }\n';
  return text + more;
}

test('configurations: every marked one is good for umbeld --check', async () => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-docs-'));
  const env = { ...process.env, UMBEL_TIM_KEY: 'k', UMBEL_TIM_TOKEN: 't', SHOP_KEY: 'shop-key-0123456789', OPENAI_API_KEY: 'k', UMBEL_DEMO_KEY: 'k', AUTHORIZE_SECRET: 's', OTHER_KEY: 'k' };
  let count = 0;
  try {
    for (const name of all)
      for (const block of blocks(name).filter((b) => /^check: (transport|config)$/.test(b.mark))) {
        count++;
        const file = path.join(dir, `${count}.conf`);
        await writeFile(file, block.mark === 'check: config' ? block.text : completed(block.text), { mode: 0o600 });
        const { code, stderr } = await run(bin('umbeld'), ['--check', '-c', file], { env });
        assert.equal(code, 0, `${name}:${block.line}: ${stderr}`);
      }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  assert.ok(count >= 7, `${count} were found`);
});

test('translations have the code of their originals, and say what they translate', () => {
  const pairs = [['README.zh-CN.md', 'README.md']];
  for (const name of all.filter((n) => n.startsWith('docs/zh/'))) pairs.push([name, name.replace('docs/zh/', 'docs/')]);
  const guides = all.filter((n) => n.startsWith('docs/clients/'));
  for (const guide of guides) assert.ok(pairs.some(([, original]) => original === guide), `${guide} has no translation`);
  for (const [translation, original] of pairs) {
    if (!statSync(path.join(ROOT, original), { throwIfNoEntry: false })) {
      assert.match(page(translation).split('\n').slice(0, 8).join('\n'), /\]\([^)]*\.md/, `${translation}: names no English page`);
      continue;
    }
    const link = path.relative(path.dirname(translation), original);
    assert.ok(page(translation).split('\n').slice(0, 6).join('\n').includes(`](${link})`), `${translation} does not link ${link} in its first lines`);
    const own = blocks(translation).map((b) => ({ mark: b.mark, text: b.text }));
    const theirs = blocks(original).map((b) => ({ mark: b.mark, text: b.text }));
    // A page that sums up may leave blocks out; what it has is the original's.
    const whole = translation === 'README.zh-CN.md' || translation.startsWith('docs/zh/clients/');
    if (whole) assert.deepEqual(own, theirs, `${translation} and ${original} differ in their code`);
    else for (const block of own) assert.ok(theirs.some((b) => b.text === block.text), `${translation}: ${block.text} is not in ${original}`);
  }
});

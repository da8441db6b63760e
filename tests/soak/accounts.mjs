// Is everything back?  Descriptors by kind, memory, and what the daemon says about itself; waited for, never slept for.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

const kind = (link) => link.replace(/^\/proc\/\d+\//, '/proc/PID/').replace(/:\[\d+\]/, '').replace(/^\/memfd:([^ ]*).*/, 'memfd $1').replace(/-(wal|shm|journal)$/, '-$1');

/** How many descriptors of each kind a process has. */
export function descriptors(pid) {
  const counts = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let link;
    try {
      link = kind(readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      continue; /* closed meanwhile */
    }
    counts[link] = (counts[link] ?? 0) + 1;
  }
  return counts;
}

/** Kilobytes that are the process's own. */
export function ownMemory(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return ['Private_Dirty', 'Private_Clean', 'Swap'].reduce((sum, name) => sum + Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0), 0);
}

/** { page: { name: value } } of umbelctl counters. */
export async function counters(stack) {
  const { code, stdout, stderr } = await stack.ctl('counters', '--json');
  if (code !== 0) throw new Error(`umbelctl counters: ${code} ${stderr}`);
  const pages = {};
  for (const row of JSON.parse(stdout)) (pages[row.page] ??= {})[row.name] = row.value;
  return pages;
}

export async function snapshot(stack) {
  const hosts = await stack.list('host list');
  const parts = [{ name: 'core', pid: stack.daemon.pid }, ...hosts.map((h) => ({ name: h.name, pid: h.pid }))];
  const { sessions } = (await counters(stack)).core;
  return Object.fromEntries(parts.map(({ name, pid }) => [name, { pid, fds: descriptors(pid), kb: ownMemory(pid), sessions: name === 'core' ? sessions : 0 }]));
}

const SESSION_KB = 4; /* a conversation's turns stay in memory, for at most 20,000 conversations: here a question and an answer each */

/** Kilobytes that a process has grown by, without what the conversations that came meanwhile may take. */
export const growth = (before, after) => after.kb - before.kb - SESSION_KB * (after.sessions - before.sessions);

const ZERO = { core: ['streams_live', 'journal_streams', 'usage_waiting', 'authorize_waiting'], host: ['clients', 'readers', 'feeds'] };

/** What is not back yet, in words; empty when all is quiet. */
export async function unrest(stack) {
  const pages = await counters(stack), wrong = [];
  for (const [page, values] of Object.entries(pages))
    for (const name of ZERO[page === 'core' ? 'core' : 'host']) if (values[name]) wrong.push(`${page} ${name} = ${values[name]}`);
  const core = pages.core;
  if (core.journal_pages_free !== core.journal_pages) wrong.push(`journal: ${core.journal_pages - core.journal_pages_free} pages in use`);
  for (const u of await stack.list('upstream list')) if (u.active || u.waiting) wrong.push(`upstream ${u.name}: ${u.active} active, ${u.waiting} waiting`);
  const rows = await stack.list('stream list');
  if (rows.length) wrong.push(`stream list has ${rows.length} rows`);
  const left = (await stack.list('client list')).length;
  if (left) wrong.push(`client list has ${left} rows`);
  return wrong;
}

/* Sockets that may stay: the chat service's connections are kept for minutes, by libcurl to it and by it to our webhook, one for each of the calls that
 * were under way at once. */
const KEPT = { im: 32 };

/** Differences of two snapshots' descriptors, in words.  Processes that are not the same compare as well: they were made alike. */
export function descriptorsGrown(before, after) {
  const wrong = [];
  for (const [name, now] of Object.entries(after)) {
    const transport = name.split('.')[0], spare = (what) => (what === 'socket' ? KEPT[transport] ?? 0 : 0);
    const was = before[name]?.fds ?? before[Object.keys(before).find((n) => n.split('.')[0] === transport)]?.fds;
    for (const what of new Set([...Object.keys(now.fds), ...Object.keys(was ?? {})]))
      if (was && (now.fds[what] ?? 0) > (was[what] ?? 0) + spare(what)) wrong.push(`${name}: ${now.fds[what]} of ${what}, were ${was[what] ?? 0}`);
  }
  return wrong;
}

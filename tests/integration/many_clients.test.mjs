// 20,000 connections (2,000 with a sanitizer, or UMBEL_MANY_CLIENTS of them), for each of which there is a client that reads.  Below max_connections everybody has the whole of a shared answer; what is above is closed at
// once and counted, and disturbs nobody; when all have gone nothing of them is left.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack, until, KEY } from './support.mjs';
import { Bmob, H5 } from './clients.mjs';

const MANY = Number(process.env.UMBEL_MANY_CLIENTS ?? (process.env.UMBEL_SANITIZER ? 2000 : 20000));
const here = path.dirname(fileURLToPath(import.meta.url)), sanitized = Boolean(process.env.UMBEL_SANITIZER);

/** Limit of descriptors of a process that this one starts: the hard one. */
const descriptors = Number(/Max open files\s+\d+\s+(\d+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);
/** So many workers that each has room for its share of 1.2 times as many: the kernel deals connections out by hash, not evenly. */
const room = Math.ceil(MANY * 1.2);
const workers = Array.from({ length: 16 }, (_, i) => i + 1).find((n) => n > 1 && room / n + 400 <= descriptors);
const max = workers && Math.ceil(room / workers);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-many-')), program = path.join(folder, 'many_clients');
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

let addresses = 0;

/** Processes with clients: each from an address of its own, so that there are ports for all. */
class Crowd {
  constructor(port, session, most) {
    const count = Math.ceil((most * 1.05) / (descriptors - 100));
    this.parts = Array.from({ length: count }, (_, i) => {
      const child = spawn(program, [String(port), `127.${1 + (process.pid % 250)}.0.${++addresses}`, `/1/ai/${KEY}?session=${session}&watch=1`], { stdio: ['pipe', 'pipe', 'inherit'] });
      const part = { child, lines: [], waiting: [] };
      let text = '';
      child.stdout.on('data', (data) => {
        const all = (text += data).split('\n');
        text = all.pop();
        all.forEach((line) => part.waiting.shift()(JSON.parse(line)));
      });
      part.exited = new Promise((resolve) => child.on('exit', resolve));
      return part;
    });
  }
  more(count) {
    this.parts.forEach(({ child }, i) => child.stdin.write(`more ${Math.floor(count / this.parts.length) + (i < count % this.parts.length)}\n`));
  }
  async tell() {
    const all = await Promise.all(this.parts.map((part) => new Promise((resolve) => {
      part.waiting.push(resolve);
      part.child.stdin.write('tell\n');
    })));
    const sum = { answers: {} };
    for (const one of all)
      for (const [name, value] of Object.entries(one))
        if (name !== 'answers') sum[name] = (sum[name] ?? 0) + value;
        else for (const [kind, count] of Object.entries(value)) sum.answers[kind] = (sum.answers[kind] ?? 0) + count;
    return sum;
  }
  settled(what) {
    return until(what, async () => {
      const now = await this.tell();
      return now.waiting === 0 && now;
    }, { timeout: 80000, every: 50 });
  }
  async leave() {
    this.parts.forEach(({ child }) => child.stdin.end());
    return Promise.all(this.parts.map((part) => part.exited));
  }
  kill() {
    this.parts.forEach(({ child }) => child.kill('SIGKILL'));
  }
}

/** As many_clients.c names an answer: its length and hash as it stands in JSON. */
function kind(number, text) {
  const bytes = Buffer.from(JSON.stringify(text).slice(1, -1));
  let hash = 14695981039346656037n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 1099511628211n) & 0xffffffffffffffffn;
  return `${number}:${bytes.length}:${hash.toString(16).padStart(16, '0')}`;
}

const fds = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

// Goal, method: see above; the places are filled to the last one, a second answer goes to all, then everybody leaves, and all of it once more.
// Catches: a client without its text or with another's, a place too many or too few, a descriptor or memory that is not given back.
test(`${MANY} clients: one answer for all, no place too many, nothing left`, { skip: workers ? false : `a process may have ${descriptors} descriptors here` }, async (t) => {
  execFileSync('cc', ['-D_GNU_SOURCE', '-O2', '-Wall', '-o', program, path.join(here, 'many_clients.c')]);
  const model = 'many:text=ascii:tokens=10:pace=100';
  const stack = await startStack({ transports: { wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0 }, bmob: { plugin: 'ws-bmob', workers, max_connections: max, slow_client_s: 120 } }, log: { level: 'warn' }, model });
  const sum = async (name) => (await stack.counter(name)).filter((row) => row.name === name).reduce((total, row) => total + row.value, 0);
  const pids = (await stack.list('host list')).map((h) => h.pid), all = [stack.daemon.pid, ...pids];
  const fresh = all.map(fds), memory = [];
  let crowd;
  /** One asks, over another transport; expected: how many clients have had how many answers with it. */
  const shared = async (question, expected) => {
    const asker = new H5().connect(stack.ports.wx, `/chat/stream?${new URLSearchParams({ is_wxapp: 0, token: KEY, prompt: question, session: 'crowd' })}`);
    await until('its end', () => asker.done || asker.error, { timeout: 60000 });
    assert.equal(asker.error, null);
    const truth = await stack.mock.text(model, question);
    assert.equal(asker.text, truth);
    const wanted = Object.fromEntries(Object.entries(expected).map(([answers, count]) => [kind(answers, truth), count]));
    const now = await until('everybody to have it', async () => {
      const told = await crowd.tell();
      const had = (one) => Object.entries(told.answers).filter(([name]) => name.startsWith(`${one}:`)).reduce((total, [, count]) => total + count, 0);
      return Object.entries(expected).every(([answers, count]) => had(answers) === count) && told;
    }, { timeout: 60000, every: 50 });
    assert.deepEqual(now.answers, wanted);
    assert.deepEqual([now.bad, now.closed], [0, 0]);
  };
  const nobody = () => until('no client to be left', async () => (await stack.list('host list')).every((h) => h.clients === 0));
  try {
    for (let round = 1; round <= 2; round++) {
      const before = await sum('ws_turned_away');
      crowd = new Crowd(stack.ports.bmob, 'crowd', max * workers);
      crowd.more(MANY);
      let now = await crowd.settled('all to be connected');
      assert.deepEqual([now.open, now.refused, now.failed], [MANY, 0, 0]);
      await shared(`question ${round}`, { 1: MANY });
      /* more by a half than there is room for: no worker is left with a free place */
      const more = Math.ceil((max * workers - MANY) * 1.5) + workers * 40;
      crowd.more(more);
      now = await crowd.settled('the others to be taken or refused');
      assert.deepEqual([now.open, now.refused, now.failed, now.closed], [max * workers, MANY + more - max * workers, 0, 0]);
      assert.equal((await sum('ws_turned_away')) - before, now.refused);
      await shared(`another ${round}`, { 2: MANY, 1: max * workers - MANY });
      memory.push(all.map(resident));
      assert.deepEqual((await crowd.leave()).filter(Boolean), []);
      crowd = null;
      await nobody();
      await until('no descriptor of theirs', () => all.every((pid, i) => fds(pid) <= fresh[i] + 2)); // connections to the service are kept
      memory.push(all.map(resident));
      const late = Bmob.asks(stack, 'late', 'late');
      await until('an answer for a new client', () => late.done || late.error);
      assert.equal(late.text, await stack.mock.text(model, 'late'));
      late.ws.close();
      await nobody();
    }
    /* what the allocator keeps serves the next ones: the same once more takes nothing more */
    const [full, empty, fullAgain, emptyAgain] = memory;
    for (const [i, pid] of sanitized ? [] : all.entries()) {
      assert.ok(fullAgain[i] <= full[i] + 5 && emptyAgain[i] <= empty[i] + 5, `process ${pid}: ${memory.map((m) => m[i])} MiB`);
      assert.ok(full[i] - 40 <= (max * 12) / 1024, `process ${pid}: ${full[i]} MiB for ${max} clients`);
    }
    t.diagnostic(`MiB of umbeld and its hosts, full and empty, twice: ${memory.map((m) => m.map((x) => x.toFixed(0)).join(' ')).join(' | ')}`);
  } finally {
    crowd?.kill();
    await stack.stop();
  }
});

// Too much of everything: questions, connections, text, a ring that laps its readers, no descriptors, no disk, a clock that jumps, a service
// that is slow for all.  Each has a defined answer, a counter, and is over by itself when its cause is: docs/overload.md is this file in words.
import { test, describe } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack, until, KEY } from './support.mjs';
import { PROTOCOLS, Bmob, Api } from '../soak/strict.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const isRoot = process.getuid() === 0, sanitized = Boolean(process.env.UMBEL_SANITIZER);
const transports = { bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0 }, cgws: { plugin: 'ws-chatgpt' }, api: { plugin: 'openai-api' } };
const bmobOnly = { bmob: { plugin: 'ws-bmob' } };

const target = (stack) => ({ ports: stack.ports, key: KEY });
const sum = async (stack, name) => (await stack.counter(name)).filter((row) => row.name === name).reduce((total, row) => total + row.value, 0);
let asked = 0;
const ask = (stack, Protocol, model, session = `s${asked++}`) => Protocol.asks(target(stack), { prompt: 'q', session, model });
const over = (client) => client.take?.end != null;
const leave = (clients) => clients.forEach((c) => c.leave());
const hostOf = async (stack, transport) => (await stack.list('host list')).find((h) => h.transport === transport);

/** An ordinary question is answered, whole: at once or, after trouble, as soon as it may be. */
async function answered(stack, { Protocol = Bmob, model = 'well:text=mixed:tokens=8:pace=1', retry = false } = {}) {
  const truth = await stack.mock.text(model, 'q');
  await until('an ordinary answer', async () => {
    const client = ask(stack, Protocol, model);
    while (!over(client) && !client.closed) await client.wait(20000);
    client.leave();
    if (!retry) assert.deepEqual([client.take?.end, client.take?.text], ['clean', truth]);
    return client.take?.end === 'clean' && client.take.text === truth;
  }, { every: 100 });
}

/** Seconds of processor time. */
const cpu = (pid) => fs.readdirSync(`/proc/${pid}/task`).reduce((total, task) => total + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);
const allow = (pid, descriptors) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${descriptors}:`]);
/** Leaves a process so many free descriptor numbers. */
function leaveFree(pid, count) {
  const taken = new Set(fs.readdirSync(`/proc/${pid}/fd`).map(Number));
  let limit = 0;
  for (let free = 0; free < count || taken.has(limit); limit++) free += !taken.has(limit);
  allow(pid, limit);
}

/** Waits until a process that has just started opens and closes nothing for a while: what it still holds would be free a moment later. */
async function atRest(pid) {
  let before = '', same = 0;
  await until('its descriptors to stay', () => {
    const now = fs.readdirSync(`/proc/${pid}/fd`).join();
    same = now === before ? same + 1 : 0;
    before = now;
    return same >= 10;
  });
}

const BUSY = { Bmob: /^Too many requests/, Wxapp: /"code":102/, H5: /"code":102/, Api: /^HTTP 503 .*overloaded/, ChatGpt: /^Too many requests/ };

test('ten times too many questions: eight are answered, the rest told busy, each in its protocol\'s form', async () => {
  const model = 'hold:text=count:tokens=60:pace=60';
  const stack = await startStack({ transports, upstream: { max_concurrent: 4, queue: 4 }, app: { history: 'off' } });
  try {
    const clients = Object.values(PROTOCOLS).flatMap((Protocol) => Array.from({ length: 16 }, () =>
      Protocol.name === 'ChatGpt' ? Protocol.asks(target(stack), { prompt: 'q', session: `s${asked++}`, model: 'gpt-4' }) : ask(stack, Protocol, model)));
    await until('all but eight to be refused', () => clients.filter((c) => c.take?.end === 'error').length >= clients.length - 8);
    const refused = clients.filter((c) => c.take?.end === 'error');
    for (const c of refused) {
      assert.match(c.take.error, BUSY[c.constructor.name], c.constructor.name);
      assert.equal(c.take.text, '');
    }
    assert.equal(refused.length, clients.length - 8);
    assert.equal(await sum(stack, 'streams_busy'), refused.length);
    const [upstream] = await stack.list('upstream list');
    assert.ok(upstream.active <= 4 && upstream.waiting <= 4);
    await until('the eight to end', () => clients.every(over));
    for (const c of clients.filter((c) => !refused.includes(c))) {
      assert.deepEqual(c.take.bad, []);
      assert.equal(c.take.end, 'clean', c.take.error);
    }
    leave(clients);
    for (const Protocol of [PROTOCOLS.Bmob, PROTOCOLS.Wxapp, PROTOCOLS.H5, PROTOCOLS.Api]) await answered(stack, { Protocol });
  } finally {
    await stack.stop();
  }
});

test('one transport may not take all places: max_questions', async () => {
  const model = 'hold:text=count:tokens=60:pace=60';
  const stack = await startStack({ transports: { ...transports, bmob: { plugin: 'ws-bmob', max_questions: 5 } }, app: { history: 'on' } });
  try {
    const clients = Array.from({ length: 12 }, () => ask(stack, Bmob, model));
    await until('seven to be refused', () => clients.filter((c) => c.take?.end === 'error').length >= 7);
    assert.equal(await sum(stack, 'questions_full'), 7);
    await answered(stack, { Protocol: Api });
    await until('the five to end', () => clients.every(over));
    const truth = await stack.mock.text(model, 'q');
    assert.equal(clients.filter((c) => c.take.end === 'clean' && c.take.text === truth).length, 5);
    leave(clients);
    for (let i = 0; i < 10; i++) await answered(stack); /* a place that is not given back would be missed */
    const again = Array.from({ length: 5 }, () => ask(stack, Bmob, model));
    await until('five at once again', () => again.every((c) => c.take?.text || over(c)));
    assert.ok(again.every((c) => c.take.end !== 'error'));
    leave(again);
  } finally {
    await stack.stop();
  }
});

/** Connections that only connect; closed ones are counted. */
function crowd(port, count) {
  const them = { sockets: [], closed: 0, end: () => them.sockets.forEach((s) => s.destroy()) };
  for (let i = 0; i < count; i++) {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {}).on('data', () => {}).on('close', () => them.closed++);
    them.sockets.push(socket);
  }
  return them;
}

test('2,000 connections where 100 may be: the others are closed at once, and places that become free are taken again', async () => {
  const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', max_connections: 100 }, wx: { plugin: 'http-chunked-wxapp', max_connections: 100 } } });
  try {
    for (const [name, counter, Protocol] of [['bmob', 'ws_turned_away', Bmob], ['wx', 'http_turned_away', PROTOCOLS.H5]]) {
      const them = crowd(stack.ports[name], 2000);
      await until('all but 100 to be closed', () => them.closed >= 1900);
      assert.equal(them.closed, 1900);
      assert.equal(await sum(stack, counter), 1900);
      them.end();
      await answered(stack, { Protocol, retry: true });
    }
  } finally {
    await stack.stop();
  }
});

test('connect_rate: more connections in a second than one address may have', async () => {
  const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', connect_rate: 20 } } });
  try {
    const began = Date.now(), them = crowd(stack.ports.bmob, 300);
    await until('most to be closed', async () => (await sum(stack, 'ws_turned_away')) + (await sum(stack, 'ws_accepted')) >= 300);
    const seconds = Math.ceil((Date.now() - began) / 1000) + 1;
    assert.ok((await sum(stack, 'ws_accepted')) <= 20 * seconds);
    assert.ok((await sum(stack, 'ws_turned_away')) >= 300 - 20 * seconds);
    them.end();
    await answered(stack, { retry: true });
  } finally {
    await stack.stop();
  }
});

test('a full journal: new questions are refused, answers that find no room end honestly, later there is room again', async () => {
  const model = 'long:text=ascii:bytes=1000:tokens=30:pace=20';
  const stack = await startStack({ transports: bmobOnly, core: { journal_mb: 1, linger_s: 300 } });
  try {
    const truth = await stack.mock.text(model, 'q');
    const clients = Array.from({ length: 400 }, () => ask(stack, Bmob, model));
    await until('all to have an end', () => clients.every(over), { timeout: 90000 });
    for (const { take } of clients) {
      assert.deepEqual(take.bad, []);
      assert.ok(take.end === 'clean' ? take.text === truth : truth.startsWith(take.text));
    }
    /* who had not read its answer when the room was needed is told a failure, and counted */
    const late = clients.filter((c) => c.take.end === 'error' && !/^Too many requests/.test(c.take.error));
    assert.ok(late.length <= (await sum(stack, 'stale')), late[0]?.take.error);
    leave(clients);
    const refused = clients.filter((c) => c.take.end === 'error' && !c.take.text).length, cut = clients.filter((c) => c.take.end === 'error' && c.take.text).length;
    assert.ok(refused > 0 && cut > 0, `${refused} refused, ${cut} cut`);
    assert.ok((await sum(stack, 'streams_refused')) > 0 && (await sum(stack, 'journal_full')) > 0);
    for (let i = 0; i < 3; i++) await answered(stack, { model });
    assert.ok((await sum(stack, 'journal_evicted')) > 0);
  } finally {
    await stack.stop();
  }
});

test('a host that stands still while a tiny ring goes round: it reads on in the journal, nothing is lost', async () => {
  const model = 'lap:text=mixed:tokens=2000:pace=1';
  const stack = await startStack({ transports, core: { ring_slots: 64 } });
  try {
    const { pid } = await hostOf(stack, 'bmob');
    const slow = ask(stack, Bmob, model), truth = await stack.mock.text(model, 'q');
    await until('its beginning', () => slow.take?.text);
    process.kill(pid, 'SIGSTOP');
    try {
      await until('the ring to be lapped', async () => (await stack.list('upstream list')).every((u) => u.active === 0), { timeout: 15000 });
      await answered(stack, { Protocol: Api });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('the rest', () => over(slow));
    assert.equal(slow.take.text, truth);
    assert.ok((await sum(stack, 'lapped')) > 0);
    slow.leave();
  } finally {
    await stack.stop();
  }
});

describe('out of descriptors', { skip: isRoot ? false : 'limits of a running process are root\'s to change' }, () => {
  test('a host: accepting pauses, does not spin, and goes on', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp' } }, core: { host_user: 'root' } });
    try {
      for (const [name, counter, Protocol] of [['bmob', 'ws_accept_pauses', Bmob], ['wx', 'http_accept_pauses', PROTOCOLS.H5]]) {
        const { pid } = await hostOf(stack, name);
        leaveFree(pid, 20);
        const them = crowd(stack.ports[name], 60);
        await until('accepting to pause', async () => (await sum(stack, counter)) >= 2);
        const began = performance.now(), busy = cpu(pid), pauses = await sum(stack, counter);
        await until('some more pauses', async () => (await sum(stack, counter)) >= pauses + 5);
        const wall = (performance.now() - began) / 1000;
        assert.ok(cpu(pid) - busy < Math.max(0.25, wall / 2), `${cpu(pid) - busy} s of processor time in ${wall} s`);
        assert.equal((await hostOf(stack, name)).pid, pid);
        allow(pid, 20000);
        await until('all to be taken', async () => (await sum(stack, counter.replace('accept_pauses', 'accepted'))) >= 60);
        them.end();
        await answered(stack, { Protocol, retry: true });
      }
    } finally {
      await stack.stop();
    }
  });

  test('umbeld: answers fail honestly, the admin socket waits without spinning, both come back', async () => {
    const stack = await startStack({ transports: bmobOnly, log: { level: 'warn' } });
    try {
      const { pid } = stack.daemon;
      await atRest(pid);
      leaveFree(pid, 0);
      const client = ask(stack, Bmob, 'well:text=mixed:tokens=8:pace=1');
      await until('its end', () => over(client));
      assert.deepEqual([client.take.end, client.take.text], ['error', '']);
      client.leave();
      const command = stack.ctl('session', 'list', '--json');
      await until('the admin socket to pause', async () => (await sum(stack, 'admin_pauses')) >= 2);
      const began = performance.now(), busy = cpu(pid), pauses = await sum(stack, 'admin_pauses');
      await until('some more pauses', async () => (await sum(stack, 'admin_pauses')) >= pauses + 10);
      const wall = (performance.now() - began) / 1000;
      assert.ok(cpu(pid) - busy < Math.max(0.25, wall / 2), `${cpu(pid) - busy} s of processor time in ${wall} s`);
      allow(pid, 20000);
      assert.equal((await command).code, 0);
      await answered(stack, { retry: true });
      assert.equal(stack.daemon.lines.split('admin: no connection can be taken').length, 2, 'one line');
    } finally {
      await stack.stop();
    }
  });
});

test('a full disk: answers go on, the history waits, says so once, and catches up', { skip: isRoot ? false : 'a small disk is mounted' }, async () => {
  const disk = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-disk-'));
  let stack;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=755', 'none', disk]);
  } catch {
    fs.rmdirSync(disk);
    return;
  }
  try {
    stack = await startStack({ transports: bmobOnly, stateDir: disk, app: { history_sync_ms: 20 } });
    const model = 'disk:text=ascii:tokens=4:bytes=4000:pace=0', truth = await stack.mock.text(model, 'q');
    const talk = async (session) => {
      const client = ask(stack, Bmob, model, session);
      await until('an answer', () => over(client));
      assert.deepEqual([client.take.end, client.take.text], ['clean', truth]);
      client.leave();
    };
    const shown = async (session) => (await stack.ctl('session', 'show', session, '--json')).stdout.includes(truth.slice(0, 60));
    await talk('before');
    await until('it to be on disk', async () => (await sum(stack, 'history_turns_waiting')) === 0 && (await sum(stack, 'history_turns_written')) >= 2);
    const filler = path.join(disk, 'filler'), fd = fs.openSync(filler, 'w');
    try {
      for (;;) fs.writeSync(fd, Buffer.alloc(4096));
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
    fs.closeSync(fd);
    let n = 0;
    await until('the history to notice', async () => (await talk(`full-${n++}`), (await sum(stack, 'history_errors')) > 0));
    const errors = await sum(stack, 'history_errors');
    for (const end = n + 5; n < end; ) await talk(`full-${n++}`);
    await until('more tries', async () => (await sum(stack, 'history_errors')) > errors + 1);
    assert.ok((await sum(stack, 'history_turns_waiting')) > 0);
    assert.equal(stack.daemon.lines.split('\n').filter((line) => /error .*history: /.test(line)).length, 1, stack.daemon.lines);
    fs.rmSync(filler);
    await until('it to have caught up', async () => (await sum(stack, 'history_turns_waiting')) === 0);
    assert.equal(await sum(stack, 'history_turns_dropped'), 0);
    assert.equal(await sum(stack, 'history_state'), 1);
    assert.ok(await shown(`full-${n - 1}`));
  } finally {
    await stack?.stop();
    execFileSync('umount', ['-l', disk]);
    fs.rmdirSync(disk);
  }
});

test('the wall clock jumps: running answers do not notice, days begin and end as they should', { skip: sanitized ? 'a sanitizer wants to be loaded first' : false }, async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-clock-')), shim = path.join(folder, 'wall_clock.so'), file = path.join(folder, 'moved');
  const move = (seconds) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT); /* in place: who has mapped it never finds it empty */
    fs.writeSync(fd, bytes, 0, 8, 0);
    fs.closeSync(fd);
  };
  const DAY = 86400, toNoon = DAY / 2 - (Math.floor(Date.now() / 1000) % DAY); /* a test that runs over midnight would see two days */
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, path.join(here, 'wall_clock.c'), '-ldl']);
  move(toNoon);
  const stack = await startStack({ transports: bmobOnly, env: { LD_PRELOAD: shim, WALL_CLOCK_FILE: file }, app: { limits: { tokens_per_day: 60 } }, apps: { other: { keys: ['another-key-0123456'] } } });
  try {
    const spend = async () => {
      const client = ask(stack, Bmob, 'day:text=ascii:tokens=25:pace=0');
      await until('an end', () => over(client));
      client.leave();
      return client.take.end === 'clean';
    };
    await until('the day to be used up', async () => !(await spend()));
    move(toNoon + DAY);
    assert.ok(await spend(), 'a new day');
    await until('that day to be used up', async () => !(await spend()));
    move(toNoon + DAY - DAY / 2 - 60);
    assert.ok(!(await spend()), 'a clock put back by less than a day gives nothing');
    const model = 'over:text=mixed:tokens=150:pace=10', truth = await stack.mock.text(model, 'q');
    const running = Bmob.asks({ ports: stack.ports, key: 'another-key-0123456' }, { prompt: 'q', session: 'jump', model });
    for (const [tokens, years] of [[10, 10], [40, -10], [80, 0]]) {
      await until('some text', () => running.take?.text.length > tokens || over(running));
      move(toNoon + years * 365 * DAY);
    }
    await until('the end', () => over(running));
    assert.deepEqual([running.take.end, running.take.text], ['clean', truth], `${running.take.error} ${stack.daemon.lines}`);
    running.leave();
    assert.equal((await hostOf(stack, 'bmob')).restarts, 0);
  } finally {
    await stack.stop();
    fs.rmSync(folder, { recursive: true });
  }
});

test('a service that is slow for everybody: the queue fills, each waits for its time limit at most, then all is well', async () => {
  const stack = await startStack({ transports: bmobOnly, upstream: { max_concurrent: 10, queue: 10, first_token_timeout_ms: 1000 } });
  try {
    const clients = Array.from({ length: 60 }, () => ask(stack, Bmob, 'slow:tokens=5:first=600000'));
    await until('forty to be refused', () => clients.filter((c) => /^Too many requests/.test(c.take?.error ?? '')).length >= 40);
    await until('the others to run out of time', () => clients.every(over));
    assert.equal(clients.filter((c) => /^Too many requests/.test(c.take.error)).length, 40);
    assert.equal(clients.filter((c) => /^The model service failed/.test(c.take.error)).length, 20);
    leave(clients);
    assert.equal(await sum(stack, 'errors/timeout'), 20);
    await answered(stack);
    await until('the service to be rid of them', async () => (await stack.list('upstream list')).every((u) => u.active === 0));
  } finally {
    await stack.stop();
  }
});

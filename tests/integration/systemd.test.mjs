// The service manager's side, played here: a notify socket (datagrams, by socat's place a small C program), sockets handed over by number,
// a core that is killed or executed anew.
import { test, describe, before, after, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { root } from './upgrade_support.mjs';

const { startStack, until, bin } = await import('./support.mjs');
const { Bmob } = await import('./clients.mjs');

const MODEL = 'sd:text=mixed:tokens=100:pace=20';
const manager = path.join(root, 'manager');
execFileSync('cc', ['-O1', '-Wall', '-o', manager, path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'manager.c')]);

const started = new Set(); // what a failed test leaves would keep its ports, and this file from ending

/** Runs umbeld as systemd would: its words are lines of this process's output; ports are listening sockets from descriptor 3 on. */
function start(stack, { ports = [], watchdog = 0 } = {}) {
  const it = { said: '', errors: '' };
  it.child = spawn(manager, [String(watchdog), ports.join(','), bin('umbeld'), '-c', stack.config, '--runtime-dir', stack.dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  it.child.stdout.on('data', (d) => (it.said += d));
  it.child.stderr.on('data', (d) => (it.errors += d));
  it.exited = new Promise((resolve) => it.child.on('exit', (code, signal) => resolve((it.end = { code, signal }))));
  started.add(it.child);
  it.child.on('exit', () => started.delete(it.child));
  it.pid = async () => Number((await until('its process', () => /^PID (\d+)$/m.exec(it.said)))[1]);
  return it;
}
const readChildren = (pid) => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
const count = (text, word) => text.split('\n').filter((line) => line === word).length;

describe('systemd', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 5000 } }, model: MODEL });
    stack.daemon.kill('SIGTERM');
    await stack.daemon.exited; // the configuration is what is needed
  });
  afterEach(() => {
    for (const child of started) {
      for (const pid of readChildren(child.pid)) process.kill(pid, 'SIGKILL');
      child.kill('SIGKILL');
    }
  });
  after(() => stack?.stop());

  test('READY, STATUS, WATCHDOG, RELOADING, STOPPING; nothing after its end', async () => {
    const it = start(stack, { watchdog: 400000 });
    const pid = await it.pid();
    await until('READY', () => count(it.said, 'READY=1') === 1);
    await until('signs of life', () => count(it.said, 'WATCHDOG=1') >= 3);
    await until('a status', () => /^STATUS=0 answers running, 1 of 1 transport processes serve$/m.test(it.said));
    process.kill(pid, 'SIGHUP');
    await until('RELOADING', () => count(it.said, 'RELOADING=1') === 1);
    assert.match(it.said, /^MONOTONIC_USEC=\d+$/m);
    await until('READY again', () => count(it.said, 'READY=1') === 2);
    process.kill(pid, 'SIGSTOP'); // a loop that does not turn gives no sign of life
    const before = count(it.said, 'WATCHDOG=1');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(count(it.said, 'WATCHDOG=1') <= before + 1);
    process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGTERM');
    await until('STOPPING', () => count(it.said, 'STOPPING=1') === 1);
    assert.deepEqual(await it.exited, { code: 0, signal: null });
  });

  test('socket activation: connections made before the start are served; a kill -9 loses no address', async () => {
    const port = stack.ports.bmob;
    const it = start(stack, { ports: [port] });
    await it.pid(); // the manager listens; umbeld has hardly begun: the kernel holds the connection
    const early = Bmob.asks(stack, 'early');
    await until('its answer', () => early.done || early.error, { timeout: 30000 });
    assert.equal(early.error, null);
    assert.equal(early.text, await stack.mock.text(MODEL, 'early'));
    early.ws.close();
    assert.doesNotMatch(it.errors, /cannot listen|no transport wants/);
    process.kill(await it.pid(), 'SIGKILL');
    const refused = await new Promise((resolve) => net.connect(port, '127.0.0.1').on('connect', function () { this.destroy(); resolve(false); }).on('error', (e) => resolve(e.code)));
    assert.equal(refused, false, 'the manager has the socket');
    it.child.kill('SIGTERM');
    await it.exited;
  });

  test('a socket that nobody wants is told', async () => {
    const spare = await new Promise((resolve) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); }); });
    const it = start(stack, { ports: [spare] });
    await until('a warning', () => /no transport wants: 127\.0\.0\.1 port/.test(it.errors));
    process.kill(await it.pid(), 'SIGTERM');
    assert.equal((await it.exited).code, 0);
  });
});

describe('core upgrade', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
  });
  after(() => stack?.stop());

  // Goal: umbeld is executed anew with its sockets: same process number, nobody refused, begun answers whole.
  // Method: answers and a storm of connections over it.  Catches: closed sockets, another process, answers cut.
  test('same process, begun answers whole, nobody refused', async () => {
    const { pid } = stack.daemon, text = await stack.mock.text(MODEL, 'mid');
    const told = JSON.parse((await stack.ctl('core', 'upgrade', 'check', '--json')).stdout);
    assert.equal(told.ok, true);
    assert.ok(told.lost.length > 0);
    const mid = Bmob.asks(stack, 'mid');
    await until('it to be answered', () => mid.text.length > 5);
    const bad = [];
    let stopped = false, done = 0;
    const one = () => {
      if (stopped) return;
      const socket = net.connect(stack.ports.bmob, '127.0.0.1', () => { socket.end(); done++; }).on('error', (e) => bad.push(e.code)).on('close', () => setTimeout(one, 5));
      socket.resume();
    };
    one();
    const first = (await stack.list('host list', 'hosts'))[0].pid;
    const { code, stdout, stderr } = await stack.ctl('core', 'upgrade', '--wait', '6');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /1 answers running/);
    await until('the end of it', () => mid.done || mid.error);
    assert.equal(mid.error, null);
    assert.equal(mid.text, text);
    const next = Bmob.asks(stack, 'next'); // waits in the kernel
    await until('another process of the transport', async () => { const [h] = await stack.list('host list', 'hosts'); return h?.state === 'running' && h.pid !== first; }, { timeout: 30000 });
    await until('its answer', () => next.done || next.error);
    if (next.error) assert.fail(String(next.error));
    assert.equal(next.text, await stack.mock.text(MODEL, 'next'));
    stopped = true;
    assert.deepEqual(bad, []);
    assert.ok(done > 20);
    assert.equal(stack.daemon.end, undefined, 'it never ended');
    assert.equal(process.kill(pid, 0), true);
    next.ws.close();
  });

  // Goal: executing the new program needs descriptors for the listening sockets; too few are found out while there is a way back.
  // Method: eight sockets, which need sixteen for a moment, and eight free numbers, then fourteen; an answer that runs meanwhile;
  // afterwards room, and the same again.
  // Catches: an upgrade that stops its hosts first and then cannot execute; copies of sockets that a refused one leaves behind.
  test('too few descriptors: refused, nothing has changed; with room again it goes', { skip: process.getuid() === 0 ? false : 'limits of a running process are root\'s to change' }, async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', workers: 8 } }, model: MODEL });
    try {
      const { pid } = stack.daemon, open = () => fs.readdirSync(`/proc/${pid}/fd`).map(Number);
      const pids = async () => (await stack.list('host list', 'hosts')).map((h) => h.pid).sort();
      const allow = (count) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
      const leaveFree = (count) => {
        const taken = new Set(open());
        let limit = 0;
        for (let free = 0; free < count || taken.has(limit); limit++) free += !taken.has(limit);
        allow(limit);
      };
      const before = await pids(), descriptors = open();
      const mid = Bmob.asks(stack, 'mid');
      await until('it to be answered', () => mid.text.length > 5);
      for (const [free, words] of [[8, ['core', 'upgrade', 'check']], [14, ['core', 'upgrade', 'check']], [8, ['core', 'upgrade']], [14, ['core', 'upgrade']]]) {
        leaveFree(free);
        const { code, stderr } = await stack.ctl(...words);
        assert.equal(code, 1, words.join(' '));
        assert.match(stderr, /may have [1-9]\d+ descriptors \(RLIMIT_NOFILE\)/);
        assert.match(stderr, /nothing has changed/);
      }
      assert.deepEqual(await pids(), before);
      await until('the end of it', () => mid.done || mid.error);
      assert.equal(mid.text, await stack.mock.text(MODEL, 'mid'));
      mid.ws.close();
      await until('no descriptor more than before', () => open().length <= descriptors.length + 1); // its connection to the service may be kept
      allow(20000);
      assert.equal((await stack.ctl('core', 'upgrade', 'check')).code, 0);
      await until('no descriptor more than before', () => open().length <= descriptors.length + 1);
      assert.equal((await stack.ctl('core', 'upgrade', '--wait', '3')).code, 0);
      await until('other processes', async () => {
        const hosts = await stack.list('host list', 'hosts').catch(() => []);
        return hosts.length === 8 && hosts.every((h) => h.state === 'running' && !before.includes(h.pid));
      });
      const next = Bmob.asks(stack, 'next');
      await until('its answer', () => next.done || next.error);
      assert.equal(next.text, await stack.mock.text(MODEL, 'next'));
      next.ws.close();
      assert.equal(stack.daemon.end, undefined, 'it never ended');
    } finally {
      await stack.stop();
    }
  });

  test('a file that the new program refuses changes nothing', async () => {
    const good = fs.readFileSync(stack.config);
    fs.writeFileSync(stack.config, 'colour = red\n');
    const [before] = await stack.list('host list', 'hosts');
    const { code, stderr } = await stack.ctl('core', 'upgrade');
    fs.writeFileSync(stack.config, good);
    assert.equal(code, 1);
    assert.match(stderr, /umbel\.conf:1/);
    assert.equal((await stack.list('host list', 'hosts'))[0].pid, before.pid);
    assert.equal((await stack.ctl('core', 'upgrade', 'chekc')).code, 1);
  });
});

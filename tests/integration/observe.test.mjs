// Goal: an operator sees what happens, also when the daemon is stopped or dead: events, the timeline of an answer, rates, live text, top.
// Method: a real daemon and umbelctl; top runs in tmux, which is a terminal that can be asked what it shows.
// Catches: an event that is missing or in the wrong place, a command that needs a daemon that answers, an operator who keeps an answer alive or
// slows it down, a key that acts on another row than the one that was asked about, a terminal that is not given back.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { copyFile, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import os from 'node:os';
import WebSocket from 'ws';
import { startStack, run, bin, until, KEY } from './support.mjs';

const clean = (env) => ({ ...process.env, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8', ...env });

async function ask(stack, content, { session, model } = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}${session ? `?session=${session}` : ''}`, { perMessageDeflate: false });
  const client = { ws, text: '', id: null, done: false };
  await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject));
  ws.on('error', () => {});
  ws.on('message', (data) => {
    const frame = JSON.parse(data);
    client.id = frame.id;
    client.text += frame.choices?.[0].delta.content ?? '';
    client.done ||= frame.choices?.[0].finish_reason !== '';
  });
  ws.send(JSON.stringify({ messages: [{ role: 'user', content }], ...(model ? { model } : {}) }));
  await until('an id', () => client.id);
  return client;
}

const events = async (stack, query, ...more) => {
  const { code, stdout, stderr } = await stack.ctl('log', '--json', ...(query ? ['-q', query] : []), ...more);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
};
const kinds = (list) => list.map((e) => e.kind);

describe('events', () => {
  let stack;
  before(async () => {
    stack = await startStack({
      transports: { bmob: { plugin: 'ws-bmob' } },
      upstreams: { dead: { base_url: 'http://127.0.0.1:1/v1' } },
      apps: { fallback: { upstreams: ['dead', 'demo'], keys: ['fallback-key-0001'] } },
      model: 'mock:tokens=20:pace=5',
    });
  });
  after(() => stack.stop());

  test('one answer, from the question to its last reader', async () => {
    const client = await ask(stack, 'what?');
    await until('the end', () => client.done);
    const all = await until('its deliveries', async () => {
      const list = await events(stack, `stream == ${client.id}`);
      return list.some((e) => e.kind === 'delivered') && list;
    });
    const want = ['asked', 'connected', 'first_byte', 'first_token', 'ended'];
    assert.deepEqual(kinds(all).filter((k) => want.includes(k)), want);
    const ended = all.find((e) => e.kind === 'ended'), delivered = all.find((e) => e.kind === 'delivered');
    assert.deepEqual([ended.app, ended.transport, ended.upstream, ended.verdict, ended.finish, ended.source], ['shop', 'bmob', 'demo', 'complete', 'stop', 'core']);
    assert.equal(ended.bytes, Buffer.byteLength(client.text));
    assert.equal(ended.count, 20);
    assert.ok(ended.ttft_ns > 0 && ended.ttft_ns < ended.duration_ns);
    assert.deepEqual([delivered.host, delivered.source, delivered.readers, delivered.verdict], ['bmob.0', 'bmob.0', 1, 'complete']);
    assert.ok(delivered.lag_ns > 0 && delivered.lag_ns <= delivered.lag_max_ns);
    assert.equal(ended.lag_ns, delivered.lag_ns, 'the end is shown with the worst lag of the hosts');
    assert.ok(!JSON.stringify(await events(stack)).includes('what?'), 'no text of a conversation');

    const trace = await stack.ctl('trace', client.id.slice(0, 20), '--json');
    const doc = JSON.parse(trace.stdout);
    assert.deepEqual([doc.stream, doc.running, doc.whole], [client.id, false, true]);
    assert.deepEqual([doc.transports[0].transport, doc.transports[0].readers, doc.hosts[0].host], ['bmob', 1, 'bmob.0']);
    const at = doc.events.map((e) => e.at_ns);
    assert.deepEqual(at, [...at].sort((a, b) => a - b));
    const text = await stack.ctl('trace', client.id);
    assert.match(text.stdout, /\|\*.*\| asked/);
    assert.match(text.stdout, /first_token/);
    client.ws.terminate();
  });

  test('the expression chooses', async () => {
    assert.equal((await events(stack, 'app == nobody')).length, 0);
    assert.ok((await events(stack, 'kind == ended and verdict == complete and ttft < 1h and transport ~ "^bm"')).length >= 1);
    assert.equal((await events(stack, 'kind == ended and not verdict')).length, 0);
    assert.ok((await events(stack, 'kind ~ ^host_')).length >= 2);
    const wrong = await stack.ctl('log', '-q', 'ttft > 2');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /column 8 .*200ms or 2s/);
    const none = await stack.ctl('trace', 'chatcmpl-00000000000000000000000000000000');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /umbelctl log/);
    assert.match((await stack.ctl('log', 'fields')).stdout, /ttft +duration/);
  });

  test('another upstream is asked; its breaker opens', async () => {
    for (let i = 0; i < 12; i++) {
      const { code, stdout } = await stack.ctl('chat', 'q', '--app', 'fallback');
      assert.equal(code, 0, stdout);
    }
    const list = await events(stack, 'app == fallback');
    const failover = list.find((e) => e.kind === 'failover');
    assert.deepEqual([failover.upstream, failover.tries], ['dead', 1]);
    assert.ok(list.some((e) => e.kind === 'breaker_open' && e.upstream === 'dead'));
    assert.equal(list.filter((e) => e.kind === 'ended' && e.upstream === 'demo').length, 12);
  });

  test('a flood of refusals is counted, not listed', async () => {
    const total = 150;
    const refused = async () => {
      const list = await events(stack, 'kind == refused');
      return { listed: list.length, all: list.reduce((sum, e) => sum + 1 + (e.count ?? 0), 0), list };
    };
    const knock = () =>
      new Promise((resolve) => {
        const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/ffffffffffffffff`, { perMessageDeflate: false });
        ws.on('open', () => ws.send(JSON.stringify({ messages: [{ role: 'user', content: 'q' }] })));
        ws.on('message', () => ws.close()).on('error', () => {}).on('close', resolve);
      });
    const begin = Date.now();
    await Promise.all(Array.from({ length: total }, knock));
    const seconds = Math.ceil((Date.now() - begin) / 1000) + 1;
    let extra = 0;
    const sum = await until('all to be counted', async () => {
      await knock();
      extra++;
      const now = await refused();
      return now.all === total + extra && now;
    }, { every: 400 });
    assert.ok(sum.listed <= 20 * seconds + extra, `${sum.listed} listed in ${seconds} s`);
    assert.deepEqual([sum.list[0].reason, sum.list[0].error, sum.list[0].transport], ['credential', 'auth', 'bmob']);
  });

  test('a host that dies is told with its reason; --follow sees it', async () => {
    const follow = spawn(bin('umbelctl'), ['-s', stack.dir, 'log', '-f', '--json', '-q', 'kind ~ ^host_']);
    let lines = '';
    follow.stdout.on('data', (data) => (lines += data));
    await until('what was before', () => lines.includes('host_ready'));
    const [host] = await stack.list('host list', 'hosts');
    process.kill(host.pid, 'SIGKILL');
    await until('its death and its return', () => {
      const seen = lines.trim().split('\n').map((line) => JSON.parse(line));
      const died = seen.findIndex((e) => e.kind === 'host_died');
      return died >= 0 && seen[died].reason && seen.slice(died).some((e) => e.kind === 'host_ready');
    });
    follow.kill();
  });

  test('stopped, then dead, then started again: events stay', async () => {
    const before_ = (await events(stack, 'kind == asked')).length;
    process.kill(stack.daemon.pid, 'SIGSTOP');
    try {
      assert.equal((await events(stack, 'kind == asked')).length, before_);
      const once = await until('the daemon to look stuck', async () => {
        const { code, stdout } = await stack.ctl('top', '--once', '--json');
        assert.equal(code, 0);
        const doc = JSON.parse(stdout);
        return doc.stuck && doc;
      });
      assert.ok(once.silent_s > 5 && once.rows.length > 0 && once.totals.answers > 0);
      const stat = JSON.parse((await stack.ctl('stat', '--json')).stdout);
      assert.deepEqual([stat.stuck, stat.since_start, stat.answers], [true, true, once.totals.answers]);
    } finally {
      process.kill(stack.daemon.pid, 'SIGCONT');
    }
    stack.daemon.kill('SIGKILL');
    await stack.daemon.exited;
    const dead = await stack.ctl('log', '-q', 'kind == asked');
    assert.equal(dead.code, 0);
    assert.match(dead.stderr, /not running/);
    assert.equal(dead.stdout.trim().split('\n').length, before_);
    assert.equal((await stack.ctl('top', '--once')).code, 3);
    assert.equal((await stack.ctl('stat')).code, 3);
    await stack.boot();
    assert.equal((await events(stack, 'kind == asked')).length, before_);
    assert.equal((await events(stack, 'kind == started')).length, 2);
  });

  test('whatever the files hold, umbelctl survives it', async () => {
    const file = path.join(stack.dir, 'stats/events');
    await copyFile(file, `${file}.copy`); // the daemon keeps its own: nobody else may cut what it has mapped
    await rename(`${file}.copy`, file);
    const { size } = await (await open(file)).stat();
    for (let i = 0; i < 40; i++) {
      const handle = await open(file, 'r+');
      for (let k = 0; k < 8; k++) {
        const at = i < 8 ? i * 8 : Math.floor(Math.random() * (size / 8)) * 8;
        await handle.write(Buffer.from(Array.from({ length: 8 }, () => Math.floor(Math.random() * 256))), 0, 8, at);
      }
      if (i === 39) await handle.truncate(1000);
      await handle.close();
      for (const args of [['log'], ['log', '--json'], ['trace', 'chatcmpl-']]) {
        const { code, signal, stdout } = await stack.ctl(...args);
        assert.ok(!signal && [0, 1].includes(code), `${args}: ${code} ${signal}`);
        if (args[1] === '--json' && code === 0) JSON.parse(stdout);
      }
    }
  });
});

describe('stream tail', () => {
  let stack;
  before(async () => {
    stack = await startStack({
      transports: { bmob: { plugin: 'ws-bmob' } },
      model: 'slow:text=cjk:tokens=60:pace=20',
      app: { orphan_grace_ms: 50 },
      apps: { big: { model: 'big:text=ascii:tokens=40000:bytes=50:pace=0', keys: ['big-key-00000001'] } },
    });
  });
  after(() => stack.stop());

  test('an answer by its id: live, from a place, after its end', async () => {
    const client = await ask(stack, 'q');
    const whole = await stack.ctl('stream', 'tail', client.id);
    await until('the end', () => client.done);
    assert.equal(whole.code, 0, whole.stderr);
    assert.equal(whole.stdout, client.text + '\n');
    const bytes = Buffer.from(client.text), from = Buffer.byteLength([...client.text].slice(0, 7).join(''));
    const rest = await stack.ctl('streams', 'tail', client.id, '--from', String(from));
    assert.equal(rest.stdout, bytes.subarray(from).toString() + '\n');
    const json = (await stack.ctl('stream', 'tail', client.id, '--json')).stdout.trim().split('\n').map((l) => JSON.parse(l));
    assert.deepEqual([json[0].event, json[0].app, json[0].position], ['open', 'shop', 0]);
    assert.equal(json.filter((l) => l.event === 'text').map((l) => l.text).join(''), client.text);
    assert.deepEqual([json.at(-1).ok, json.at(-1).verdict, json.at(-1).position], [true, 'complete', bytes.length]);
    for (const [args, words] of [[[client.id, '--from', '1'], /inside a character/], [[client.id, '--from', '99999'], /past the end/],
      [['chatcmpl-00000000000000000000000000000000'], /no answer has this id/], [['room', '--from', '3', '--app', 'shop'], /not with a session/], [['room'], /--app/]]) {
      const { code, stderr } = await stack.ctl('stream', 'tail', ...args);
      assert.equal(code, 1, String(args));
      assert.match(stderr, words);
    }
    client.ws.terminate();
  });

  test('all answers of a session, also those that come later', async () => {
    const first = await ask(stack, 'one', { session: 'room' });
    const tail = spawn(bin('umbelctl'), ['-s', stack.dir, 'stream', 'tail', 'room', '--app', 'shop', '--json']);
    let lines = '';
    tail.stdout.on('data', (data) => (lines += data));
    await until('the first', () => lines.includes('"open"'));
    const second = await ask(stack, 'two', { session: 'room' });
    await until('both ends', () => (lines.match(/"closed"/g) ?? []).length === 2);
    const seen = lines.trim().split('\n').map((l) => JSON.parse(l));
    for (const client of [first, second]) {
      await until('its end', () => client.done);
      assert.equal(seen.filter((l) => l.stream === client.id && l.event === 'text').map((l) => l.text).join(''), client.text);
      client.ws.terminate();
    }
    tail.kill();
  });

  test('an operator is no reader: an answer that its clients have left is stopped', async () => {
    const client = await ask(stack, 'q');
    const tail = stack.ctl('stream', 'tail', client.id);
    await until('the operator to read', () => new RegExp(`${client.id}.*an operator reads along`).test(stack.daemon.lines));
    client.ws.terminate();
    const { code, stderr } = await tail;
    assert.equal(code, 0);
    assert.match(stderr, /cancelled/);
    assert.ok((await events(stack, `kind == orphaned and stream == ${client.id}`)).length === 1);
  });

  test('an operator who takes nothing is cut with the place to go on from; nobody waits for him', async () => {
    const chat = stack.ctl('chat', 'q', '--app', 'big', '--json');
    const id = await until('its answer', async () => (await stack.list('stream list', 'streams')).find((s) => s.app === 'big')?.id);
    const lazy = net.connect(path.join(stack.dir, 'admin.sock'));
    lazy.pause();
    lazy.write(JSON.stringify({ command: 'stream tail', arguments: [id] }) + '\n');
    const { stdout } = await chat;
    const text = JSON.parse(stdout).text;
    assert.ok(text.length >= 1 << 20);
    await until('the cut', () => stack.daemon.lines.includes('umbelctl stream tail ends: umbelctl was too slow'));
    let got = '';
    lazy.on('data', (data) => (got += data)).resume();
    await new Promise((resolve) => lazy.on('close', resolve));
    const lines = got.trim().split('\n').map((l) => JSON.parse(l)), last = lines.at(-1);
    assert.equal(last.ok, false);
    assert.match(last.error, /too slow/);
    const from = Number(/--from (\d+)/.exec(last.hint)[1]);
    assert.equal(lines.filter((l) => l.event === 'text').map((l) => l.text).join(''), text.slice(0, from));
    assert.ok(from < text.length);
  });
});

describe('top', { skip: (await run('tmux', ['-V'])).code === 0 ? false : 'tmux is not installed' }, () => {
  let stack, dir, tmux, screen, keys, terminal = 0;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: 'top:text=cjk:tokens=3000:pace=20', app: { on_orphan: 'finish' } });
    dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-tmux-'));
    tmux = (...args) => run('tmux', ['-S', path.join(dir, `s${terminal}`), '-f', '/dev/null', ...args], { env: clean() });
    screen = async (...more) => (await tmux('capture-pane', '-p', ...more)).stdout;
    keys = (...names) => tmux('send-keys', ...names);
  });
  after(async () => {
    await tmux('kill-server');
    await stack.stop();
    await rm(dir, { recursive: true, force: true });
  });
  const start = async (env = '', options = '') => {
    await tmux('kill-server');
    terminal++;
    const command = `stty -g > ${dir}/before; ${env} ${bin('umbelctl')} -s ${stack.dir} top --interval 0.2 ${options}; echo "code $?"; stty -g > ${dir}/after; echo done; cat`;
    const { code, stderr } = await tmux('new-session', '-d', '-x', '120', '-y', '24', command);
    assert.equal(code, 0, stderr);
  };
  const shows = (words) => until(`the screen to show ${words}`, async () => words.test(await screen()));
  const restored = async () => {
    await shows(/done/);
    assert.equal(await readFile(`${dir}/before`, 'utf8'), await readFile(`${dir}/after`, 'utf8'));
    assert.equal((await tmux('display', '-p', '#{alternate_on}#{cursor_flag}')).stdout.trim(), '01');
  };

  test('views, details, filter, help, resize, the end', async () => {
    const client = await ask(stack, 'q', { session: 'wohnzimmer' });
    await start();
    await shows(new RegExp(`${client.id}.*streaming.*shop`));
    assert.match(await screen(), /answers .*tokens .*running 1/);
    for (const [key, words] of [['2', /PEER.*\n127\.0\.0\.1.*bmob\.0/], ['h', /NAME.*\nbmob\.0 +running/], ['Tab', /BREAKER.*\ndemo +closed/], ['Tab', /chatcmpl/]]) {
      await keys(key);
      await shows(words);
    }
    await keys('Enter');
    await shows(/session {2}wohnzimmer/);
    await keys('Escape');
    await shows(/ID +STATE/);
    await keys('/', 'n', 'i', 'x');
    await shows(/nothing fits/);
    await keys('Escape');
    await shows(/streaming/);
    await keys('?');
    await shows(/text that the slowest reader/);
    await keys('?');
    await tmux('resize-window', '-x', '60', '-y', '14');
    await shows(/^ID +STATE +APP/m);
    const lines = (await screen()).split('\n');
    assert.ok(lines.every((line) => [...line].length <= 60));
    await tmux('resize-window', '-x', '20', '-y', '4');
    await tmux('resize-window', '-x', '120', '-y', '24');
    await shows(/READERS/);
    await keys('p');
    await shows(/PAUSED/);
    await keys('q');
    await shows(/code 0/);
    await restored();
    await stack.ctl('stream', 'cancel', client.id);
    client.ws.terminate();
  });

  test('x acts on the row it asked about, whatever moves meanwhile', async () => {
    const old = await ask(stack, 'old');
    await start();
    await shows(new RegExp(`${old.id}.*streaming`));
    await keys('x');
    await shows(new RegExp(`cancel ${old.id}`));
    const young = await ask(stack, 'young'); /* it comes above the old one */
    await shows(new RegExp(`${young.id}.*streaming`));
    await keys('y');
    await shows(new RegExp(`${old.id}: cancelled`));
    const state = async (id) => (await stack.list('stream list', 'streams')).find((s) => s.id === id)?.state;
    assert.equal(await state(old.id), 'cancelled');
    assert.equal(await state(young.id), 'streaming');
    await keys('x');
    await shows(new RegExp(`cancel ${young.id}`));
    await keys('n');
    await shows(/\? help/);
    assert.equal(await state(young.id), 'streaming');
    await keys('3', 'x');
    await shows(/restart host bmob\.0/);
    await keys('y');
    await shows(/bmob\.0: restarts/);
    await keys('q');
    await restored();
    for (const c of [old, young]) c.ws.terminate();
  });

  test('a daemon that is stopped, and one that is gone', async () => {
    await start();
    await shows(/umbeld /);
    process.kill(stack.daemon.pid, 'SIGSTOP');
    try {
      await shows(/STOPPED OR STUCK: data are/);
      await keys('3');
      await shows(/bmob\.0/);
    } finally {
      process.kill(stack.daemon.pid, 'SIGCONT');
    }
    await until('it to be well again', async () => !/STUCK/.test(await screen()));
    stack.daemon.kill('SIGKILL');
    await stack.daemon.exited;
    await shows(/NOT RUNNING/);
    await stack.boot();
    await until('it to be back', async () => !/NOT RUNNING/.test(await screen()));
    await keys('q');
    await restored();
  });

  for (const signal of ['TERM', 'HUP', 'INT'])
    test(`SIG${signal} gives the terminal back`, async () => {
      await start();
      await shows(/umbeld /);
      const { stdout } = await run('pgrep', ['-f', `${stack.dir} top --interval`]);
      const pids = stdout.trim().split('\n');
      for (const pid of pids)
        if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() === 'umbelctl') process.kill(Number(pid), `SIG${signal}`);
      await restored();
    });

  test('colours, and none with NO_COLOR', async () => {
    const client = await ask(stack, 'q');
    await start();
    await shows(/streaming/);
    assert.match(await screen('-e'), /\x1b\[[0-9;]*32m/);
    await start('NO_COLOR=1');
    await shows(/streaming/);
    assert.doesNotMatch(await screen('-e'), /\x1b\[[0-9;]*3[0-7]m/);
    await keys('q');
    client.ws.terminate();
  });

  test('no terminal, no known terminal, wrong words', async () => {
    const piped = await stack.ctl('top');
    assert.deepEqual([piped.code, /--once/.test(piped.stderr)], [2, true]);
    await start('TERM=nosuch');
    await shows(/TERM=nosuch[^]*code 1/);
    for (const args of [['--view', 'rooms'], ['--sort', 'size'], ['--interval', '0']]) assert.equal((await stack.ctl('top', '--once', ...args)).code, 2);
    const { stdout } = await stack.ctl('top', '--once', '--view', 'hosts', '--sort', 'text');
    assert.match(stdout, /NAME +STATE/);
    assert.doesNotMatch(stdout, /\x1b/);
  });
});

// The trunk under load and under violence: watchers, many streams, a killed host, resume, stop, drain.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { startStack, run, bin, until, KEY } from './support.mjs';

/** One Bmob client: collects content per stream id. */
class Client {
  constructor(stack, query = '', key = KEY, options = {}) {
    this.text = new Map(); // id -> text
    this.done = new Map();
    this.frames = [];
    this.ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key}${query}`, { perMessageDeflate: false, ...options });
    this.opened = new Promise((resolve, reject) => {
      this.ws.on('open', resolve);
      this.ws.on('error', reject);
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => this.ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() })));
    this.ws.on('message', (data) => {
      const frame = JSON.parse(data);
      this.frames.push(frame);
      if (!frame.choices) return;
      const { delta, finish_reason } = frame.choices[0];
      this.text.set(frame.id, (this.text.get(frame.id) ?? '') + delta.content);
      if (finish_reason) this.done.set(frame.id, finish_reason);
      this.onframe?.(frame);
    });
  }
  ask(content, more = {}) {
    this.ws.send(JSON.stringify({ messages: [{ role: 'user', content }], ...more }));
  }
  send(object) {
    this.ws.send(JSON.stringify(object));
  }
  async end(id, timeout = 60000) {
    await until(`the end of ${id ?? 'an answer'}`, () => (id ? this.done.has(id) : this.done.size > 0), { timeout });
    return this.text.get(id ?? [...this.done.keys()][0]);
  }
  close() {
    this.ws.terminate();
  }
}

describe('watching and many streams', () => {
  const MODEL = 'count:text=count:tokens=200:pace=5';
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, core: { journal_mb: 64 } });
  });
  after(() => stack?.stop());

  test('1,000 watchers on one stream: not a token lost, doubled or out of order', async () => {
    const watchers = [];
    for (let i = 0; i < 1000; i++) {
      watchers.push(new Client(stack, '?session=crowd&watch=1'));
      if (i % 100 === 99) await Promise.all(watchers.slice(-100).map((w) => w.opened));
    }
    const asker = new Client(stack);
    await asker.opened;
    await until('1,000 watching clients', async () => (await stack.list('host list')) && watchers.every((w) => w.ws.readyState === 1));
    asker.ask('count', { session: 'crowd' });
    const truth = await stack.mock.text(MODEL, 'count');
    assert.equal(await asker.end(), truth);
    const id = [...asker.done.keys()][0];
    for (const watcher of watchers) assert.equal(await watcher.end(id), truth);
    assert.equal((await stack.mock.asked('count')).length, 1, 'the service was called once');
    for (const client of [asker, ...watchers]) client.close();
  });

  test('200 streams at once, each client its own answer', async () => {
    const clients = Array.from({ length: 200 }, () => new Client(stack));
    await Promise.all(clients.map((c) => c.opened));
    clients.forEach((c, i) => c.ask(`question ${i}`));
    const truth = await stack.mock.text(MODEL, 'question 0');
    for (const client of clients) {
      assert.equal(await client.end(), truth);
      assert.equal(client.done.size, 1);
    }
    const ids = new Set(clients.map((c) => [...c.done.keys()][0]));
    assert.equal(ids.size, 200);
    for (const client of clients) client.close();
  });

  test('a late watcher gets the answer so far, then live', async () => {
    const asker = new Client(stack);
    await asker.opened;
    let late;
    asker.onframe = () => {
      if (asker.frames.length === 60) late = new Client(stack, '?session=late&watch=1');
    };
    asker.ask('late', { session: 'late' });
    const truth = await asker.end();
    const id = [...asker.done.keys()][0];
    assert.equal(await late.end(id), truth);
    assert.ok(late.frames.length < asker.frames.length, 'what it missed came merged');
    asker.close();
    late.close();
  });
});

describe('a killed host', () => {
  const MODEL = 'kill:text=mixed:tokens=400:pace=10:seed=7';
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
  });
  after(() => stack?.stop());

  test('kill -9 amid an answer: core and stream go on, a client that comes back has every byte once', async () => {
    const first = new Client(stack);
    await first.opened;
    first.ask('go on');
    await until('some text', () => first.frames.length > 20);
    const id = first.frames[0].id;
    const [host] = await stack.list('host list');
    process.kill(host.pid, 'SIGKILL');
    await first.closed;
    const got = Buffer.byteLength(first.text.get(id));
    const again = await until('the way back', async () => {
      const client = new Client(stack);
      await client.opened;
      return client;
    });
    again.send({ resume: `${id}:${got}` });
    await again.end(id);
    const truth = await stack.mock.text(MODEL, 'go on');
    assert.equal(first.text.get(id) + again.text.get(id), truth);
    const [after] = await until('the new host in the list', async () => {
      const hosts = await stack.list('host list');
      return hosts[0].pid !== host.pid && hosts[0].state === 'running' && hosts;
    });
    assert.equal(after.restarts, 1);
    const { code } = await run('kill', ['-0', String(stack.daemon.pid)]);
    assert.equal(code, 0, 'the core lives');
    again.close();
  });

  test('resume positions: a wrong one and an unknown id are told in the protocol, the socket stays', async () => {
    const client = new Client(stack);
    await client.opened;
    client.ask('x');
    const text = await client.end();
    const id = [...client.done.keys()][0];
    for (const bad of [`${id}:99999999`, `chatcmpl-${'0'.repeat(32)}:0`, 'nonsense', `${id}:x`]) {
      const before = client.frames.length;
      client.send({ resume: bad });
      await until('an answer to a bad resume', () => client.frames.slice(before).some((f) => f.choices?.[0].finish_reason === 'stop'));
      assert.match(client.frames[before].choices[0].delta.content, /^Invalid request: /);
    }
    const half = Buffer.from(text).subarray(0, 10).toString().replaceAll('\ufffd', '');
    const n = Buffer.byteLength(half);
    const again = new Client(stack);
    await again.opened;
    again.send({ resume: `${id}:${n}` });
    assert.equal(half + (await again.end(id)), text);
    client.close();
    again.close();
  });
});

describe('a killed core', () => {
  test('each client hears an honest end in its protocol, the hosts end, the address is free for the next core', async () => {
    const MODEL = 'crash:text=ascii:tokens=2000:pace=10';
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
    try {
      const client = new Client(stack);
      await client.opened;
      client.ask('go on');
      await until('some text', () => client.frames.length > 10);
      const hosts = await stack.list('host list');
      stack.daemon.kill('SIGKILL');
      const text = await client.end();
      assert.match(text, /\nThe model service failed, try again later\.$/);
      const truth = await stack.mock.text(MODEL, 'go on');
      assert.ok(truth.startsWith(text.slice(0, text.lastIndexOf('\n'))), 'what came before is the truth');
      assert.equal((await client.closed).code, 1001);
      await until('the hosts to end', async () => (await Promise.all(hosts.map((h) => run('kill', ['-0', String(h.pid)])))).every((r) => r.code !== 0));
      await stack.boot();
      const again = await until('the new core', async () => {
        const next = new Client(stack);
        await next.opened;
        return next;
      });
      again.ask('once more');
      await until('text from the new core', () => again.frames.length > 2);
      again.close();
    } finally {
      await stack.stop();
    }
  });
});

describe('stopping and leaving', () => {
  const MODEL = 'slow:text=count:tokens=10000:pace=20';
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, app: { orphan_grace_ms: 100 } });
  });
  after(() => stack?.stop());

  test('stop ends it for all, at once, and the service sees the connection close', async () => {
    const asker = new Client(stack);
    const watcher = new Client(stack, '?session=stop&watch=1');
    await Promise.all([asker.opened, watcher.opened]);
    asker.ask('never mind', { session: 'stop' });
    await until('text', () => watcher.frames.length > 5);
    const id = asker.frames[0].id;
    asker.send({ stop: id });
    const text = await asker.end(id);
    assert.equal(await watcher.end(id), text);
    await until('the service to notice', async () => (await stack.mock.asked('slow')).some((r) => r.end === 'client_closed'));
    const stream = (await stack.list('stream list')).find((s) => s.id === id);
    assert.equal(stream.state, 'cancelled');
    asker.close();
    watcher.close();
  });

  test('nobody reads any more: cancelled after the grace time', async () => {
    const asker = new Client(stack);
    await asker.opened;
    asker.ask('bye');
    await until('text', () => asker.frames.length > 2);
    const id = asker.frames[0].id;
    asker.close();
    await until('the service to notice', async () => (await stack.mock.asked('slow')).filter((r) => r.end === 'client_closed').length === 2);
    await until('the cancel', async () => (await stack.list('stream list')).find((s) => s.id === id)?.state === 'cancelled');
  });

  test('umbelctl stream cancel, unknown id, listing while the daemon is stopped', async () => {
    const asker = new Client(stack);
    await asker.opened;
    asker.ask('again');
    await until('text', () => asker.frames.length > 2);
    const id = asker.frames[0].id;
    process.kill(stack.daemon.pid, 'SIGSTOP');
    try {
      const list = await stack.list('stream list');
      assert.ok(list.some((s) => s.id === id));
      assert.ok((await stack.list('client list')).length >= 1);
    } finally {
      process.kill(stack.daemon.pid, 'SIGCONT');
    }
    assert.equal((await stack.ctl('stream', 'cancel', id)).code, 0);
    await asker.end(id);
    assert.equal((await stack.ctl('stream', 'cancel', `chatcmpl-${'1'.repeat(32)}`)).code, 1);
    assert.equal((await stack.ctl('no', 'such')).code, 2);
    assert.equal((await run(bin('umbelctl'), ['-s', '/nonexistent', 'status'])).code, 3);
    asker.close();
  });
});

describe('faults of the service are told honestly', () => {
  let stack;
  before(async () => {
    stack = await startStack({
      transports: { bmob: { plugin: 'ws-bmob' } },
      model: 'fine:tokens=3',
      upstream: { first_token_timeout_ms: 700, idle_timeout_ms: 700, connect_timeout_ms: 2000 },
    });
  });
  after(() => stack?.stop());

  const FAILED = 'The model service failed, try again later.';
  for (const [model, expected] of [
    ['f:status=500', FAILED],
    ['f:status=503', /try again later/],
    ['f:status=429', 'Too many requests, try again later.'],
    ['f:status=401', FAILED],
    ['f:status=200json', FAILED],
    ['f:html=1', FAILED],
    ['f:gzip=1', FAILED],
    ['f:stall=head', FAILED],
    ['f:stall=first', FAILED],
  ])
    test(`before any text: ${model}`, async () => {
      const client = new Client(stack);
      await client.opened;
      client.ask('q', { model });
      const text = await client.end();
      if (expected instanceof RegExp) assert.match(text, expected);
      else assert.equal(text, expected);
      client.close();
    });

  for (const model of ['g:text=ascii:tokens=20:stall=5', 'g:text=ascii:tokens=20:reset=5', 'g:text=ascii:tokens=20:close=5', 'g:text=ascii:tokens=20:endchunk=5', 'g:text=ascii:tokens=20:malformed=5', 'g:text=ascii:tokens=20:errorat=5', 'g:text=ascii:tokens=20:errorat=5:errordone=1'])
    test(`after text: ${model}`, async () => {
      const client = new Client(stack);
      await client.opened;
      client.ask('q', { model });
      const text = await client.end();
      assert.ok(text.endsWith(`\n${FAILED}`), text);
      const whole = await stack.mock.text(model, 'q');
      assert.ok(whole.startsWith(text.slice(0, -FAILED.length - 1)), 'the text so far is the truth');
      client.close();
    });

  for (const model of ['h:done=no', 'h:cut=any:text=emoji', 'h:cut=byte:tokens=5', 'h:eol=crlf', 'h:eol=cr', 'h:comments=2', 'h:space=no:bom=1', 'h:eof=noeol', 'h:http=close', 'h:chunks=any:text=mixed', 'h:role=each', 'h:reasoning=5', 'h:nulls=1', 'h:choices=empty', 'h:usage=choice', 'h:finish=length'])
    test(`quirks that are no faults: ${model}`, async () => {
      const client = new Client(stack);
      await client.opened;
      client.ask('q', { model });
      assert.equal(await client.end(), await stack.mock.text(model, 'q'));
      client.close();
    });
});

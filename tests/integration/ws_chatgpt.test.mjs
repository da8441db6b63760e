// ws-chatgpt against the real daemon: npm ws and node's own WebSocket as clients.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { startStack, until } from './support.mjs';

const MODEL = 'cg:text=mixed:tokens=60:pace=2';
let stack;
before(async () => {
  stack = await startStack({
    transports: {
      cgws: { plugin: 'ws-chatgpt', anonymous_app: 'shop' },
      multi: { plugin: 'ws-chatgpt', anonymous_app: 'shop', max_in_flight: 4, davinci_double_stop: true },
      keyed: { plugin: 'ws-chatgpt' },
    },
    model: MODEL,
    upstream: { models: [MODEL] }, // the names requests say are wishes: the app's model answers
  });
});
after(() => stack?.stop());

class Client {
  constructor(port, path = '/', options = {}) {
    this.raw = [];
    this.frames = [];
    this.ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false, ...options });
    this.opened = new Promise((resolve, reject) => {
      this.ws.on('open', resolve);
      this.ws.on('error', reject);
    });
    this.opened.catch(() => {});
    this.ws.on('message', (data) => {
      this.raw.push(data.toString());
      this.frames.push(JSON.parse(data));
    });
  }
  ask(seq, data) {
    this.ws.send(JSON.stringify({ seq, data }));
  }
  of(seq) {
    return this.frames.filter((f) => f.seq === seq);
  }
  async end(seq) {
    await until(`the terminal of ${seq}`, () => this.of(seq).some((f) => f.data.finish_reason !== null), { timeout: 30000 });
    return this.of(seq);
  }
  text(seq) {
    return this.of(seq).map((f) => f.data.contents).join('');
  }
}
const question = (content) => ({ messages: [{ role: 'user', content }] });

test('byte mode: frames byte exact, one terminal, the right text', async () => {
  const client = new Client(stack.ports.cgws, '/any/path');
  await client.opened;
  client.ask('q-001', question('tea'));
  const frames = await client.end('q-001');
  assert.equal(client.text('q-001'), await stack.mock.text(MODEL, 'tea'));
  assert.equal(frames.filter((f) => f.data.finish_reason !== null).length, 1);
  assert.match(client.raw[0], /^\{"code": 0, "msg": "ok", "seq": "q-001", "data": \{"consume_time": "\d+\.\d\d", "finish_reason": null, "contents": ".*"\}\}$/s);
  assert.match(client.raw.at(-1), /^\{"code": 0, "msg": "ok", "seq": "q-001", "data": \{"consume_time": "\d+\.\d\d", "finish_reason": "stop", "contents": ""\}\}$/);
  client.ws.terminate();
});

test('sentence mode: joined frames equal the answer', async () => {
  const client = new Client(stack.ports.cgws);
  await client.opened;
  client.ask('s', { ...question('tea'), origin_stream: false });
  await client.end('s');
  assert.equal(client.text('s'), await stack.mock.text(MODEL, 'tea'));
  client.ws.terminate();
});

test('errors: texts, codes, seq, and the socket stays open', async () => {
  const client = new Client(stack.ports.cgws);
  await client.opened;
  client.ws.send('ping');
  client.ws.send('{"data": {}}');
  client.ask('m', { ...question('x'), model: 'nope' });
  await until('three errors', () => client.frames.length === 3);
  assert.deepEqual(client.frames.map((f) => [f.code, f.seq]), [[129001, null], [129002, 'seq not find'], [129002, 'm']]);
  assert.equal(client.raw[2], '{"code": 129002, "msg": "param model error", "seq": "m", "data": {"consume_time": "0.00", "finish_reason": "stop", "contents": ""}}');
  client.ask('after', question('x'));
  await client.end('after');
  client.ws.terminate();
});

test('sequential by default: answers of one socket never interleave', async () => {
  const client = new Client(stack.ports.cgws);
  await client.opened;
  for (let i = 0; i < 40; i++) client.ask(`q${i}`, question('x'));
  await client.end('q39');
  const order = client.frames.map((f) => f.seq).filter((seq, i, all) => seq !== all[i - 1]);
  assert.deepEqual(order, Array.from({ length: 40 }, (_, i) => `q${i}`));
  client.ws.terminate();
});

test('max_in_flight interleaves, davinci ends twice', async () => {
  const client = new Client(stack.ports.multi);
  await client.opened;
  for (let i = 0; i < 4; i++) client.ask(`q${i}`, question(`${i}`));
  for (let i = 0; i < 4; i++) {
    await client.end(`q${i}`);
    assert.equal(client.text(`q${i}`), await stack.mock.text(MODEL, `${i}`));
  }
  const turns = client.frames.filter((f, i) => i && f.seq !== client.frames[i - 1].seq).length;
  assert.ok(turns > 4, `they interleave: ${turns} changes`);
  client.ask('d', { query: 'x', model: 'text-davinci-003' });
  await until('two stops', () => client.of('d').filter((f) => f.data.finish_reason === 'stop').length === 2);
  client.ws.terminate();
});

test('session, watch, resume, cancel', async () => {
  const watcher = new Client(stack.ports.cgws);
  const asker = new Client(stack.ports.cgws);
  await Promise.all([watcher.opened, asker.opened]);
  watcher.ask('w', { session: 'room', watch: true });
  asker.ask('a', { ...question('hello'), session: 'room' });
  await asker.end('a');
  await watcher.end('w');
  assert.equal(watcher.text('w'), asker.text('a'));
  const id = asker.of('a')[0].data.id;
  assert.match(id, /^chatcmpl-[0-9a-f]{32}$/);
  assert.equal(watcher.of('w')[0].data.id, id);
  asker.ask('r', { resume: `${id}:0` });
  await asker.end('r');
  assert.equal(asker.text('r'), asker.text('a'));
  asker.ask('r2', { resume: `chatcmpl-${'0'.repeat(32)}:0` });
  assert.equal((await asker.end('r2'))[0].code, 129003);
  asker.ask('r3', { resume: `${id}:999999` });
  assert.equal((await asker.end('r3'))[0].code, 129002);
  asker.ask('long', { ...question('x'), session: 'room' });
  await until('text', () => asker.of('long').length > 1);
  asker.ask('c', { cancel: true });
  const frames = await asker.end('long');
  assert.equal(frames.at(-1).data.finish_reason, 'stop');
  watcher.ws.terminate();
  asker.ws.terminate();
});

test('without anonymous_app a key is wanted', async () => {
  const none = new Client(stack.ports.keyed);
  await assert.rejects(none.opened, /401/);
  const bad = new Client(stack.ports.keyed, '/?token=wrong-key-wrong');
  await bad.opened;
  bad.ask('q', question('x'));
  assert.equal((await bad.end('q'))[0].msg, 'Incorrect API key provided.');
  const good = new Client(stack.ports.keyed, '/', { headers: { Authorization: `Bearer ${stack.key}` } });
  await good.opened;
  good.ask('q', question('x'));
  await good.end('q');
  good.ws.terminate();
  bad.ws.terminate();
});

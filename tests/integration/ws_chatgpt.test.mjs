// ws-chatgpt against the real daemon: npm ws and node's own WebSocket as clients.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { startStack, until } from './support.mjs';

const MODEL = 'cg:text=mixed:tokens=60:pace=2';
const LONG = 'long:text=mixed:tokens=150:pace=10:seed=2';
const LENGTH = 'length:text=mixed:tokens=40:pace=10:seed=3:finish=length';
const FAILS = 'fails:text=mixed:tokens=300:pace=10:seed=4:errorat=40';
const SAID = 'said:text=request:pace=0';
const OTHERS = [LONG, LENGTH, FAILS, SAID];
let stack;
before(async () => {
  stack = await startStack({
    transports: {
      cgws: { plugin: 'ws-chatgpt', anonymous_app: 'shop' },
      multi: { plugin: 'ws-chatgpt', anonymous_app: 'shop', max_in_flight: 4, davinci_double_stop: true, models: ['gpt-3.5-turbo', 'text-davinci-003', ...OTHERS] },
      keyed: { plugin: 'ws-chatgpt' },
    },
    model: MODEL,
    upstream: { models: [MODEL, ...OTHERS] }, // other names that requests say are wishes: the app's model answers
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

/** What a watcher's frames say of each answer: its text, and its ends as "code reason". */
function answers(frames) {
  const all = {};
  for (const { code, data } of frames) {
    const answer = (all[data.id] ??= { text: '', ends: [] });
    answer.text += data.contents;
    if (data.finish_reason !== null) answer.ends.push(`${code} ${data.finish_reason}`);
  }
  return all;
}

// Goal: a watcher of two answers at once gets both, each whole and with its own end, also when one of them ends otherwise than the other.  Catches: what belongs
// to one answer kept for the whole watch: the rest of the other one and its end were lost, or it ended with the reason of the first.
for (const [how, model, end] of [['by length', LENGTH, '0 length'], ['by a failure of the service', FAILS, '129003 stop']])
  test(`two answers at once, the first ends ${how}: a watcher gets both whole`, async () => {
    const watcher = new Client(stack.ports.multi), asker = new Client(stack.ports.multi);
    await Promise.all([watcher.opened, asker.opened]);
    const session = `two ${how}`;
    watcher.ask('w', { session, watch: true });
    asker.ask('long', { ...question('snow'), session, model: LONG });
    asker.ask('short', { ...question('rain'), session, model });
    await Promise.all([asker.end('short'), asker.end('long')]);
    const long = asker.of('long')[0].data.id, short = asker.of('short')[0].data.id;
    // The next answer comes after all that a watch of this socket gets of those before it.
    asker.ask('last', { ...question('fog'), session, model: LENGTH });
    await asker.end('last');
    const last = asker.of('last')[0].data.id;
    await until('the end of the last', () => watcher.frames.some(({ data }) => data.id === last && data.finish_reason !== null));
    assert.deepEqual(answers(watcher.of('w')), {
      [long]: { text: await stack.mock.text(LONG, 'snow'), ends: ['0 stop'] },
      [short]: { text: asker.text('short'), ends: [end] },
      [last]: { text: await stack.mock.text(LENGTH, 'fog'), ends: ['0 length'] },
    });
    const whole = await stack.mock.text(model, 'rain');
    assert.ok(asker.text('short') && whole.startsWith(asker.text('short')));
    const ended = watcher.frames.findIndex(({ data }) => data.id === short && data.finish_reason !== null);
    assert.ok(watcher.frames.slice(0, ended).some(({ data }) => data.id === long) && watcher.frames.slice(ended).some(({ data }) => data.id === long && data.contents), 'they ran at once');
    watcher.ws.terminate();
    asker.ws.terminate();
  });

// Goal: frames that end a failed answer carry its id exactly if the request wants ids.  Catches: clients of the original that get a member they do not know.
test('a failed answer: its last frame has the id only if the others have it', async () => {
  const client = new Client(stack.ports.multi);
  await client.opened;
  client.ask('plain', { ...question('x'), model: FAILS });
  client.ask('own', { ...question('x'), model: FAILS, session: 'fails' });
  await Promise.all([client.end('plain'), client.end('own')]);
  const text = '"code": 129003, "msg": "The model service failed, try again later.", "seq": ';
  const error = (seq) => client.raw.find((frame) => frame.startsWith(`{${text}"${seq}"`));
  assert.equal(error('plain'), `{${text}"plain", "data": {"consume_time": "0.00", "finish_reason": "stop", "contents": ""}}`);
  assert.equal(error('own'), `{${text}"own", "data": {"consume_time": "0.00", "finish_reason": "stop", "contents": "", "id": "${client.of('own')[0].data.id}"}}`);
  client.ws.terminate();
});

test('openai_parameter: two fixed values go to the service, or all that the request says', async () => {
  const client = new Client(stack.ports.multi);
  await client.opened;
  const sent = async (seq, more) => {
    client.ask(seq, { ...question('x'), model: SAID, ...more });
    await client.end(seq);
    const { model, messages, stream, stream_options, ...parameters } = JSON.parse(client.text(seq));
    assert.equal(model, SAID);
    return parameters;
  };
  const own = { max_tokens: 4097, temperature: 0.7, top_p: 0.5, frequency_penalty: 1, presence_penalty: 2, stop: ['End'] };
  const fixed = { temperature: 0, max_tokens: 500 };
  assert.deepEqual(await sent('nothing', {}), fixed);
  assert.deepEqual(await sent('without', own), fixed);
  assert.deepEqual(await sent('true', { ...own, openai_parameter: true }), fixed);
  assert.deepEqual(await sent('false', { ...own, openai_parameter: false }), own);
  assert.deepEqual(await sent('one', { max_tokens: 4097, openai_parameter: false }),
    { max_tokens: 4097, temperature: 0, top_p: 1, frequency_penalty: 0, presence_penalty: 0, stop: ['Human:'] });
  client.ws.terminate();
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

// Before the first token a failure is tried again, at the next upstream or once more at a lone one; after it never.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { startStack, startMock, freePort, until } from './support.mjs';
import { Bmob } from './clients.mjs';

let stack, second;
before(async () => {
  second = await startMock();
  const dead = await freePort();
  stack = await startStack({
    transports: { bmob: { plugin: 'ws-bmob' } },
    model: 'one:tokens=10:pace=1',
    upstreams: { dead: { base_url: `http://127.0.0.1:${dead}/v1`, models: ['*'] }, two: { base_url: `${second.url}/v1`, models: ['*'] } },
    apps: { pair: { upstreams: ['demo', 'two'], keys: ['pair-of-upstreams'] }, brave: { upstreams: ['dead', 'two'], keys: ['first-one-is-dead'] } },
  });
});
after(async () => {
  await stack?.stop();
  await second?.stop();
});

async function ask(model, key) {
  const client = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key ?? stack.key}`, { messages: [{ role: 'user', content: 'q' }], model });
  await until('the end', () => client.done);
  client.leave();
  return client.text;
}
const FAILED = 'The model service failed, try again later.';

test('a lone upstream is asked once more, and the client does not notice', async () => {
  const model = 'again:status=503:times=1:tokens=5';
  assert.equal(await ask(model), await stack.mock.text(model, 'q'));
  assert.equal((await stack.mock.asked('again')).length, 2);
});

test('not more than once more', async () => {
  const model = 'never:status=503:tokens=5';
  assert.notEqual(await ask(model), await stack.mock.text(model, 'q'));
  assert.equal((await stack.mock.asked('never')).length, 2);
});

test('what cannot pass is not tried again', async () => {
  await ask('bad:status=400');
  assert.equal((await stack.mock.asked('bad')).length, 1);
});

test('the next upstream answers when the first refuses', async () => {
  const model = 'both:status=500:times=1:tokens=5'; // each service counts for itself: the second one fails once too
  assert.equal(await ask(model, 'pair-of-upstreams'), await second.text(model, 'q'));
  assert.ok((await stack.mock.asked('both')).length >= 1);
  assert.ok((await second.asked('both')).length >= 1);
});

test('after the first token nothing is tried again: the honest end', async () => {
  const model = 'cut:text=ascii:tokens=20:reset=5';
  const text = await ask(model, 'pair-of-upstreams');
  assert.ok(text.endsWith(`\n${FAILED}`));
  assert.equal((await second.asked('cut')).length, 0);
});

test('a dead first upstream: its breaker opens, questions go straight to the second', async () => {
  const model = 'live:tokens=3';
  for (let i = 0; i < 8; i++) assert.equal(await ask(model, 'first-one-is-dead'), await second.text(model, 'q'));
  assert.match(stack.daemon.lines, /upstream dead failed 5 times in a row/);
  const dead = (await stack.list('upstream list')).find((u) => u.name === 'dead');
  assert.ok(dead.calls < 8, `it was spared: ${dead.calls} calls`);
  assert.equal((await stack.list('stream list')).filter((s) => s.app === 'brave' && s.upstream === 'two').length, 8);
});

const gap = async (name) => {
  const [first, second] = await stack.mock.asked(name);
  return second.time - first.time;
};

test('Retry-After is waited for; one that is too long is not', async () => {
  const model = 'after:status=429:retryafter=2:times=1:tokens=5';
  assert.equal(await ask(model), await stack.mock.text(model, 'q'));
  assert.ok((await gap('after')) >= 2, `${await gap('after')} s`);
  await ask('long-after:status=429:retryafter=6:times=1:tokens=5');
  assert.equal((await stack.mock.asked('long-after')).length, 1);
});

test('the pause before a second attempt differs from one to the next', async () => {
  const names = Array.from({ length: 8 }, (_, i) => `jitter${i}`);
  await Promise.all(names.map((name) => ask(`${name}:status=500:times=1:tokens=1`)));
  const gaps = await Promise.all(names.map(gap));
  assert.ok(gaps.every((g) => g >= 0.199), gaps.join(' '));
  assert.ok(new Set(gaps.map((g) => Math.round(g * 1000))).size >= 4, `all alike: ${gaps.join(' ')}`);
});

test('which refusals may pass: 429 and those from 500 on, not the other 400s', async () => {
  for (const [status, asked] of [[400, 1], [401, 1], [403, 1], [404, 1], [422, 1], [429, 2], [500, 2], [502, 2], [503, 2], [529, 2]]) {
    await ask(`class${status}:status=${status}:retryafter=0:times=1:tokens=1`);
    assert.equal((await stack.mock.asked(`class${status}`)).length, asked, String(status));
  }
});

test('a service that comes back: when its time is over one question finds it, and it is asked again', async () => {
  const port = await freePort();
  const own = await startStack({
    mock: stack.mock, transports: { bmob: { plugin: 'ws-bmob' } }, app: { upstreams: ['gone', 'demo'] },
    upstreams: { gone: { base_url: `http://127.0.0.1:${port}/v1`, models: ['*'] } },
  });
  let back;
  const once = async () => {
    const client = new Bmob().connect(`ws://127.0.0.1:${own.ports.bmob}/1/ai/${own.key}`, { messages: [{ role: 'user', content: 'q' }], model: 'back:tokens=2:pace=0' });
    await until('the end', () => client.done);
    client.leave();
  };
  const calls = async () => (await own.list('upstream list')).find((u) => u.name === 'gone').calls;
  try {
    await until('the breaker to open', async () => (await once(), /upstream gone failed 5 times in a row/.test(own.daemon.lines)));
    back = await startMock(['--listen', `127.0.0.1:${port}`]);
    await until('a question to find it', async () => (await once(), (await back.asked('back')).length >= 1));
    const before = (await back.asked('back')).length;
    for (let i = 0; i < 3; i++) await once();
    assert.equal((await back.asked('back')).length, before + 3);
    assert.ok((await calls()) >= 5);
  } finally {
    await own.stop();
    await back?.stop();
  }
});

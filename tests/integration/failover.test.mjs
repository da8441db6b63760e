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

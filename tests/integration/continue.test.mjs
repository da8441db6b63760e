// Goal: an answer whose service fails in its middle is gone on with by the next one, and no reader on any protocol notices; where that is not
//   possible each is told the honest end.
// Method: one mock service spoken to in two dialects; its fault strikes the first request only, and it continues what it is shown
//   (`continue=1`).  Readers on five protocols; the text is compared with what the service says when nothing fails.
// Catches: text lost, doubled or torn at the joint, a prefill that the next service refuses, positions that jump, a loop of continuations, a
//   broken answer told as a whole one.
import { test, describe, before, beforeEach, after } from 'node:test';
import assert from 'node:assert/strict';
import { startStack, startMock, until } from './support.mjs';
import { Bmob, ChatGpt, Wxapp, H5, Api, transports } from './clients.mjs';

const FAILED = 'The model service failed, try again later.';
const paths = { openai: '/v1', anthropic: '/v1', ollama: '', gemini: '/v1beta', dashscope: '/api/v1' };
const faults = ['reset=20', 'close=20', 'endchunk=20', 'errorat=20', 'errorat=20:errordone=1', 'malformed=30', 'stall=20'];
const next = (mock, dialect) => ({ dialect, base_url: mock.url + paths[dialect], models: ['*'], idle_timeout_ms: 1000 });

let mock;
before(async () => (mock = await startMock()));
after(() => mock?.stop());

const counter = async (stack) => (await stack.counter('streams_continued'))[0].value;
const streamOf = async (stack, id) => (await stack.list('stream list')).find((s) => s.id === id);

/** One question over ws-bmob, to its end. */
async function ask(stack, model, { key, session } = {}) {
  const client = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key ?? stack.key}`, { messages: [{ role: 'user', content: 'q' }], model, session });
  await until('the end', () => client.done);
  client.leave();
  return client;
}

/** A good answer, so that the breaker of the one asked first stays closed: five failures in a row would open it. */
const calm = async (stack, key) => assert.equal((await ask(stack, 'calm:text=count:tokens=2:pace=0', { key })).text, 't0 t1');

/** One question, read along on every protocol: each has the exact text. */
async function everywhere(stack, model, session) {
  const watchers = [Bmob, ChatGpt, Wxapp, H5, Api].map((Protocol) => Protocol.watches(stack, session));
  await Promise.all(watchers.map((w) => w.opened));
  await until('the watchers to be known', async () => (await stack.list('client list')).length >= watchers.length);
  const asker = await ask(stack, model, { session });
  await until('all to end', () => watchers.every((w) => w.done || w.error));
  const text = await mock.text(model, 'q');
  for (const reader of [asker, ...watchers]) {
    assert.equal(reader.error, null);
    assert.equal(reader.text, text, reader.constructor.name);
    reader.leave();
  }
  await until('the watchers to be gone', async () => (await stack.list('client list')).length === 0);
  return asker;
}

describe('each failure in the middle', () => {
  let stack;
  before(async () => {
    stack = await startStack({
      mock, transports, upstream: { idle_timeout_ms: 1000 },
      upstreams: { next: next(mock, 'openai') }, app: { upstreams: ['demo', 'next'], continue_on_failure: 'on', history: 'off' },
    });
  });
  after(() => stack?.stop());
  beforeEach(() => calm(stack));

  for (const [i, fault] of faults.entries())
    test(`five protocols notice nothing of ${fault}`, async () => {
      const before = await counter(stack);
      const answer = await everywhere(stack, `f${i}:text=mixed:tokens=60:pace=1:continue=1:${fault}:times=1`, `s${i}`);
      assert.equal(await counter(stack), before + 1);
      const row = await streamOf(stack, answer.id);
      assert.deepEqual([row.state, row.upstream], ['complete', 'next']);
      const lines = stack.daemon.lines.split('\n').filter((line) => line.includes(answer.id));
      assert.ok(lines.some((line) => /upstream demo broke off after byte \d+ .*next is asked to continue/.test(line)), lines.join('\n'));
      assert.ok(lines.some((line) => /upstream next goes on with it from byte \d+/.test(line)), lines.join('\n'));
      const words = (await mock.text(`f${i}:text=mixed:tokens=60`, 'q')).slice(0, 40);
      assert.ok(!lines.some((line) => line.includes(words)), 'no text of the conversation in the log');
    });

  test('the end of the text said again is left out', async () => {
    for (const overlap of [30, 100, 600]) {
      const model = `o${overlap}:text=cjk:tokens=200:pace=0:continue=1:overlap=${overlap}:reset=150:times=1`;
      assert.equal((await ask(stack, model)).text, await mock.text(model, 'q'));
    }
  });

  test('who resumes at the joint gets what is missing, once', async () => {
    const model = 'resume:text=emoji:tokens=60:pace=1:continue=1:reset=20:times=1';
    const answer = await ask(stack, model);
    const text = await mock.text(model, 'q'), points = [...text];
    for (const at of [15, 19, 20, 21, 30]) {
      const head = points.slice(0, at).join('');
      const reader = Api.resumes(stack, `${answer.id}:${Buffer.byteLength(head)}`);
      await until('the end', () => reader.done);
      assert.equal(head + reader.text, text);
    }
  });

  test('it fails again and again: a bounded number of continuations, then the honest end', async () => {
    const model = 'again:text=ascii:tokens=60:pace=0:continue=1:endchunk=5';
    const { text, id } = await ask(stack, model);
    assert.equal((await mock.asked('again')).length, 4);
    assert.ok(text.endsWith(`\n${FAILED}`));
    assert.equal(text.slice(0, -FAILED.length - 1), await mock.text('x:text=ascii:tokens=20', 'q'));
    assert.equal((await streamOf(stack, id)).state, 'truncated');
  });

  test('a tool call is not continued', async () => {
    const model = 'tool:text=ascii:tokens=4:tool=1:continue=1:pace=0:reset=6:times=1';
    await ask(stack, model);
    assert.equal((await mock.asked('tool')).length, 1);
    assert.match(stack.daemon.lines, /not continued: it holds a tool call/);
  });

  test('a text over 256 KiB is not continued', async () => {
    const model = 'long:text=ascii:bytes=4096:tokens=100:pace=0:continue=1:reset=80:times=1';
    const { text } = await ask(stack, model);
    assert.ok(text.endsWith(`\n${FAILED}`));
    assert.equal((await mock.asked('long')).length, 1);
    assert.match(stack.daemon.lines, /not continued: its text is too long/);
  });

  test('only thinking so far: asked anew, and the thinking is not told twice', async () => {
    const model = 'think:text=count:tokens=5:reasoning=6:pace=0:reset=4:times=1';
    const { text, id } = await ask(stack, model);
    assert.equal(text, 't0 t1 t2 t3 t4');
    assert.equal((await streamOf(stack, id)).state, 'complete');
  });
});

for (const dialect of Object.keys(paths))
  describe(`the next one speaks ${dialect}`, () => {
    for (const io of ['io_uring', 'epoll'])
      test(`goes on, and back again (${io})`, async () => {
        const stack = await startStack({
          mock, transports: { bmob: { plugin: 'ws-bmob' } }, core: { io }, upstream: { idle_timeout_ms: 1000 }, upstreams: { next: next(mock, dialect) },
          app: { upstreams: ['demo', 'next'], continue_on_failure: 'on', history: 'off', system: 'be kind' },
          apps: { back: { upstreams: ['next', 'demo'], keys: ['the-other-way-round'], continue_on_failure: 'on', history: 'off' } },
        });
        try {
          for (const text of ['mixed', 'demo'])
            for (const [way, key] of [['there', stack.key], ['back', 'the-other-way-round']])
              for (const reset of [7, 8, 9]) {
                await calm(stack, key);
                const model = `d-${dialect}-${io}-${way}-${reset}:text=${text}:tokens=40:pace=0:continue=1:cut=any:reset=${reset}:times=1`;
                const { text: got, id } = await ask(stack, model, { key });
                assert.equal(got, await mock.text(model, 'q'), model);
                assert.equal((await streamOf(stack, id)).upstream, way === 'there' ? 'next' : 'demo');
              }
        } finally {
          await stack.stop();
        }
      });
  });

describe('who is asked', () => {
  test('a lone upstream goes on itself, once', async () => {
    const stack = await startStack({ mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstream: { idle_timeout_ms: 500 }, app: { continue_on_failure: 'on' } });
    try {
      const model = 'lone:text=mixed:tokens=40:pace=0:continue=1:close=9:times=1';
      assert.equal((await ask(stack, model)).text, await mock.text(model, 'q'));
      assert.ok((await ask(stack, 'mute:text=ascii:tokens=40:pace=0:continue=1:stall=9:times=1')).text.endsWith(`\n${FAILED}`));
      assert.equal((await mock.asked('mute')).length, 1, 'one that fell silent is not waited for again');
    } finally {
      await stack.stop();
    }
  });

  test('one that refuses to continue is passed over; if all do, the verdict is that of the break', async () => {
    const locked = await startMock(['--require-key', 'the-right-key']);
    const stack = await startStack({
      mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstreams: { locked: { base_url: `${locked.url}/v1`, models: ['*'], api_key: 'env:WRONG' }, last: next(mock, 'ollama') },
      app: { upstreams: ['demo', 'locked', 'last'], continue_on_failure: 'on' }, apps: { pair: { upstreams: ['demo', 'locked'], keys: ['pair-of-upstreams'], continue_on_failure: 'on' } },
      env: { WRONG: 'the-wrong-key' },
    });
    try {
      const model = 'pass:text=mixed:tokens=40:pace=0:continue=1:close=9:times=1';
      const { text, id } = await ask(stack, model);
      assert.equal(text, await mock.text(model, 'q'));
      assert.equal((await streamOf(stack, id)).upstream, 'last');
      const closed = await ask(stack, 'shut:text=ascii:tokens=40:pace=0:close=9:status=503', { key: 'pair-of-upstreams' });
      assert.ok(closed.text.endsWith(FAILED));
      const broken = await ask(stack, 'both:text=ascii:tokens=40:pace=0:continue=1:endchunk=9', { key: 'pair-of-upstreams' });
      assert.ok(broken.text.endsWith(`\n${FAILED}`));
      assert.equal((await streamOf(stack, broken.id)).state, 'truncated');
      assert.match((await streamOf(stack, broken.id)).error, /stopped in the middle/);
    } finally {
      await stack.stop();
      await locked.stop();
    }
  });

  test('off, as it is by default: nobody', async () => {
    const stack = await startStack({ mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstreams: { next: next(mock, 'openai') }, app: { upstreams: ['demo', 'next'] } });
    try {
      assert.ok((await ask(stack, 'off:text=ascii:tokens=40:pace=0:continue=1:close=9:times=1')).text.endsWith(`\n${FAILED}`));
      assert.equal((await mock.asked('off')).length, 1);
      assert.equal(await counter(stack), 0);
    } finally {
      await stack.stop();
    }
  });
});

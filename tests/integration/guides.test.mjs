// Goal: code that a reader copies out of docs/clients works.  Method: each block with a mark is taken out of the page and executed as it stands, but for the
// published address, against a real daemon, with connections that are cut, and pieces that are cut anywhere.  Catches: guides that were never run, answers that
// lose or double text after a loss, code that needs what phones do not have.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { startStack, until, run, KEY } from './support.mjs';
import { startIm } from './im_support.mjs';
import { Bmob as BmobClient } from './clients.mjs';
import { blocks, marked } from './docs_support.mjs';
import { startRouter } from './guides_router.mjs';
import { makeWx, loadModule } from './wx_shim.mjs';

const require = createRequire(import.meta.url);
console.log = () => {}; // the Bmob SDK talks, and standard output is the test runner's
const MODEL = 'guide:text=mixed:tokens=300:pace=6:seed=3';
const FAILS = 'fails:text=mixed:tokens=300:pace=6:seed=5:errorat=30';
const QUESTION = 'Which tea for rain?';
let stack, router, dir, ran = new Set();

/** A block, with the addresses of this machine. */
function code(guide, name) {
  ran.add(`${guide} ${name}`);
  return router.here(marked(`docs/clients/${guide}.md`, `run: ${name}`));
}
/** Blocks as ES modules beside each other; the last one is imported. */
async function modules(guide, ...names) {
  const folder = await mkdtemp(path.join(dir, 'm-'));
  for (const [as, name] of names.map((n) => (Array.isArray(n) ? n : [n, n]))) await writeFile(path.join(folder, as), code(guide, name));
  const last = names.at(-1);
  return import(pathToFileURL(path.join(folder, Array.isArray(last) ? last[0] : last)).href);
}
const truth = (question = QUESTION) => stack.mock.text(MODEL, question);
let sessions = 0;
const session = () => `guide-${++sessions}`;
const asked = async () => (await stack.mock.asked('guide')).length;
/** Handlers that keep what they hear. */
function listener() {
  const heard = { text: '', texts: 0, ended: false, error: null };
  heard.on = {
    onText: (text) => { heard.text = text; heard.texts++; },
    onDone: (text, reason) => { heard.text = text; heard.reason = reason; heard.ended = true; },
    onError: (error) => { heard.error = error; heard.ended = true; },
  };
  heard.some = (bytes = 1) => until(`${bytes} bytes of text`, () => heard.error || Buffer.byteLength(heard.text) >= bytes);
  heard.end = () => until('the end', () => heard.ended, { timeout: 60000 });
  return heard;
}

before(async () => {
  stack = await startStack({
    transports: {
      bmob: { plugin: 'ws-bmob' },
      wx: { plugin: 'http-chunked-wxapp' },
      short: { plugin: 'http-chunked-wxapp', max_stream_ms: 700 },
      cgws: { plugin: 'ws-chatgpt', max_in_flight: 4 },
      api: { plugin: 'openai-api' },
    },
    model: MODEL,
    upstream: { models: [MODEL, FAILS, 'demo-1'] },
    app: { on_orphan: 'finish' },
  });
  router = await startRouter([['/chat/stream', stack.ports.wx], ['/v1/', stack.ports.api], ['/1/ai', stack.ports.bmob], ['/cgws', stack.ports.cgws]]);
  dir = await mkdtemp(path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/.guides-'));
  // A browser's WebSocket does not throw where nobody listens for errors.
  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.on('error', () => {});
    }
  };
  globalThis.EventSource = EventSource;
});
after(async () => {
  // Programs of the guides that follow a session for ever go to rest here.
  globalThis.fetch = () => new Promise(() => {});
  globalThis.WebSocket = class {};
  await router?.close();
  await stack?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

describe('mini-program', () => {
  const load = (options = {}) => {
    const wx = makeWx({ address: router.here, ...options });
    return { wx, umbel: loadModule(code('mini-program', 'umbel.js'), { wx }) };
  };
  const recuts = {
    'every byte by itself': (bytes) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
    'as they come': (bytes) => [bytes],
  };
  for (const [how, recut] of Object.entries(recuts))
    test(`asks; pieces: ${how}`, async () => {
      const { umbel } = load({ recut });
      const heard = listener();
      umbel.ask({ token: KEY, prompt: QUESTION, ...heard.on });
      await heard.end();
      assert.equal(heard.error, null);
      assert.equal(heard.text, await truth());
      assert.ok(heard.texts > 10, 'it grows');
    });

  test('cut three times, header names in capitals: the whole text once, one question', async () => {
    const { wx, umbel } = load({ cutAfter: [900, 1500, 300], headerName: (name) => name.toUpperCase() });
    const before = await asked();
    const heard = listener();
    umbel.ask({ token: KEY, prompt: QUESTION, session: session(), ...heard.on });
    await heard.end();
    assert.equal(heard.error, null);
    assert.equal(heard.text, await truth());
    assert.equal(await asked(), before + 1);
    assert.ok(wx.requests.length >= 3 && wx.requests.slice(1).every(({ data }) => data.resume && !data.prompt));
  });

  test('an answer longer than max_stream_ms goes on in further requests, without the note', async () => {
    const wx = makeWx({ address: (url) => url.replace('https://ai.example.com', `http://127.0.0.1:${stack.ports.short}`) });
    const umbel = loadModule(marked('docs/clients/mini-program.md', 'run: umbel.js'), { wx });
    const heard = listener();
    umbel.ask({ token: KEY, prompt: QUESTION, ...heard.on });
    await heard.end();
    assert.equal(heard.error, null);
    assert.equal(heard.text, await truth());
    assert.ok(wx.requests.length >= 3, `${wx.requests.length} requests`);
  });

  test('a client without chunk callbacks has it all at the end', async () => {
    const { umbel } = load({ chunked: false });
    const heard = listener();
    umbel.ask({ token: KEY, prompt: QUESTION, ...heard.on });
    await heard.end();
    assert.equal(heard.text, await truth());
  });

  test('nobody there, and a bad token', async () => {
    const { umbel } = load();
    const bad = listener();
    umbel.ask({ token: 'not-a-token', prompt: QUESTION, ...bad.on });
    await bad.end();
    assert.equal(bad.error.code, -1);
    const wx = makeWx({ address: () => 'http://127.0.0.1:1/' });
    const gone = listener();
    loadModule(marked('docs/clients/mini-program.md', 'run: umbel.js'), { wx }).ask({ token: KEY, prompt: QUESTION, ...gone.on });
    await gone.end();
    assert.deepEqual(gone.error, { code: 0, msg: 'no connection' });
  });

  test('a watcher waits, sees what another protocol asks, also after a loss; stop ends it for both', async () => {
    const { wx, umbel } = load({ cutAfter: [700] });
    const name = session();
    const heard = listener();
    umbel.watch({ token: KEY, session: name, ...heard.on });
    await until('the watch', () => wx.requests.length === 1);
    const asker = BmobClient.asks(stack, QUESTION, name);
    await heard.end();
    assert.equal(heard.text, await truth());
    await until('the asker', () => asker.done);
    asker.leave();

    const first = listener(), second = listener();
    const running = umbel.ask({ token: KEY, session: name, prompt: 'Again?', ...first.on });
    umbel.watch({ token: KEY, session: name, ...second.on });
    await second.some(20);
    running.stop();
    await Promise.all([first.end(), second.end()]);
    const all = await truth('Again?');
    assert.ok(first.text.length < all.length && all.startsWith(first.text));
    assert.equal(second.text, first.text);
  });

  test('the page: shows it, counts no frame twice, goes to the login page', async () => {
    const { wx, umbel } = load();
    let page;
    loadModule(code('mini-program', 'chat.js'), { wx, require: () => umbel, Page: (given) => (page = given) });
    let sets = 0;
    page.setData = (data) => { sets++; Object.assign(page.data, data); };
    page.onInput({ detail: { value: QUESTION } });
    page.onAsk();
    await until('the answer', () => !page.data.busy, { timeout: 60000 });
    assert.equal(page.data.answer, await truth());
    assert.ok(sets < 100, `${sets} calls of setData`);
    umbel.ask = ((ask) => (o) => ask({ ...o, token: 'wrong' }))(umbel.ask);
    page.onAsk();
    await until('the login page', () => wx.went.length);
    assert.deepEqual(wx.went, ['/pages/login/login']);
  });

  test('the decoder for raw UTF-8: any two cuts', () => {
    const { utf8Decoder } = loadModule(code('mini-program', 'utf8.js'));
    const text = 'a é 茶 🍵 \ufffd\u07ff\u0800\u{10ffff}', bytes = Buffer.from(text);
    for (let i = 0; i <= bytes.length; i++)
      for (let j = i; j <= bytes.length; j++) {
        const decode = utf8Decoder();
        const pieces = [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)].map((p) => decode(Uint8Array.from(p).buffer));
        assert.equal(pieces.join(''), text, `${i} ${j}`);
      }
  });
});

describe('web', () => {
  test('EventSource, cut in the middle: the whole text once', async () => {
    const before = await asked();
    const heard = listener();
    globalThis.show = heard.on.onText;
    globalThis.failed = heard.on.onError;
    const made = [];
    class Seen extends EventSource { constructor(...given) { super(...given); made.push(this); } }
    globalThis.EventSource = Seen;
    const began = stack.mock && session();
    await import(`data:text/javascript,${encodeURIComponent(code('web', 'eventsource.js').replace('visitor-17', began))}`);
    await heard.some(300);
    router.cut();
    const all = await truth();
    await until('the end', () => heard.text === all && made[0].readyState === 2, { timeout: 60000 });
    assert.equal(await asked(), before + 1);
  });

  test('fetch: asks, goes on after two losses, and tells the reason', async () => {
    const { ask } = await modules('web', ['umbel.js', 'umbel.mjs']);
    const before = await asked();
    const heard = listener();
    ask({ token: KEY, prompt: QUESTION, session: session(), ...heard.on });
    await heard.some(200);
    router.cut();
    const so = Buffer.byteLength(heard.text);
    await heard.some(so + 50);
    router.cut();
    await heard.end();
    assert.deepEqual([heard.error, heard.reason], [null, 'stop']);
    assert.equal(heard.text, await truth());
    assert.equal(await asked(), before + 1);
  });

  test('fetch: errors, leaving, stopping', async () => {
    const { ask, watch } = await modules('web', ['umbel.js', 'umbel.mjs']);
    const bad = listener();
    ask({ token: 'wrong', prompt: QUESTION, ...bad.on });
    await bad.end();
    assert.equal(bad.error.code, -1);
    const name = session(), first = listener(), second = listener();
    const running = ask({ token: KEY, prompt: QUESTION, session: name, ...first.on });
    await first.some(20);
    watch({ token: KEY, session: name, ...second.on });
    await second.some(20);
    await running.stop();
    await Promise.all([first.end(), second.end()]);
    assert.ok(first.text.length < (await truth()).length);
    assert.equal(second.text, first.text);
    const left = listener();
    const leaving = ask({ token: KEY, prompt: QUESTION, ...left.on });
    await left.some(20);
    leaving.leave();
    await left.end();
    const then = left.texts;
    await until('the answer to end without its reader', async () => (await stack.list('stream list')).every((s) => s.state !== 'streaming'));
    assert.equal(left.texts, then);
  });

  test('the second screen', async () => {
    const heard = listener();
    globalThis.show = heard.on.onText;
    await modules('web', ['umbel.js', 'umbel.mjs'], 'watch.mjs');
    const all = await truth();
    const wx = loadModule(code('mini-program', 'umbel.js'), { wx: makeWx({ address: router.here }) });
    for (let i = 0; i < 2; i++) {
      heard.text = '';
      const asker = listener();
      wx.ask({ token: KEY, prompt: QUESTION, session: 'visitor-17', ...asker.on });
      await until('the second screen', () => heard.text === all, { timeout: 60000 });
      await asker.end();
    }
  });
});

describe('bmob', () => {
  test('the SDK', async () => {
    const Bmob = require('hydrogen-js-sdk');
    const heard = listener();
    await new Promise((resolve) => new Function('Bmob', 'show', 'done', code('bmob', 'sdk.js'))(Bmob, heard.on.onText, resolve));
    assert.equal(heard.text, await truth());
  });

  test('without the SDK: asked before it is open, cut, gone on, stopped; a watcher', async () => {
    const { connect } = await modules('bmob', 'umbel-ws.mjs');
    const name = session(), before = await asked();
    const heard = listener(), lost = [];
    const ai = connect(`ws://127.0.0.1:${router.port}`, KEY, { session: name, ...heard.on, onLost: (question) => lost.push(question) });
    ai.ask(QUESTION);
    await heard.some(200);
    router.cut();
    await heard.end();
    assert.equal(heard.text, await truth());
    assert.deepEqual(lost, []);
    assert.equal(await asked(), before + 1);

    const seen = listener();
    const watcher = connect(`ws://127.0.0.1:${router.port}`, KEY, { session: name, watch: true, ...seen.on });
    heard.ended = false;
    ai.ask('Again?');
    await seen.some(30);
    router.cut(); // both
    const so = Buffer.byteLength(seen.text);
    await seen.some(so + 30);
    ai.stop();
    await Promise.all([heard.end(), seen.end()]);
    const all = await truth('Again?');
    assert.equal(seen.text, heard.text);
    assert.ok(all.startsWith(seen.text));
    ai.close();
    watcher.close();
  });

  test('the short program', async () => {
    const heard = listener();
    let ended;
    const end = new Promise((resolve) => (ended = resolve));
    Object.assign(globalThis, { show: heard.on.onText, done: ended });
    await modules('bmob', ['umbel-ws.js', 'umbel-ws.mjs'], 'use-ws.mjs');
    assert.equal(await end, await truth());
  });

  test('wx.connectSocket, cut', async () => {
    const wx = makeWx({ address: router.here });
    const umbel = loadModule(code('mini-program', 'umbel.js'), { wx });
    const { connect } = loadModule(code('bmob', 'wx-socket.js'), { wx, require: () => umbel });
    const heard = listener();
    const ai = connect(KEY, session(), heard.on);
    ai.ask(QUESTION);
    await heard.some(200);
    router.cut();
    await heard.end();
    assert.equal(heard.text, await truth());
    Object.assign(heard, { ended: false, text: '' });
    ai.ask('Again?');
    await heard.some(20);
    ai.stop();
    await heard.end();
    assert.ok(heard.text.length < (await truth('Again?')).length);
    ai.close();
  });
});

describe('chatgpt-websocket', () => {
  test('two at once, cut: each whole; a watcher; a stop; an error', async () => {
    const { connect } = await modules('chatgpt-websocket', 'umbel-chatgpt.mjs');
    const ai = connect(`ws://127.0.0.1:${router.port}/cgws?token=${KEY}`), other = connect(`ws://127.0.0.1:${router.port}/cgws?token=${KEY}`);
    const names = [session(), session()], a = listener(), b = listener(), w = listener(), before = await asked();
    other.watch(names[0], w.on);
    ai.ask(QUESTION, { session: names[0], ...a.on });
    ai.ask('And for snow?', { session: names[1], sentences: true, ...b.on });
    await Promise.all([a.some(100), b.some(1), w.some(50)]);
    router.cut();
    await Promise.all([a.end(), b.end(), w.end()]);
    assert.deepEqual([a.text, b.text, w.text], [await truth(), await truth('And for snow?'), await truth()]);
    assert.equal(await asked(), before + 2);
    const c = listener();
    const running = ai.ask('Again?', { session: names[0], ...c.on });
    await c.some(20);
    running.stop();
    await c.end();
    assert.ok(c.text.length < (await truth('Again?')).length);
    const d = listener();
    ai.ask('', { session: '', ...d.on });
    await d.end();
    assert.equal(d.error.code, 129002);
    ai.close();
    other.close();
  });

  test('a watch of three answers at once: two whole, though the third fails', async () => {
    const { connect } = await modules('chatgpt-websocket', 'umbel-chatgpt.mjs');
    const address = `ws://127.0.0.1:${router.port}/cgws?token=${KEY}`, ai = connect(address), screen = connect(address), name = session();
    const shown = new Map(), ends = [];
    let grows = true;
    screen.watch(name, {
      onText: (text, piece, id) => {
        grows &&= text === (shown.get(id) ?? '') + piece;
        shown.set(id, text);
      },
      onDone: (text, reason, id) => ends.push([id, text, reason]),
      onError: ({ code, id }) => ends.push([id, shown.get(id), code]),
    });
    const a = listener(), b = listener();
    const first = ai.ask(QUESTION, { session: name, ...a.on }), second = ai.ask('And for snow?', { session: name, ...b.on });
    await Promise.all([a.some(), b.some()]);
    const failing = new BmobClient().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'fog' }], session: name, model: FAILS });
    const { id: failed } = await until('the failing one', () => failing.done && failing);
    failing.leave();
    assert.ok(!a.ended && !b.ended, 'three ran at once');
    await Promise.all([a.end(), b.end()]);
    await until('three ends', () => ends.length === 3);
    assert.deepEqual(ends[0], [failed, shown.get(failed), 129003]);
    const whole = new Map([[first.id, await truth()], [second.id, await truth('And for snow?')]]);
    for (const [id, text, reason] of ends.slice(1)) assert.deepEqual([text, reason], [whole.get(id), 'stop']);
    assert.ok(shown.get(failed) && (await stack.mock.text(FAILS, 'fog')).startsWith(shown.get(failed)));
    assert.ok(grows);
    ai.close();
    screen.close();
  });

  test('the service hears how long an answer may be', async () => {
    const { connect } = await modules('chatgpt-websocket', 'umbel-chatgpt.mjs');
    const said = 'said:text=request:pace=0', other = await startStack({ transports: { cgws: { plugin: 'ws-chatgpt' } }, model: said, upstream: { models: [said] } });
    const ai = connect(`ws://127.0.0.1:${other.ports.cgws}/?token=${KEY}`);
    try {
      const heard = listener();
      ai.ask(QUESTION, heard.on);
      await heard.end();
      assert.equal(JSON.parse(heard.text).max_tokens, 4097);
    } finally {
      ai.close();
      await other.stop();
    }
  });

  test('the short program', async () => {
    const heard = listener(), spoken = [];
    let ends = 0;
    Object.assign(globalThis, { show: heard.on.onText, done: () => ends++, speak: (sentence) => spoken.push(sentence), spoken: () => ends++ });
    await modules('chatgpt-websocket', ['umbel-chatgpt.js', 'umbel-chatgpt.mjs'], 'use-chatgpt.mjs');
    await until('both', () => ends === 2, { timeout: 60000 });
    assert.equal(heard.text, await truth());
    assert.equal(spoken.join(''), await truth('And for snow?'));
  });
});

describe('openai', () => {
  test('curl', async () => {
    const file = path.join(dir, 'curl.sh');
    await writeFile(file, code('openai', 'curl.sh'));
    const { code: status, stdout, stderr } = await run('sh', [file]);
    assert.equal(status, 0, stderr);
    const text = stdout.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices[0]?.delta?.content ?? '').join('');
    assert.equal(text, await truth());
  });

  test('the library', async () => {
    let shown = '', text;
    Object.assign(globalThis, { show: (piece) => (shown += piece), done: (all) => (text = all) });
    await modules('openai', 'library.mjs');
    assert.equal(text, await stack.mock.text('demo-1', QUESTION));
    assert.equal(shown, text);
  });

  test('watch, resume after a loss, stop', async () => {
    const { watch, resume, stop } = await modules('openai', 'streams.mjs');
    const name = session(), asker = BmobClient.asks(stack, QUESTION, name);
    await until('text', () => asker.text);
    let shown = '';
    const watching = watch(name, (piece) => (shown += piece));
    await until('text', () => shown.length > 50);
    router.cut();
    const seen = await watching;
    assert.equal(seen.finished, false);
    const whole = await resume(seen, (piece) => (shown += piece));
    assert.deepEqual([whole.finished, whole.text, shown], [true, await truth(), await truth()]);
    asker.leave();
    const again = BmobClient.asks(stack, 'Again?', name);
    await until('text', () => again.text);
    const { id, stopped, status } = await stop(again.id);
    assert.deepEqual([id, stopped, status], [again.id, true, 'cancelled']);
    await until('the end', () => again.done);
    again.leave();
    await assert.rejects(resume({ id: `chatcmpl-${'0'.repeat(32)}`, text: '' }, () => {}));
  });
});

describe('tuikit', () => {
  test('a page of your own: grows, ends, is stopped', async () => {
    const im = await startIm({ model: 'im-guide:text=mixed:tokens=100:pace=20:seed=4' });
    try {
      const { botMessage, stopPayload } = await modules('tuikit', 'bot-message.mjs');
      const asMessage = (m, version = -1) => ({ type: m.kind === 'custom' ? 'TIMCustomElem' : 'TIMTextElem', sequence: m.seq, random: m.random, time: m.time, payload: m.kind === 'custom' ? { data: m.history.at(version) } : { text: m.text } });
      await im.tim.write('u-17', QUESTION);
      const [message] = await im.tim.finished('u-17');
      const versions = message.history.map((_, i) => botMessage(asMessage(message, i)));
      assert.ok(versions.length >= 3);
      for (let i = 1; i < versions.length; i++) assert.ok(versions[i].text.startsWith(versions[i - 1].text));
      assert.deepEqual(versions.map((v) => v.finished), versions.map((_, i) => i === versions.length - 1));
      assert.equal(versions.at(-1).text, await im.mock.text('im-guide:text=mixed:tokens=100:pace=20:seed=4', QUESTION));
      assert.equal(botMessage({ type: 'TIMTextElem', payload: { text: 'hi' } }), null);
      assert.equal(botMessage({ type: 'TIMCustomElem', payload: { data: 'no JSON' } }), null);

      await im.tim.write('u-18', QUESTION);
      await until('some text', async () => (await im.tim.answers('u-18'))[0]?.versions >= 2);
      const [running] = await im.tim.answers('u-18');
      const { chatbotPlugin, src, msgKey } = JSON.parse(stopPayload(asMessage(running)).data);
      assert.deepEqual([chatbotPlugin, src], [2, 22]);
      await im.tim.press('u-18', { key: msgKey });
      const [stopped] = await im.tim.finished('u-18');
      assert.equal(stopped.key, msgKey);
      assert.equal(botMessage(asMessage(stopped)).finished, true);
      assert.equal(await im.count('im_stops'), 1);
    } finally {
      await im.stop();
    }
  });
});

test('every block that is marked to be run was run', () => {
  const marks = [];
  for (const guide of ['mini-program', 'web', 'bmob', 'chatgpt-websocket', 'openai', 'tuikit'])
    for (const block of blocks(`docs/clients/${guide}.md`)) if (block.mark.startsWith('run: ')) marks.push(`${guide} ${block.mark.slice(5)}`);
  assert.deepEqual(marks.filter((mark) => !ran.has(mark)), []);
  assert.ok(marks.length >= 14);
});

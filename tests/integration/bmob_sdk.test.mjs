// The unmodified Bmob JavaScript SDK asks; the answer comes through umbeld, ring, journal, host and plugin.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import WebSocket from 'ws';
import { startStack, KEY, until } from './support.mjs';

const require = createRequire(import.meta.url);
console.log = () => {}; // the SDK talks a lot, and standard output is how this process reports to the test runner
const MODEL = 'sdk:tokens=40:pace=2:text=cjk:cut=utf8';
let stack;

before(async () => {
  stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
});
after(() => stack?.stop());

/** A fresh copy of the SDK: it keeps its settings in module state. */
function loadSdk() {
  for (const name of Object.keys(require.cache)) if (name.includes('hydrogen-js-sdk')) delete require.cache[name];
  return require('hydrogen-js-sdk');
}

function askBySdk(Bmob, question, session) {
  return new Promise((resolve, reject) => {
    const chat = Bmob.ChatAI();
    const calls = [];
    chat.onMessage((text) => {
      calls.push(text);
      if (calls.at(-1) === '' && calls.at(-2) === 'done') resolve(calls);
    });
    const timer = setInterval(() => {
      try {
        chat.send(JSON.stringify({ messages: [{ role: 'user', content: question }], session }));
        clearInterval(timer);
      } catch {
        /* not open yet: the SDK throws 415 until it is */
      }
    }, 10);
    setTimeout(() => reject(new Error(`no end; so far ${JSON.stringify(calls)}`)), 60000).unref();
  });
}

test('web path: every delta, done, and the empty end, with the right text', async () => {
  globalThis.WebSocket = WebSocket;
  const Bmob = loadSdk();
  Bmob.initialize(KEY, 'security');
  Bmob.domain(`http://127.0.0.1:${stack.ports.bmob}`);
  const calls = await askBySdk(Bmob, 'Which tea for rain?', 'sdk-web');
  assert.deepEqual(calls.slice(-2), ['done', '']);
  assert.equal(calls.filter((c) => c === 'done').length, 1);
  assert.equal(calls.slice(0, -2).join(''), await stack.mock.text(MODEL, 'Which tea for rain?'));
  assert.ok(calls.length > 4, 'it streams: more than one delta');
});

test('WeChat path: wx.connectSocket with the key in the header', async () => {
  delete globalThis.WebSocket;
  const seen = [];
  globalThis.wx = {
    connectSocket({ url, header }) {
      seen.push({ url, header });
      const socket = new WebSocket(url, { headers: header });
      return {
        onOpen: (f) => socket.on('open', f),
        onMessage: (f) => socket.on('message', (data) => f({ data: data.toString() })),
        onClose: (f) => socket.on('close', (code, reason) => f({ code, reason: reason.toString() })),
        onError: (f) => socket.on('error', f),
        send: ({ data, success, fail }) => socket.send(data, (error) => (error ? fail?.(error) : success?.())),
        close: () => socket.close(),
      };
    },
    getSystemInfoSync: () => ({ platform: 'test' }),
    getStorageSync: () => '',
    setStorageSync: () => {},
    getStorage: () => {},
    request: () => {},
  };
  try {
    const Bmob = loadSdk();
    Bmob.initialize(KEY, 'security');
    Bmob.domain(`http://127.0.0.1:${stack.ports.bmob}`);
    const calls = await askBySdk(Bmob, 'And for snow?', 'sdk-wx');
    assert.deepEqual(calls.slice(-2), ['done', '']);
    assert.equal(calls.slice(0, -2).join(''), await stack.mock.text(MODEL, 'And for snow?'));
    assert.equal(seen.length, 1, 'the SDK took the WeChat path');
    assert.equal(seen[0].header['X-Bmob-Secret-Key'], KEY);
  } finally {
    delete globalThis.wx;
  }
});

test('umbelctl saw it happen', async () => {
  const streams = await until('the streams in the list', async () => {
    const list = await stack.list('stream list');
    return list.length >= 2 && list;
  });
  for (const stream of streams) {
    assert.equal(stream.state, 'complete');
    assert.equal(stream.app, 'shop');
    assert.equal(stream.transport, 'bmob');
    assert.match(stream.id, /^chatcmpl-[0-9a-f]{32}$/);
  }
});

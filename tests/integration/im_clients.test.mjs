// What others wrote against what we send: the vendor's signer, and the published chat page fed with what mock-tim stored.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import http from 'node:http';
import { createRequire } from 'node:module';
import { until } from './support.mjs';
import { startIm, noViolations, TEA } from './im_support.mjs';
import { loadTuikit } from './tuikit.mjs';

const require = createRequire(import.meta.url);
const MODEL = 'page:text=mixed:tokens=120:pace=25:seed=11';
const SLOW = 'page-slow:text=count:tokens=10000:pace=25';

const decode = (sig) =>
  JSON.parse(zlib.inflateSync(Buffer.from(sig.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '='), 'base64')).toString());

test('the UserSig on the wire is what tls-sig-api-v2 makes', async () => {
  const { Api } = require('tls-sig-api-v2');
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(new URL(request.url, 'http://x'));
    request.resume();
    response.setHeader('Content-Type', 'application/json');
    response.end('{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MsgTime":1,"MsgKey":"1_2_3"}');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stack = await startIm({ model: 'sig:text=echo', im: { api_base: `http://127.0.0.1:${server.address().port}`, usersig_s: 7200 } });
  try {
    await stack.tim.write('s-1', 'hello');
    await until('a call', () => seen.length > 0);
    const query = seen[0].searchParams;
    const mine = decode(query.get('usersig'));
    const theirs = decode(new Api(1400000000, 'mock-tim-key').genSig('administrator', 7200));
    assert.deepEqual(Object.keys(mine).sort(), Object.keys(theirs).sort());
    for (const name of ['TLS.ver', 'TLS.identifier', 'TLS.sdkappid', 'TLS.expire']) assert.deepEqual(mine[name], theirs[name], name);
    // their own verification: the same HMAC over the same text, at our time
    const api = new Api(1400000000, 'mock-tim-key');
    const hmac = require('node:crypto').createHmac('sha256', 'mock-tim-key')
      .update(`TLS.identifier:administrator\nTLS.sdkappid:1400000000\nTLS.time:${mine['TLS.time']}\nTLS.expire:7200\n`).digest('base64');
    assert.equal(mine['TLS.sig'], hmac);
    assert.ok(api);
    assert.deepEqual([...query.keys()].sort(), ['contenttype', 'identifier', 'random', 'sdkappid', 'usersig']);
    assert.equal(query.get('contenttype'), 'json');
  } finally {
    await stack.stop();
    server.close();
  }
});

describe('TUIKit', async () => {
  const kit = await loadTuikit();
  const skip = kit ? false : 'the package cannot be fetched here';
  let stack, tim;
  before(async () => {
    if (skip) return;
    stack = await startIm({
      model: MODEL, app: { orphan_grace_ms: 200 },
      apps: { slow: { model: SLOW }, bad: { model: 'page-bad:text=count:tokens=100:pace=20:reset=40' }, long: { model: 'page-long:text=mixed:tokens=5000:pace=0:seed=2' } },
      bots: { tea: {}, pieces: { delivery: 'stream' }, slow: { app: 'slow' }, bad: { app: 'bad' }, long: { app: 'long' } },
    });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  /** A stored message as the SDK would hand it to the page; version: which of its contents. */
  const asMessage = (m, version = -1) => ({
    ID: m.key, from: m.from, to: m.to, flow: m.flow, conversationID: `C2C${m.flow === 'in' ? m.from : m.to}`, conversationType: 'C2C',
    type: m.kind === 'custom' ? 'TIMCustomElem' : 'TIMTextElem', sequence: m.seq, random: m.random, time: m.time,
    payload: m.kind === 'custom' ? { data: m.history.at(version) } : { text: m.text },
  });
  const chat = async (user, bot) => (await tim.get(`/mock/chat?user=${user}&bot=${encodeURIComponent(bot)}`)).messages;
  /** What the page decides for the list: locked = the user cannot type. */
  const page = (messages, bot) => {
    let status = {};
    kit.manager.onSteamingStatusChange((options) => (status = options));
    const list = kit.manager.handleMessageList(messages.slice(), `C2C${bot}`);
    return { list, locked: !!status[`C2C${bot}`] };
  };

  for (const bot of [TEA, '@RBT#pieces'])
    test(`${bot}: locked while it grows, free at the end; the view types the whole text and nothing twice`, { skip }, async () => {
      await tim.write('p-1', 'x', bot);
      const list = await tim.finished('p-1', 1, { bot });
      const [message] = list;
      const truth = await stack.mock.text(MODEL, 'x');
      assert.ok(message.history.length >= 3);
      const view = kit.mountStream(asMessage(message, 0));
      for (let v = 0; v < message.history.length; v++) {
        const one = asMessage(message, v);
        assert.ok(kit.manager.isRobotMessage(one));
        const last = v === message.history.length - 1;
        assert.equal(kit.manager.isStreamingMessage(one), !last);
        assert.equal(page([one], bot).locked, !last);
        await view.show(one.payload.data);
        assert.equal(view.finished, last);
        assert.equal(view.buttons.length, last ? 0 : 1, 'the stop button');
      }
      await until('the typing to end', () => !view.typing, { timeout: 60000 });
      assert.equal(view.shown, truth);
      assert.ok(!/[\ud800-\udbff](?![\udc00-\udfff])/.test(view.shown), 'no half character');
      view.stop();
      const fresh = kit.mountStream(asMessage(message)); // opened later
      await fresh.show(message.history.at(-1));
      assert.equal(fresh.shown, truth);
      fresh.stop();
    });

  test('its own stop button stops the answer, and the page is free', { skip }, async () => {
    const bot = '@RBT#slow';
    await tim.write('p-2', 'x', bot);
    await until('some text', async () => (await tim.answers('p-2', bot))[0]?.versions >= 2);
    const [message] = await tim.answers('p-2', bot);
    page([asMessage(message)], bot);
    kit.sent.length = 0;
    kit.manager.sendBreakConversation(`C2C${bot}`);
    assert.equal(kit.sent.length, 1);
    const pressed = JSON.parse(kit.sent[0].payload.data);
    assert.deepEqual([pressed.chatbotPlugin, pressed.src, pressed.msgKey], [2, 22, message.key]);
    await tim.press('p-2', { bot, key: pressed.msgKey });
    await tim.finished('p-2', 1, { bot });
    const all = (await chat('p-2', bot)).map((m) => asMessage(m));
    const { list, locked } = page(all.filter((m) => m.flow === 'in'), bot);
    assert.equal(locked, false);
    assert.equal(list.length, 1, 'its stop message is not shown');
    assert.ok(!list.some((m) => kit.manager.isErrorMessage(m)));
  });

  test('an error is one, and unlocks', { skip }, async () => {
    const bot = '@RBT#bad';
    await tim.write('p-3', 'x', bot);
    const list = (await tim.finished('p-3', 2, { bot })).map((m) => asMessage(m));
    assert.equal(kit.manager.isErrorMessage(list[0]), false);
    assert.equal(kit.manager.isErrorMessage(list[1]), true);
    assert.equal(page(list, bot).locked, false);
    const view = kit.mountStream(list[1]);
    await view.show(list[1].payload.data);
    assert.equal(view.shown, 'The model service failed, try again later.');
    view.stop();
  });

  test('a long answer: every part shows its own text, none a placeholder', { skip }, async () => {
    const bot = '@RBT#long';
    await tim.write('p-4', 'x', bot);
    const truth = await stack.mock.text('page-long:text=mixed:tokens=5000:pace=0:seed=2', 'x');
    const list = await until('the whole text', async () => {
      const all = await tim.answers('p-4', bot);
      return all.every((m) => m.finished) && all.reduce((n, m) => n + m.text.length, 0) >= truth.length && all;
    });
    assert.ok(list.length > 1);
    let joined = '';
    for (const message of list) {
      const view = kit.mountStream(asMessage(message));
      await view.show(message.history.at(-1));
      assert.ok(!view.shown.startsWith('[placeholder'));
      joined += view.shown;
      view.stop();
    }
    assert.equal(joined, truth);
    await noViolations(assert, tim);
  });
});

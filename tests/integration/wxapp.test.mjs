// WeChat mini-programs and web pages against a real daemon: every byte the published page would get, and what it would make of it.
// Run: UMBEL_BIN=build/dev/bin node --test tests/integration/wxapp.test.mjs
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { EventSource } from 'eventsource';
import { createParser } from 'eventsource-parser';
import OpenAI from 'openai';
import { startStack, until, KEY } from './support.mjs';
import { rawConnect, responses, response, arrivalOf, get, post } from './http_raw.mjs';
import { Page, show } from './wxapp_page.mjs';

const q = (fields) => `/chat/stream?${new URLSearchParams({ token: KEY, ...fields })}`;
const mini = (fields) => q({ is_wxapp: 1, ...fields });
const GUARD = 'success: {"content":""}\r\n';
const TERMINAL = '0\r\n\r\n';

/** A way to the daemon that can be cut: { port, cut(), close() }. */
async function cuttable(port) {
  const pairs = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    pairs.add([near, far]);
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', () => { near.destroy(); far.destroy(); });
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => { for (const pair of pairs) pair.forEach((socket) => socket.destroy()); pairs.clear(); };
  return { port: server.address().port, cut, close: () => { cut(); server.close(); } };
}

/** A mini-program's whole answer over a raw socket. */
async function ask(port, request) {
  const client = await rawConnect(port, request);
  const [answer] = await client.whole();
  client.end();
  return { ...answer, client, frames: answer.chunks.map((c) => c.data) };
}

const contents = (frames) =>
  frames.map(String).filter((f) => f.startsWith('success: ')).map((f) => JSON.parse(f.slice(9)).content).join('');

describe('mini-program frames', () => {
  let stack, port;
  before(async () => {
    stack = await startStack({ transports: { wx: { plugin: 'http-chunked-wxapp' } }, model: 'wx:pace=2' });
    port = stack.ports.wx;
  });
  after(() => stack?.stop());

  // Goal: the head as published.  Catches: a missing or doubled line; the platform silences the callback at a doubled Transfer-Encoding.
  test('the head has each listed line exactly once', async () => {
    const answer = await ask(port, get(mini({ prompt: 'hi' })));
    assert.equal(answer.line, 'HTTP/1.1 200 OK');
    const listed = {
      'content-type': 'text/html; charset=UTF-8', 'access-control-allow-credentials': 'true', 'transfer-encoding': 'chunked',
      'cache-control': 'no-cache', 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET, POST, OPTIONS',
      'access-control-allow-headers': 'Content-Type', connection: 'keep-alive', 'x-accel-buffering': 'no',
    };
    for (const [name, value] of Object.entries(listed)) assert.deepEqual(answer.get(name), [value], name);
    assert.deepEqual(answer.get('content-length'), []);
    assert.match(answer.get('x-umbel-stream')[0], /^chatcmpl-[0-9a-f]{32}$/);
  });

  // Goal: one frame = one chunk with a minimal size, the guard, both gaps, the terminal's five bytes, the end; and the page shows it all.
  test('chunks, gaps and end are exact, and the page shows the text', async () => {
    const text = await stack.mock.text('wx:pace=2', 'Which tea?');
    const { client, chunks, frames, end } = await ask(port, get(mini({ prompt: 'Which tea?' })));
    for (const chunk of chunks) {
      assert.equal(chunk.digits, chunk.data.length.toString(16));
      assert.ok(chunk.data.length <= 1024);
      assert.ok([...chunk.data].every((b) => b < 0x80), 'ASCII only');
    }
    assert.equal(String(frames.at(-1)), TERMINAL);
    assert.equal(String(frames.at(-2)), GUARD);
    for (const frame of frames.slice(0, -1)) assert.match(String(frame), /^success: \{"content":"[^\n]*"\}\r\n$/);
    // one terminal, and the arrival gaps of the recipe (a timer's granularity is allowed for; this process may be late itself for what comes before a gap: three goes)
    assert.equal(frames.filter((f) => String(f) === TERMINAL).length, 1);
    const gapsOf = (one) => [arrivalOf(one.client, one.chunks.at(-1).from) - arrivalOf(one.client, one.chunks.at(-2).to - 1),
      arrivalOf(one.client, one.end.from) - arrivalOf(one.client, one.chunks.at(-1).to - 1)];
    const seen = [gapsOf({ client, chunks, end })], good = ([terminal, last]) => terminal >= 140 && last >= 45;
    while (seen.length < 3 && !good(seen.at(-1))) seen.push(gapsOf(await ask(port, get(mini({ prompt: 'Which tea?' })))));
    assert.ok(good(seen.at(-1)), `ms before the terminal and before the end: ${seen.join('; ')}`);
    const page = show(...frames);
    assert.equal(page.text, text);
    assert.deepEqual([page.locked, page.unlocks, page.lost], [false, 1, 0]);
  });

  // Goal: a cut anywhere costs at most the frame it hits, and never anything that was shown.  Method: the whole body in two callbacks
  // a cut, as received before and after it.  Catches: bytes outside frames, a terminal that depends on its neighbours.
  test('re-cut at every byte', async () => {
    const { frames } = await ask(port, post('/chat/stream', { is_wxapp: 1, token: KEY, prompt: 'error "success: " 🍵', model: 'cut:text=echo:pace=0' }));
    let place = 0;
    for (const [hit, frame] of frames.entries()) {
      for (let cut = 1; cut < frame.length; cut++) {
        const page = show(...frames.slice(0, hit), frame.subarray(0, cut), frame.subarray(cut), ...frames.slice(hit + 1));
        const without = contents(frames.filter((_, i) => i !== hit)), all = contents(frames);
        assert.ok(page.text === without || page.text === all, `cut ${place + cut}: ${page.text}`);
        assert.equal(page.locked, false);
        assert.equal(page.toasts.length, 0);
      }
      place += frame.length;
    }
  });

  // Goal: the rows of the outcome table, with bytes that the daemon sent.  Catches: a rebuilt page that is more forgiving than the real
  // one (then the other tests would prove nothing), and frames that do not behave as the table promises.
  test('outcomes', async () => {
    const { frames } = await ask(port, get(mini({ prompt: '茶 tea', model: 'row:text=echo:pace=5' })));
    const [one, two] = frames, text = contents(frames), all = frames.slice(0, -2), terminal = frames.at(-1), guard = frames.at(-2);
    const bad = (await ask(port, get('/chat/stream?is_wxapp=1&token=nobody&prompt=x'))).frames;
    const both = (...list) => Buffer.concat(list);
    assert.ok(all.length >= 2);
    assert.equal(show(...all, terminal).text, text, 'apart');
    assert.equal(show(both(one, two)).text, contents([one, two]), 'two data frames together');
    let page = show(...all.slice(0, -1), both(all.at(-1), terminal));
    assert.equal(page.text, contents(all.slice(0, -1)), 'last data and terminal together: last text lost');
    assert.equal(page.locked, true);
    page = show(...all.slice(0, -1), both(all.at(-1), guard, terminal));
    assert.equal(page.text, text, 'with the guard between them the text is kept');
    assert.equal(page.locked, true);
    assert.equal(show('success: {"content":"an error"}\r\n').lost, 1, 'raw error');
    assert.equal(show('success: {"content":"a success: b"}\r\n').lost, 1, 'raw success');
    assert.equal(show('success: {"content":"a \\u0073uccess: \\u0065rror"}\r\n').text, 'a success: error');
    assert.equal(show(one.subarray(0, 12), one.subarray(12)).text, '', 'JSON cut in two');
    assert.equal(show('\r\n').locked, false, 'a line end alone is taken for done');
    assert.equal(show(': ka\n\n').unlocks, 0, 'a comment alone is ignored');
    assert.equal(show(both(Buffer.from(': ka\n\n'), one)).lost, 1, 'a comment merged with data');
    assert.equal(show(guard, one, guard, two, guard).text, contents([one, two]), 'empty frames are harmless');
    assert.equal(show(one, terminal, terminal).locked, false);
    assert.equal(show(one, both(terminal, terminal)).locked, true, 'two terminals together are not recognised');
    assert.deepEqual(bad.map(String), ['event: error\ndata: {"code":-1,"msg":"Incorrect API key provided."}\r\n']);
    page = show(...bad);
    assert.deepEqual([page.locked, page.went, page.lost], [false, 'login', 0]);
    page = show(both(one, ...bad));
    assert.deepEqual([page.locked, page.lost], [true, 1], 'error merged after data');
    page = show(both(...bad, terminal));
    assert.deepEqual([page.locked, page.lost], [true, 1], 'error and terminal together');
    const zero = (await ask(port, get(mini({ prompt: '0', model: 'row:text=echo' })))).frames;
    page = show(...zero);
    assert.deepEqual([page.text, page.unlocks], ['0', 1], 'content 0');
  });

  // Goal: no text whatever is lost on its way to the page.  Method: random texts from dangerous pieces, echoed by the model, two frames
  // to a callback.  Catches: escapes that work once a frame, or word by word instead of position by position, or that spell a word.
  test('fuzz', async () => {
    const pieces = ['error', 'success: ', 'success', 'uccess: ', 'rror', 'e', 's', 'r', 'err', '\\', '"', '\n', '\r\n', '\t', '\u000e', '与',
      'ror', '🍵', '茶', 'é', ' ', '{', '}', ':', '0', 'event: error\ndata: ', 'successuccess: ', 'eerror', '\\u000', '<b>', '\u2028', '\u007f'];
    let seed = 20251120;
    const random = (n) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0, (seed >>> 8) % n);
    for (let round = 0; round < 60; round++) {
      const text = 'x' + Array.from({ length: 20 + random(400) }, () => pieces[random(pieces.length)]).join('') + 'x';
      const model = `fuzz:text=echo:pace=0:tokens=20000:bytes=${random(40)}:seed=${round}`;
      const { frames } = await ask(port, post('/chat/stream', { is_wxapp: true, token: KEY, prompt: text, model }));
      const data = frames.slice(0, -2), pairs = [];
      for (let i = 0; i < data.length; i += 2) pairs.push(Buffer.concat(data.slice(i, i + 2)));
      for (const callbacks of [data, pairs]) {
        const page = show(...callbacks, frames.at(-1));
        assert.equal(page.text, text, `round ${round}`);
        assert.deepEqual([page.locked, page.lost, page.unlocks], [false, 0, 1]);
      }
    }
  });

  test('long text is cut into whole frames', async () => {
    const model = 'long:text=emoji:tokens=400:bytes=400:pace=0';
    const { frames } = await ask(port, get(mini({ prompt: 'x', model })));
    assert.ok(frames.some((f) => f.length > 900));
    assert.ok(frames.every((f) => f.length <= 1024));
    for (const frame of frames.slice(0, -1)) // each alone is JSON without a lone surrogate
      assert.ok(JSON.parse(String(frame).slice(9)).content.isWellFormed());
    assert.equal(contents(frames), await stack.mock.text(model, 'x'));
  });
});

describe('mini-program ways', () => {
  let stack, port;
  before(async () => {
    stack = await startStack({
      transports: {
        wx: { plugin: 'http-chunked-wxapp', keepalive_ms: 200 },
        short: { plugin: 'http-chunked-wxapp', path: '/s', max_stream_ms: 600 },
      },
      model: 'way:text=echo:pace=0',
      app: { orphan_grace_ms: 2000 },
      apps: { other: { keys: ['another-key-1234'] } },
    });
    port = stack.ports.wx;
  });
  after(() => stack?.stop());
  const text = async (request) => contents((await ask(port, request)).frames);

  test('GET, JSON, form; body wins; Referer', async () => {
    const referer = 'Referer: https://servicewechat.com/wx0123/17/page-frame.html\r\n';
    assert.equal(await text(get(q({ prompt: 'a+b c&d=e' }), { headers: referer })), 'a+b c&d=e');
    assert.equal(await text(post(mini({ prompt: 'address' }), { prompt: 'body', unknown: 1 })), 'body');
    assert.equal(await text(post('/chat/stream', `is_wxapp=1&token=${KEY}&prompt=tea+%E8%8C%B6`, { type: 'application/x-www-form-urlencoded; charset=utf-8' })), 'tea 茶');
    assert.equal(await text(get(mini({ messages: JSON.stringify([{ role: 'user', content: 'm' }]), prompt: 'p' }))), 'm');
    assert.equal(await text(get('/chat/stream?is_wxapp=1&prompt=h', { headers: `token: ${KEY}\r\n` })), 'h');
    assert.equal(await text(get('/chat/stream?is_wxapp=1&prompt=b', { headers: `Authorization: Bearer ${KEY}\r\n` })), 'b');
    const [page] = responses((await rawConnect(port, get(q({ prompt: 'x', is_wxapp: 0 }), { headers: referer })).then((c) => c.until(() => responses(c.bytes).length))).bytes);
    assert.match(page.get('content-type')[0], /^text\/event-stream/, 'is_wxapp=0 wins over the Referer');
  });

  // Goal: a member of another type is told, not taken for absent: the question would be asked without its memory, of another model, or asked
  // and paid where it was to be watched.  Catches: JSON's numbers and objects that are dropped in silence.
  test('a JSON member of another type is refused with words', async () => {
    const asked = async () => (await stack.mock.requests(model)).requests.length;
    const model = 'type:text=echo:pace=0', before = await asked(), good = { is_wxapp: 1, token: KEY, prompt: 'x', model };
    const error = async (more) => {
      const { frames } = await ask(port, post('/chat/stream', { ...good, ...more }));
      assert.equal(frames.length, 1);
      return JSON.parse(String(frames[0]).slice('event: error\ndata: '.length));
    };
    for (const name of ['session', 'model', 'prompt', 'token', 'resume'])
      for (const value of [17, true, {}, ['a']]) assert.deepEqual(await error({ [name]: value }), { code: 0, msg: `Invalid request: ${name} is not a string.` });
    for (const name of ['watch', 'usage'])
      for (const value of [{}, ['1']]) assert.deepEqual(await error({ [name]: value, session: 's' }), { code: 0, msg: `Invalid request: ${name} is not 1 or 0.` });
    for (const [more, msg] of [[{ is_wxapp: 0, session: 17 }, 'session is not a string'], [{ is_wxapp: {} }, 'is_wxapp is not 1 or 0']]) {
      const page = String((await ask(port, post('/chat/stream', { ...good, ...more }))).body);
      assert.match(page, new RegExp(`^id: [^\\n]*\\nevent: error\\ndata: \\{"code":0,"msg":"Invalid request: ${msg}\\."\\}\\n\\n$`));
    }
    assert.equal(await asked(), before, 'nothing was asked');
    // absent, null, and what a number or bool may say
    for (const fine of [{ session: null, model }, { watch: 0, usage: false }, { watch: '0', session: '' }])
      assert.equal(await text(post('/chat/stream', { ...good, ...fine })), 'x', JSON.stringify(fine));
    // an address has no types
    assert.equal(await text(get(mini({ prompt: 'x', session: 17, model }))), 'x');
  });

  // Goal: a mini-program takes every status for success, so it always gets 200 and a frame; others get the real status.
  test('limits: 414, 431, 413 by status, and in a frame', async () => {
    const pad = (n) => 'x'.repeat(n);
    const status = async (request) => (await ask(port, request)).status;
    const frame = async (request) => {
      const { status: s, frames } = await ask(port, request);
      assert.equal(s, 200);
      return JSON.parse(String(frames[0]).slice('event: error\ndata: '.length)).code;
    };
    assert.equal(await status(get(`/chat/stream?prompt=${pad(16400)}`)), 414);
    assert.equal(await status(get(q({ prompt: 'x' }), { headers: `X-Pad: ${pad(16400)}\r\n` })), 431);
    assert.equal(await status(post('/chat/stream', pad((1 << 20) + 1))), 413);
    assert.equal(await status(get('/elsewhere')), 404);
    assert.equal(await status(get('/chat/stream', { method: 'PUT' })), 405);
    assert.equal(await status('nonsense\r\n\r\n'), 400);
    assert.equal(await frame(get(mini({ prompt: 'x' }), { headers: `X-Pad: ${pad(16400)}\r\n` })), 0);
    assert.equal(await frame(post(mini({}), pad((1 << 20) + 1))), 0);
    assert.equal(await frame(get('/elsewhere?is_wxapp=1')), 0);
    assert.equal(await frame(get(mini({}))), 0, 'neither prompt nor messages');
    assert.equal(await frame(post(mini({}), '{"prompt":')), 0);
    // the longest allowed line still works
    const room = 16384 - get(mini({ prompt: '' })).split('\r\n')[0].length;
    assert.equal(await text(get(mini({ prompt: pad(room) }))), pad(room));
  });

  test('OPTIONS', async () => {
    const answer = await ask(port, get('/chat/stream', { method: 'OPTIONS', headers: 'Origin: https://a.example\r\n' }));
    assert.equal(answer.status, 204);
    assert.deepEqual(answer.get('access-control-max-age'), ['86400']);
    assert.deepEqual(answer.get('access-control-allow-origin'), ['*']);
    assert.match(answer.get('access-control-allow-headers')[0], /Content-Type.*Authorization.*token/);
  });

  test('keep-alive and pipelining: answers in order on one connection', async () => {
    const client = await rawConnect(port, get(mini({ prompt: 'one' })) + get(mini({ prompt: 'two' })));
    const list = await client.whole(2);
    assert.deepEqual(list.map((a) => contents(a.chunks.map((c) => c.data))), ['one', 'two']);
    client.socket.write(get(mini({ prompt: 'three' })));
    assert.equal(contents((await client.whole(3))[2].chunks.map((c) => c.data)), 'three');
    client.end();
  });

  test('HTTP/1.0: bare frames, and the connection ends', async () => {
    const client = await rawConnect(port, get(mini({ prompt: 'old' }), { version: '1.0' }));
    await until('the end', () => client.closed);
    const answer = response(client.bytes);
    assert.deepEqual(answer.get('transfer-encoding'), []);
    assert.equal(String(answer.body), `success: {"content":"old"}\r\n${GUARD}${TERMINAL}`);
  });

  test('silence is filled with empty frames, also before the first text', async () => {
    const { frames } = await ask(port, get(mini({ prompt: 'x', model: 'ka:text=echo:first=900' })));
    assert.ok(frames.findIndex((f) => String(f) !== GUARD) >= 2, 'empty frames first');
    assert.equal(show(...frames).text, 'x');
  });

  test('failures: a frame before text, a note after it', async () => {
    const code = async (model) => {
      const { frames } = await ask(port, get(mini({ prompt: 'x', model })));
      const page = show(...frames);
      assert.deepEqual([page.locked, page.lost, page.unlocks], [false, 0, 1], model);
      return { frames, page, code: /"code":(-?\d+)/.exec(frames.at(-1))?.[1] };
    };
    assert.equal((await code('f:status=500')).code, '0');
    assert.equal((await code('f:status=429')).code, '102');
    assert.notEqual((await code('f:status=401')).code, '-1', "the service's own refusal is not the client's");
    const cut = await code('f:text=count:tokens=9:pace=5:reset=4');
    assert.equal(String(cut.frames.at(-1)), TERMINAL);
    assert.match(cut.page.text, /^t0 t1 t2 t3\nThe model service failed/);
    assert.equal(cut.page.toasts.length, 0);
  });

  // Goal: a tool call that is longer than a mini-program takes at a time passes by.  Method: a service that sends one of 5,000 bytes in a
  // piece (the mock's are small).  Catches: a client that waits for ever while its host turns at full speed.
  test('a long tool call does not hold up the text behind it', async () => {
    const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
    const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'look', arguments: JSON.stringify({ at: 'x'.repeat(5000) }) } };
    const service = http.createServer((request, answer) => {
      answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
      answer.end(chunk({ role: 'assistant', content: 'Let me look. ' }) + chunk({ tool_calls: [call] }) + chunk({ content: 'There.' }) + chunk({}, 'tool_calls') + 'data: [DONE]\n\n');
    });
    await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
    const other = await startStack({ transports: { wx: { plugin: 'http-chunked-wxapp' } }, mock: { url: `http://127.0.0.1:${service.address().port}`, stop() {} }, model: 'm' });
    try {
      const { frames } = await ask(other.ports.wx, get(mini({ prompt: 'x' })));
      assert.equal(contents(frames), 'Let me look. There.');
      assert.equal(String(frames.at(-1)), TERMINAL);
    } finally {
      await other.stop();
      service.close();
    }
  });

  test('disconnect leaves; with nobody left the model is stopped', async () => {
    const model = 'gone:tokens=100000:pace=20';
    const client = await rawConnect(port, get(mini({ prompt: 'x', model })));
    await client.until((c) => c.bytes.includes('content":"'));
    client.end();
    await until('the service to be told', async () => (await stack.mock.requests(model)).requests[0]?.end === 'client_closed');
  });

  // Goal: what one phone shows, another may resume, after the first was cut at its time limit; nothing missing, nothing twice.
  test('deadline: note, terminal, and a resumable end', async () => {
    const model = 'late:text=count:tokens=60:pace=20', whole = await stack.mock.text(model, 'x');
    const cut = await ask(stack.ports.short, get(mini({ prompt: 'x', model }).replace('/chat/stream', '/s')));
    const page = show(...cut.frames);
    assert.deepEqual([page.locked, page.lost], [false, 0]);
    const first = page.text.replace(/\n\[to be continued\]$/, '');
    assert.notEqual(first, page.text, 'there is a note');
    assert.ok(whole.startsWith(first) && first.length < whole.length);
    const id = cut.get('x-umbel-stream')[0];
    const rest = await ask(port, get(mini({ resume: `${id}:${Buffer.byteLength(first)}` })));
    assert.equal(rest.get('x-umbel-stream')[0], id);
    assert.equal(first + show(...rest.frames).text, whole);
    assert.equal((await stack.mock.requests(model)).requests.length, 1, 'asked once');
  });

  test('resume: foreign and unknown ids alike, positions checked', async () => {
    const answer = await ask(port, get(mini({ prompt: '茶' })));
    const id = answer.get('x-umbel-stream')[0];
    const error = async (fields) => String((await ask(port, get(mini(fields)))).frames[0]);
    const unknown = await error({ resume: `chatcmpl-${'0'.repeat(32)}:0` });
    assert.match(unknown, /"code":0/);
    assert.equal(await error({ resume: `${id}:0`, token: 'another-key-1234' }), unknown);
    assert.match(await error({ resume: `${id}:1` }), /"code":0/, 'inside a character');
    assert.match(await error({ resume: `${id}:4` }), /"code":0/, 'past the end');
    assert.match(await error({ resume: id }), /"code":0/);
    assert.equal(await text(get(mini({ resume: `${id}:0` }))), '茶');
    assert.equal(await text(get(mini({ resume: `${id}:3` }))), '');
  });

  test('watch: waits, gets one answer whole, ends', async () => {
    const watchers = await Promise.all(['1', '0'].map((is) => rawConnect(port, get(q({ is_wxapp: is, watch: 1, session: 'w' })))));
    for (const watcher of watchers) await watcher.until((c) => c.bytes.length > 0); // its head: it is heard
    const asked = await ask(port, get(mini({ prompt: 'for all', session: 'w' })));
    const [page] = await watchers[0].whole(), [h5] = await watchers[1].whole();
    assert.equal(contents(page.chunks.map((c) => c.data)), 'for all');
    assert.equal([...String(h5.body).matchAll(/"content":"([^"]*)"/g)].map((m) => m[1]).join(''), 'for all'); // in one chunk or two
    assert.ok(String(h5.body).includes(asked.get('x-umbel-stream')[0]));
    // one that comes in the middle has the id in its head and misses nothing
    const model = 'mid:text=count:tokens=40:pace=20';
    const running = rawConnect(port, get(mini({ prompt: 'x', session: 'w2', model })));
    await (await running).until((c) => c.bytes.includes(' t3"'));
    const late = await ask(port, get(mini({ watch: 1, session: 'w2' })));
    assert.match(late.get('x-umbel-stream')[0], /^chatcmpl-/);
    assert.equal(show(...late.frames).text, await stack.mock.text(model, 'x'));
    (await running).end();
    watchers.forEach((w) => w.end());
  });

  // Goal: who catches up gets at most 4 KiB in 20 ms.  Method: resume a long finished answer, weigh arrivals.  Allowed: one frame over.
  test('catching up is paced', async () => {
    const model = 'pace:text=ascii:tokens=600:bytes=100:pace=0';
    const answer = await ask(port, get(mini({ prompt: 'x', model })));
    const id = answer.get('x-umbel-stream')[0];
    const again = await ask(port, get(mini({ resume: `${id}:0` })));
    const whole = await stack.mock.text(model, 'x');
    assert.equal(contents(again.frames), whole);
    const sizes = again.frames.map((f) => contents([f]).length).filter(Boolean);
    assert.ok(sizes.slice(0, -1).every((size) => size > 900), `each frame but the last is nearly full, no scraps: ${sizes.slice(0, 9)}`);
    const data = again.chunks.slice(0, -2), bytes = data.at(-1).to - data[0].from;
    const took = arrivalOf(again.client, data.at(-1).to - 1) - arrivalOf(again.client, data[0].from);
    assert.ok(bytes > 60000);
    assert.ok(took >= (bytes / 4096 - 2) * 20 * 0.9, `${bytes} bytes in ${took} ms`);
  });
});

describe('H5', () => {
  let stack, port, url;
  before(async () => {
    stack = await startStack({
      transports: { wx: { plugin: 'http-chunked-wxapp', keepalive_ms: 300 } },
      model: 'h5:text=mixed:tokens=60:pace=5',
      app: { orphan_grace_ms: 60000 },
    });
    port = stack.ports.wx;
    url = `http://127.0.0.1:${port}`;
  });
  after(() => stack?.stop());

  const parse = (parts) => {
    const events = [];
    const parser = createParser({ onEvent: (event) => events.push(event) });
    for (const part of parts) parser.feed(part);
    return events;
  };

  test('OpenAI-shaped chunks, one role, one reason, usage if asked, [DONE]', async () => {
    const answer = await ask(port, post('/chat/stream', { token: KEY, prompt: 'x', stream_options: { include_usage: true } }));
    assert.deepEqual(answer.get('content-type'), ['text/event-stream; charset=utf-8']);
    const events = parse([String(answer.body)]), id = answer.get('x-umbel-stream')[0];
    assert.equal(events.pop().data, '[DONE]');
    const chunks = events.map((e) => JSON.parse(e.data));
    assert.ok(chunks.every((c) => c.id === id && c.object === 'chat.completion.chunk'));
    assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '' });
    const usage = chunks.pop(), end = chunks.pop();
    assert.deepEqual(usage.choices, []);
    assert.ok(usage.usage.total_tokens > 0);
    assert.deepEqual(end.choices, [{ index: 0, delta: {}, finish_reason: 'stop' }]);
    assert.ok(chunks.every((c) => c.choices[0].finish_reason === null));
    assert.equal(chunks.map((c) => c.choices[0].delta.content).join(''), await stack.mock.text('h5:text=mixed:tokens=60:pace=5', 'x'));
    // the place after each event, in bytes
    let bytes = 0;
    for (const [i, chunk] of chunks.entries()) {
      bytes += Buffer.byteLength(chunk.choices[0].delta.content);
      assert.equal(events[i].id, `${id}:${bytes}`);
    }
    assert.ok(!parse([String((await ask(port, get(q({ prompt: 'x' })))).body)]).some((e) => e.data.includes('"usage"')));
  });

  test('eventsource-parser: the same events however the bytes are cut', async () => {
    const body = (await ask(port, get(q({ prompt: 'x', model: 'p:text=echo' })))).body;
    const whole = parse([String(body)]);
    for (let cut = 1; cut < body.length; cut++) {
      const decoder = new TextDecoder();
      const parts = [decoder.decode(body.subarray(0, cut), { stream: true }), decoder.decode(body.subarray(cut))];
      assert.deepEqual(parse(parts), whole);
    }
  });

  // Goal: a dropped EventSource goes on where it was, without a second question to the model, and is stopped by 204 at the end.
  test('EventSource resumes over connections and stops', async (t) => {
    const model = 'es:text=count:tokens=450:pace=20', whole = await stack.mock.text(model, 'x');
    const statuses = [], cable = await cuttable(port);
    t.after(() => cable.close());
    const source = new EventSource(`http://127.0.0.1:${cable.port}${q({ prompt: 'x', model })}`, {
      fetch: async (input, init) => {
        const answer = await fetch(input, init);
        statuses.push(answer.status);
        return answer;
      },
    });
    let text = '', done = 0, cuts = 0;
    source.onmessage = ({ data }) => {
      if (data === '[DONE]') { done++; return; }
      text += JSON.parse(data).choices[0].delta.content ?? '';
      if (cuts < 2 && text.length > 40 && statuses.length === cuts + 1) {
        cuts++;
        cable.cut();
      }
    };
    await until('the EventSource to be stopped', () => source.readyState === EventSource.CLOSED, { timeout: 60000 });
    assert.equal(text, whole);
    assert.equal(done, 1);
    assert.deepEqual(statuses, [200, 200, 200, 204]);
    assert.equal((await stack.mock.requests(model)).requests.length, 1);
  });

  const again = async (last, token = KEY) => ask(port, get(q({ prompt: 'again', token }), { headers: `Last-Event-ID: ${last}\r\n` }));

  test('Last-Event-ID: the missing tail and the end, 204 if nothing is missing or nothing is there', async () => {
    const answer = await ask(port, get(q({ prompt: 'tea 茶', model: 'l:text=echo:pace=0' })));
    const id = answer.get('x-umbel-stream')[0], all = parse([String(answer.body)]);
    const tail = await again(`${id}:4`);
    assert.equal(tail.status, 200);
    const events = parse([String(tail.body)]);
    assert.equal(JSON.parse(events[0].data).choices[0].delta.content, '茶');
    assert.deepEqual(events.slice(1), all.slice(-2), 'the reason and [DONE], to the byte');
    assert.equal(all.at(-1).id, `${id}:7:end`);
    for (const other of [all.at(-1).id, `${id}:7`, `chatcmpl-${'0'.repeat(32)}:0`, 'none:0', 'none:0:end', '17', ':end', `${id}:5`, `${id}:8`]) assert.equal((await again(other)).status, 204, other);
    assert.equal((await again(`${id}:4`, 'wrong')).status, 204);
    // the place of the end is one that can be named elsewhere too
    assert.deepEqual(parse([String((await ask(port, get(q({ resume: `${id}:7:end` })))).body)]), all.slice(-2));
    assert.match(String((await ask(port, get(q({ resume: `${id}:end` })))).body), /Invalid request: resume is not/);
  });

  // Goal: an answer whose end is behind things without a place (reasoning, tool calls, an error) ends for every page: who lost the end gets it,
  // who had it is stopped.  Catches: a page that gets its reasoning and its error again every few seconds, and one that waits for an end
  // it never gets.
  for (const [what, model] of [['reasoning, then a failure', 'lr:text=count:tokens=9:pace=0:reasoning=5:errorat=4'], ['a failure after text', 'lf:text=count:tokens=9:pace=1:reset=4'],
    ['reasoning alone', 'la:text=count:tokens=0:pace=0:reasoning=5'], ['a tool call', 'lt:text=count:tokens=3:pace=0:tool=1']])
    test(`Last-Event-ID, ${what}: the end once, then 204`, async () => {
      const first = await ask(port, get(q({ prompt: 'x', model }))), events = parse([String(first.body)]), last = events.at(-1);
      assert.match(last.id, /^chatcmpl-[0-9a-f]{32}:\d+:end$/);
      assert.ok(events.slice(0, -1).every((e) => /:\d+$/.test(e.id)), 'only the end is the end');
      assert.equal((await again(last.id)).status, 204);
      for (const event of events.slice(0, -1)) { // cut behind each of them
        const more = await again(event.id);
        assert.equal(more.status, 200, event.id);
        assert.deepEqual(parse([String(more.body)]).at(-1), last, event.id);
      }
    });

  test('Last-Event-ID: a page that does not close at the end is stopped all the same', async (t) => {
    for (const model of ['lp:text=count:tokens=9:pace=0:reasoning=5:errorat=4', 'lq:text=count:tokens=2:pace=0:reasoning=2']) {
      const statuses = [], heard = [];
      const source = new EventSource(`${url}${q({ prompt: 'x', model })}`, {
        fetch: async (input, init) => {
          const answer = await fetch(input, init);
          statuses.push(answer.status);
          return answer;
        },
      });
      t.after(() => source.close());
      for (const name of ['message', 'error']) source.addEventListener(name, ({ data }) => data && heard.push(data));
      await until('the EventSource to be stopped', () => source.readyState === EventSource.CLOSED || statuses.length > 2, { timeout: 60000 });
      assert.deepEqual(statuses, [200, 204]);
      assert.ok(heard.some((d) => d.includes('reasoning_content')));
      assert.equal(new Set(heard).size, heard.length, 'nothing twice');
      assert.equal((await stack.mock.requests(model)).requests.length, 1);
    }
  });

  test('errors are events with data; the EventSource does not ask again', async () => {
    const model = 'e:text=count:tokens=9:pace=2:reset=4';
    const seen = [];
    const source = new EventSource(`${url}${q({ prompt: 'x', model })}`);
    let text = '';
    source.onmessage = ({ data }) => { text += JSON.parse(data).choices[0].delta.content ?? ''; };
    source.addEventListener('error', (event) => { if (event.data) seen.push(JSON.parse(event.data)); });
    await until('it to be stopped', () => source.readyState === EventSource.CLOSED, { timeout: 60000 });
    assert.equal(text, 't0 t1 t2 t3');
    assert.equal(seen.length, 1);
    assert.equal(seen[0].code, 0);
    assert.equal((await stack.mock.requests(model)).requests.length, 1);
    const refused = parse([String((await ask(port, get('/chat/stream?token=wrong&prompt=x'))).body)]);
    assert.deepEqual(refused.map((e) => [e.event, e.data]), [['error', '{"code":-1,"msg":"Incorrect API key provided."}']]);
  });

  test('keepalive comments', async () => {
    const answer = await ask(port, get(q({ prompt: 'x', model: 'k:text=echo:first=1000' })));
    assert.ok(answer.chunks.filter((c) => String(c.data) === ': ka\n\n').length >= 2);
  });

  test('the openai package works as it is', async () => {
    const client = new OpenAI({ apiKey: KEY, baseURL: `${url}/chat/stream` });
    const model = 'sdk:text=mixed:tokens=40:pace=1';
    const stream = await client.chat.completions.create({ model, stream: true, messages: [{ role: 'user', content: 'x' }] });
    let text = '', reason;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
    }
    assert.equal(text, await stack.mock.text(model, 'x'));
    assert.equal(reason, 'stop');
  });
});

describe('watches that wait while their host goes', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { wx: { plugin: 'http-chunked-wxapp', drain_ms: 3000, max_stream_ms: 0 } }, model: 'go:text=echo:pace=0' });
  });
  after(() => stack?.stop());
  const serves = () => until('the transport to serve', async () => (await stack.list('host list')).every((h) => h.state === 'running') &&
    ask(stack.ports.wx, get(mini({ prompt: 'hi' }))).then((a) => contents(a.frames) === 'hi', () => false));

  // Goal: nobody is told that an answer has ended when there was none: a mini-program is told to try again, a page's EventSource comes again by
  // itself.  Method: watch sessions in which nobody asks, take the host away, look at the last frames; both ways that a host goes.
  // Catches: a waiting watch that is ended like a whole answer, with nothing in it.
  for (const command of ['drain', 'restart'])
    test(`${command}: a mini-program is not given a terminal, a page no [DONE]`, async () => {
      await serves();
      const [page, h5] = await Promise.all(['1', '0'].map((is) => rawConnect(stack.ports.wx, get(q({ is_wxapp: is, watch: 1, session: `nobody-${command}` })))));
      for (const watcher of [page, h5]) await watcher.until((c) => c.bytes.length > 0); // its head: it waits
      const done = stack.ctl(command, 'wx');
      const [told] = await page.whole(), [silent] = await h5.whole();
      for (const watcher of [page, h5]) watcher.end();
      assert.equal((await done).code, 0);
      if (command === 'drain') assert.equal((await stack.ctl('start', 'wx')).code, 0);
      const frames = told.chunks.map((c) => String(c.data)).filter((f) => f !== GUARD);
      assert.deepEqual(frames, ['event: error\ndata: {"code":0,"msg":"The service is renewed, try again."}\r\n']);
      assert.doesNotMatch(String(silent.body), /DONE|event: error/);
      await serves();
    });
});

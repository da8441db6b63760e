// Goal: umbel-show says "whole" exactly when every protocol got the whole answer and the same text.
// Method: one scripted server that speaks all five protocols and can be told to break one of them; the real umbel-show against it.
// Catches: a show that is green whatever happens, a hang where a reason is due, a question asked before the watchers are there.
// Run: UMBEL_BIN=build/dev/bin node --test tests/integration/show.test.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const binary = process.env.UMBEL_BIN && join(process.env.UMBEL_BIN, 'umbel-show');
const skip = binary ? false : 'UMBEL_BIN does not name the folder of the programs';
const TEXT = ['The sky ', 'is blue, ', '天空是蓝色的 ', '🌈 because "light" scatters.'];
const ID = 'chatcmpl-00000000000000000000000000000001';

const frame = (text) => {
  const data = Buffer.from(text);
  return Buffer.concat([data.length < 126 ? Buffer.from([0x81, data.length]) : Buffer.from([0x81, 126, data.length >> 8, data.length & 255]), data]);
};
const chunk = (text) => Buffer.concat([Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n`), Buffer.from(text), Buffer.from('\r\n')]);
const ascii = (text) => JSON.stringify(text).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
const completion = (delta, finish) => JSON.stringify({ id: ID, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] });
const bmob = (content, finish) => JSON.stringify({ id: ID, object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ delta: { role: '', content }, index: 0, finish_reason: finish }] });
const cgws = (seq, contents, finish) => JSON.stringify({ code: 0, msg: 'ok', seq, data: { consume_time: '0.1', finish_reason: finish, contents } });

// How each protocol tells one piece, and the end.
const dialects = {
  bmob: { piece: (text) => frame(bmob(text, '')), end: () => frame(bmob('', 'stop')) },
  cgws: { piece: (text) => frame(cgws('umbel-show', text, null)), end: () => frame(cgws('umbel-show', '', 'stop')) },
  wx: { piece: (text) => chunk(`success: {"content":${ascii(text)}}\r\n`), end: () => Buffer.concat([chunk('0\r\n\r\n'), Buffer.from('0\r\n\r\n')]) },
  h5: { piece: (text) => chunk(`data: ${completion({ content: text }, null)}\n\n`), end: () => Buffer.concat([chunk(`data: ${completion({}, 'stop')}\n\ndata: [DONE]\n\n`), Buffer.from('0\r\n\r\n')]) },
};
dialects.api = dialects.h5;

// A server for all protocols.  `faults` is { protocol: function that changes the list of writes of its watchers or askers }.
async function start(faults = {}) {
  const open = []; // sockets that will get the answer, with their dialect's name
  const asked = []; // questions, with how many watchers were there
  const sockets = new Set();
  const begin = (name, socket) => open.push({ name, socket });
  const answer = (question) => {
    asked.push({ question, watchers: open.length - 1 });
    for (const { name, socket } of open) {
      let writes = [...TEXT.map(dialects[name].piece), dialects[name].end()];
      if (faults[name]) writes = faults[name](writes, socket);
      for (const bytes of writes) socket.write(bytes);
    }
  };
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let got = Buffer.alloc(0), websocket = null;
    const head = (text) => {
      const [, method, target] = /^(\S+) (\S+) HTTP\/1\.1\r\n/.exec(text);
      const key = /^Sec-WebSocket-Key: (\S+)\r$/m.exec(text)?.[1];
      if (key) {
        websocket = target.startsWith('/1/ai/') ? 'bmob' : 'cgws';
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        if (/[?&]watch=1/.test(target)) begin('bmob', socket);
        return;
      }
      const name = target.startsWith('/v1/') ? 'api' : /is_wxapp=1/.test(target) || /"is_wxapp":1/.test(text) ? 'wx' : 'h5';
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Umbel-Stream: ${ID}\r\n\r\n`);
      begin(name, socket);
      if (method === 'POST') answer(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).prompt);
    };
    const message = (text) => {
      const value = JSON.parse(text);
      const question = websocket === 'bmob' ? value.messages[0].content : value.data.messages?.[0].content;
      begin(websocket, socket);
      if (question) answer(question);
    };
    socket.on('data', (data) => {
      got = Buffer.concat([got, data]);
      if (websocket === null) {
        const end = got.indexOf('\r\n\r\n');
        const length = Number(/^Content-Length: (\d+)\r$/m.exec(got.toString())?.[1] ?? 0);
        if (end < 0 || got.length < end + 4 + length) return;
        const text = got.subarray(0, end + 4 + length).toString();
        got = got.subarray(end + 4 + length);
        head(text);
      }
      while (websocket && got.length >= 2) {
        assert.ok(got[1] & 0x80, 'client frames are masked');
        let size = got[1] & 0x7f, at = 2;
        if (size === 126) [size, at] = [got.readUInt16BE(2), 4];
        if (got.length < at + 4 + size) return;
        const payload = Buffer.from(got.subarray(at + 4, at + 4 + size).map((byte, i) => byte ^ got[at + (i & 3)]));
        const opcode = got[0] & 15;
        got = got.subarray(at + 4 + size);
        if (opcode === 1) message(payload.toString());
      }
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: server.address().port, asked,
    stop: () => new Promise((done) => {
      for (const socket of sockets) socket.destroy();
      server.close(done);
    }),
  };
}

async function show(server, protocols, ...options) {
  const child = spawn(binary, ['--key', 'k', '--question', 'Why?', '--timeout', '60', ...options, ...protocols.map((name) => `${name}=127.0.0.1:${server.port}`)]);
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (out += data));
  const code = await new Promise((done) => child.on('exit', done));
  const rows = Object.fromEntries([...out.matchAll(/^(\S.*?) +(asks|watches) +(\d+) +(\d+) +(\S+(?: ms)?) +(.*)$/gm)].map((row) => [row[1], row[6]]));
  return { code, out, rows };
}

const ALL = ['bmob', 'wx', 'h5', 'cgws', 'api'];

describe('umbel-show', { skip }, () => {
  for (const asking of ALL)
    test(`${asking} asks, all others watch, all are whole`, async () => {
      const server = await start();
      const result = await show(server, [asking, ...ALL.filter((name) => name !== asking)]);
      await server.stop();
      assert.equal(result.code, 0, result.out);
      assert.match(result.out, /^5 of 5 protocols got the whole answer$/m);
      assert.equal(Object.values(result.rows).filter((verdict) => verdict.startsWith('whole')).length, 5, result.out);
      assert.equal(result.out.split(TEXT.join('')).length, 6, 'the text stands there five times');
      assert.doesNotMatch(result.out, /\x1b/, 'no escape sequences where there is no terminal');
      if (asking !== 'api') assert.deepEqual(server.asked, [{ question: 'Why?', watchers: 4 }]);
    });

  const faults = {
    'a lost piece': [(writes) => [writes[0], ...writes.slice(2)], /the text is not that of .* from byte 8 on/],
    'a doubled piece': [(writes) => [writes[0], writes[0], ...writes.slice(1)], /the text is not that of .* from byte/],
    'no end, the connection closes': [(writes, socket) => { setImmediate(() => socket.end()); return writes.slice(0, -1); }, /before the end of the answer/],
    'two ends in one write': [(writes) => [Buffer.concat([...writes, writes.at(-1)])], /ended twice|after the end|after the finish/],
    'nonsense': [(writes, socket) => { setImmediate(() => socket.end()); return [Buffer.from('\xff\xff\xff\xff\r\n\r\n', 'latin1')]; }, /failed: /],
  };
  for (const [name, [fault, reason]] of Object.entries(faults))
    for (const broken of ALL)
      test(`${name} over ${broken}`, async () => {
        // Behind the broken one in the order of the command line, so that it watches; and one healthy protocol beside it.
        const server = await start({ [broken]: fault });
        const asking = broken === 'bmob' ? 'cgws' : 'bmob';
        const result = await show(server, [asking, broken]);
        await server.stop();
        assert.equal(result.code, 1, result.out);
        const verdicts = Object.values(result.rows);
        assert.equal(verdicts[0], 'whole', result.out);
        assert.match(verdicts[1], reason, result.out);
      });

  test('a protocol that never answers ends with the deadline', async () => {
    const server = await start({ wx: () => [] });
    const result = await show(server, ['bmob', 'wx'], '--timeout', '2');
    await server.stop();
    assert.equal(result.code, 1);
    assert.match(result.rows['mini-program'], /no end of the answer within 2 s/);
    assert.equal(result.rows['ws-bmob'], 'whole');
  });

  test('nobody listens', async () => {
    const server = await start();
    await server.stop();
    const result = await show(server, ['bmob', 'h5']);
    assert.equal(result.code, 1);
    assert.match(result.rows['ws-bmob'], /cannot connect/);
    assert.match(result.rows['web page (SSE)'], /cannot connect/);
  });

  test('wrong usage', async () => {
    const none = { port: 1 };
    assert.equal((await show(none, [])).code, 2);
    assert.equal((await show(none, ['smoke'])).code, 2);
    assert.equal((await show(none, ['bmob'], '--timeout', '0')).code, 2);
    assert.equal((await show(none, ['bmob'], '--key', 'a\r\nb')).code, 2);
    assert.equal((await show(none, ['bmob'], '--nonsense')).code, 2);
  });
});

// Clients and model services that attack: what docs/hostile-input.md says of each.  hostile.test.mjs has floods, storms and a transport's process
// that has turned; here are slowness, smuggling, endless and tiny input.  After each attack everybody else is still served by the same processes,
// and nobody's memory has grown with the attack.
// sanitizers: no (memory is measured)
import { test, describe, before, beforeEach, after } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import http from 'node:http';
import zlib from 'node:zlib';
import { startStack, startMock, until, freePort, KEY } from './support.mjs';
import { rawConnect, get, post, responses } from './http_raw.mjs';

const OTHER = 'fedcba9876543210';
const MODEL = 'mock:tokens=20:pace=1';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

const residentMb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** Runs attack() and fails if one of the processes has grown by more than mb meanwhile. */
async function memoryFlat(pids, mb, attack) {
  const at = pids.map(residentMb), top = [...at];
  const look = () => pids.forEach((pid, i) => (top[i] = Math.max(top[i], residentMb(pid))));
  const timer = setInterval(look, 50);
  try {
    await attack();
    look();
  } finally {
    clearInterval(timer);
  }
  pids.forEach((pid, i) => assert.ok(top[i] < at[i] + mb, `process ${pid} grew from ${at[i]} to ${top[i]} MB`));
}

async function ask(stack, key, content = 'q', model = undefined) {
  const answer = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content }] }),
  });
  return { status: answer.status, body: await answer.text() };
}

async function stopClean(stack) {
  const end = await stack.stop();
  assert.deepEqual(end, { code: 0, signal: null }, stack.daemon.lines.slice(-2000));
}

/** A client's frame: masked by zeros, so the payload stands there as it is. */
function wsFrame(opcode, payload = '', { fin = true, rsv = 0 } = {}) {
  const data = Buffer.from(payload), size = data.length;
  const head = Buffer.alloc(size < 126 ? 6 : size < 65536 ? 8 : 14);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = 0x80 | (size < 126 ? size : size < 65536 ? 126 : 127);
  if (size >= 65536) head.writeBigUInt64BE(BigInt(size), 2);
  else if (size >= 126) head.writeUInt16BE(size, 2);
  return Buffer.concat([head, data]);
}

describe('clients', () => {
  let stack, born;
  const hosts = async () => Object.fromEntries((await stack.list('host list')).map((h) => [h.transport, h]));
  before(async () => {
    stack = await startStack({
      transports: { bmob: { plugin: 'ws-bmob', slow_client_s: 2 }, wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0, slow_client_s: 2 }, api: { plugin: 'openai-api', slow_client_s: 2 } },
      model: MODEL,
    });
  });
  beforeEach(async () => { born = await hosts(); });
  after(() => stopClean(stack));

  const unharmed = async () => {
    const { status, body } = await ask(stack, KEY);
    assert.equal(status, 200, body);
    const ws = await upgraded();
    ws.socket.write(wsFrame(1, 'ping'));
    await ws.until((c) => c.frames().length > 0);
    ws.end();
    for (const [name, host] of Object.entries(await hosts())) assert.equal(host.restarts, born[name].restarts, `${name}: ${host.last_error}`);
  };
  const pids = (...names) => [...names.map((n) => born[n].pid), stack.daemon.pid];

  /** A raw WebSocket; frames(): [opcode, payload] of what has come whole. */
  async function upgraded(headers = '') {
    const client = await rawConnect(stack.ports.bmob, get(`/1/ai/${KEY}`, { headers: UPGRADE + headers }));
    await client.until((c) => c.bytes.includes('\r\n\r\n'));
    client.head = client.bytes.subarray(0, client.bytes.indexOf('\r\n\r\n') + 4).toString('latin1');
    assert.match(client.head, /^HTTP\/1\.1 101 /);
    client.frames = () => {
      const list = [];
      for (let at = client.head.length; at + 2 <= client.bytes.length;) {
        const b = client.bytes, short = b[at + 1] & 127, skip = short < 126 ? 2 : short === 126 ? 4 : 10;
        if (at + skip > b.length) break;
        const size = short < 126 ? short : short === 126 ? b.readUInt16BE(at + 2) : Number(b.readBigUInt64BE(at + 2));
        if (at + skip + size > b.length) break;
        list.push([b[at] & 15, b.subarray(at + skip, at + skip + size)]);
        at += skip + size;
      }
      return list;
    };
    client.code = () => client.frames().filter(([opcode]) => opcode === 8).map(([, payload]) => (payload.length ? payload.readUInt16BE(0) : 0))[0];
    return client;
  }
  const ended = (client, what, timeout = 30000) => until(what, () => client.closed, { timeout });

  test('slowness: heads, bodies and upgrades that drip, connections that say nothing, all at once', async () => {
    // Goal: each of these clocks is absolute, so a byte now and then moves none of them: 10 s for a head, 60 s for a body, 75 s without a request.
    const began = Date.now(), ports = [stack.ports.bmob, stack.ports.wx, stack.ports.api], drips = [];
    const victims = [];
    const add = async (name, port, text, drip, atMost) => {
      for (let i = 0; i < 20; i++) {
        const client = await rawConnect(port, text);
        victims.push({ name: `${name} on ${port}`, client, atMost });
        if (drip) drips.push(() => !client.closed && client.socket.write(drip));
      }
    };
    await memoryFlat(pids('bmob', 'wx', 'api'), 24, async () => {
      for (const port of ports) {
        await add('silence', port, '', null, 60);
        await add('a dripping head', port, `GET /1/ai/${KEY} HTTP/1.1\r\nX-A: `, 'a', 60);
      }
      for (const port of ports.slice(1)) {
        await add('a dripping body', port, 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n', ' ', 150);
        await add('a dripping chunk', port, 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n', ' ', 150);
        await add('keep-alive and then nothing', port, get('/nothing/here'), null, 170);
      }
      const timer = setInterval(() => drips.forEach((drip) => drip()), 200);
      try {
        await unharmed();
        for (const { name, client, atMost } of victims) await ended(client, `the end of ${name}`, Math.max(1000, began + atMost * 1000 - Date.now()));
      } finally {
        clearInterval(timer);
        victims.forEach(({ client }) => client.end());
      }
    });
    for (const { name, client } of victims.filter(({ name }) => name.startsWith('a dripping body'))) assert.match(client.bytes.toString('latin1'), /^HTTP\/1\.1 408 /, name);
    await unharmed();
  });

  test('control frames in fragments or too long, reserved bits and opcodes, bad UTF-8, bad lengths: a close code each, nothing for others', async () => {
    const attacks = {
      'a ping in fragments': [1002, wsFrame(9, 'a', { fin: false }), wsFrame(0, 'b')],
      'a close in fragments': [1002, wsFrame(8, '\u0003', { fin: false })],
      'a ping of 126 bytes': [1002, wsFrame(9, 'x'.repeat(126))],
      'a compressed frame': [1002, wsFrame(1, 'x', { rsv: 4 })],
      'opcode 3': [1002, wsFrame(3)],
      'a continuation of nothing': [1002, wsFrame(0, 'x')],
      'a surrogate': [1007, wsFrame(1, Buffer.from([0xed, 0xa0, 0x80]))],
      'a character cut by the end of the message': [1007, wsFrame(1, Buffer.from([0xe8]), { fin: false }), wsFrame(0, Buffer.from([0x8c]))],
      'a close frame of one byte': [1002, wsFrame(8, 'x')],
      'a close code that may not be sent': [1002, wsFrame(8, Buffer.from([0x03, 0xed]))],
      'a close code out of range': [1002, wsFrame(8, Buffer.from([0xff, 0xff]))],
      'a close reason that is no UTF-8': [1007, wsFrame(8, Buffer.from([0x03, 0xe8, 0xff]))],
    };
    const seen = {};
    for (const [name, [, ...frames]] of Object.entries(attacks)) {
      const client = await upgraded();
      client.socket.write(Buffer.concat(frames));
      await ended(client, `the end after ${name}`);
      seen[name] = client.code();
      client.end();
    }
    assert.deepEqual(seen, Object.fromEntries(Object.entries(attacks).map(([name, [code]]) => [name, code])));
    await unharmed();
  });

  test('compression is never agreed on, so there is no bomb', async () => {
    const bomb = zlib.deflateRawSync(Buffer.alloc(64 << 20));
    for (const offer of ['permessage-deflate', 'permessage-deflate; client_max_window_bits, x-webkit-deflate-frame', 'permessage-bzip2']) {
      const client = await upgraded(`Sec-WebSocket-Extensions: ${offer}\r\n`);
      assert.doesNotMatch(client.head, /extensions/i);
      await memoryFlat(pids('bmob'), 16, async () => {
        client.socket.write(wsFrame(1, bomb, { rsv: 4 }));
        await ended(client, 'the end');
      });
      assert.equal(client.code(), 1002);
      client.end();
    }
    const zipped = zlib.gzipSync(Buffer.alloc(64 << 20, ' '));
    await memoryFlat(pids('api', 'wx'), 16, async () => {
      for (const port of [stack.ports.api, stack.ports.wx]) {
        const client = await rawConnect(port, post(port === stack.ports.api ? '/v1/chat/completions' : '/chat/stream', zipped.toString('latin1').slice(0, 60000), { headers: `Authorization: Bearer ${KEY}\r\nContent-Encoding: gzip\r\n` }));
        const [answer] = await client.whole();
        // The bytes are taken as they are.  The mini-program's protocol says what is wrong under status 200.
        if (port === stack.ports.api) assert.equal(answer.status, 400);
        assert.match(answer.body.toString(), /not JSON/);
        client.end();
      }
    });
    await unharmed();
  });

  test('a million tiny frames: of one message, of no message at all, and pongs', async () => {
    const million = (frame) => Buffer.concat(Array.from({ length: 10000 }, () => frame));
    const attacks = {
      'bytes of one message': [wsFrame(1, 'x', { fin: false }), million(wsFrame(0, 'x', { fin: false })), 1009], // 1 MiB is a message's limit
      'empty fragments': [wsFrame(1, '', { fin: false }), million(wsFrame(0, '', { fin: false })), null],
      'empty pongs': [Buffer.alloc(0), million(wsFrame(10)), null],
      'pings': [Buffer.alloc(0), million(wsFrame(9, 'x')), null],
    };
    for (const [name, [first, bundle, code]] of Object.entries(attacks)) {
      const client = await upgraded();
      await memoryFlat(pids('bmob'), 16, async () => {
        client.socket.write(first);
        let others = Promise.resolve();
        for (let i = 0; i < 110 && !client.closed && !client.socket.destroyed; i++) {
          if (i % 30 === 5) others = others.then(unharmed);
          if (!client.socket.write(bundle)) await Promise.race([once(client.socket, 'drain').catch(() => {}), until('room', () => client.closed || client.socket.destroyed || !client.socket.writableNeedDrain, { timeout: 120000 })]);
        }
        await others;
        if (code) {
          await ended(client, `the end of ${name}`);
          assert.equal(client.code(), code, name);
        } else {
          assert.ok(!client.closed, `${name}: ${client.code()}`); // allowed: it costs the sender as much
        }
      });
      client.end();
    }
    await unharmed();
  });

  test('requests that two servers could read in two ways are refused, and nothing behind them is taken for a request', async () => {
    const hidden = `GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n`;
    const line = 'POST /v1/chat/completions HTTP/1.1\r\n', H = 'Host: x\r\n', chunked = `${line}${H}Transfer-Encoding: chunked\r\n\r\n`;
    const attacks = {
      'CL and TE': `${line}${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      'TE and CL': `${line}${H}Transfer-Encoding: chunked\r\nContent-Length: ${5 + hidden.length}\r\n\r\n0\r\n\r\n${hidden}`,
      'two lengths': `${line}${H}Content-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
      'a list of lengths': `${line}${H}Content-Length: 0, ${hidden.length}\r\n\r\n${hidden}`,
      'a signed length': `${line}${H}Content-Length: +0\r\n\r\n${hidden}`,
      'a negative length': `${line}${H}Content-Length: -1\r\n\r\n${hidden}`,
      'a hexadecimal length': `${line}${H}Content-Length: 0x0\r\n\r\n${hidden}`,
      'a length of 2^64': `${line}${H}Content-Length: 18446744073709551616\r\n\r\n${hidden}`,
      'an empty length': `${line}${H}Content-Length:\r\n\r\n${hidden}`,
      'TE xchunked': `${line}${H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
      'TE twice': `${line}${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${hidden}`,
      'TE chunked, identity': `${line}${H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`,
      'TE with a vertical tab': `${line}${H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${hidden}`,
      'a blank before the colon': `${line}${H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`,
      'TE in HTTP/1.0': `POST / HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      'a folded line': `${line}${H}X: a\r\n Content-Length: 5\r\n\r\n${hidden}`,
      'a folded first line': `${line} X: a\r\n${H}\r\n${hidden}`,
      'lines that end in LF': `${line}Host: x\nContent-Length: 0\n\n${hidden}`,
      'a CR alone': `${line}${H}X: a\rContent-Length: 5\r\n\r\n${hidden}`,
      'a zero byte': `${line}${H}X: a\0b\r\n\r\n${hidden}`,
      'a name with a blank': `${line}${H}Content Length: 5\r\n\r\n${hidden}`,
      'no colon': `${line}${H}Content-Length\r\n\r\n${hidden}`,
      'two blanks in the first line': `GET  / HTTP/1.1\r\n${H}\r\n${hidden}`,
      'HTTP/1.1 with more behind': `GET / HTTP/1.1 x\r\n${H}\r\n${hidden}`,
      'two hosts': `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${hidden}`,
      'no host': `GET / HTTP/1.1\r\n\r\n${hidden}`,
      'a chunk size with 0x': `${chunked}0x0\r\n\r\n${hidden}`,
      'a signed chunk size': `${chunked}+0\r\n\r\n${hidden}`,
      'a chunk size of 2^64': `${chunked}10000000000000000\r\n\r\n${hidden}`,
      'a chunk size of 2^63': `${chunked}8000000000000000\r\nx`,
      'a chunk that is longer than its size': `${chunked}1\r\nab\r\n0\r\n\r\n${hidden}`,
      'a chunk size that ends in LF': `${chunked}0\n\n${hidden}`,
      'no chunk size': `${chunked}\r\n\r\n${hidden}`,
      'a blank before the chunk size': `${chunked} 0\r\n\r\n${hidden}`,
      'a chunk extension of 64 KiB': `${chunked}1;${'x'.repeat(65536)}\r\na\r\n0\r\n\r\n${hidden}`,
      'trailers of 64 KiB': `${chunked}0\r\n${`X: ${'x'.repeat(100)}\r\n`.repeat(700)}\r\n${hidden}`,
      '200 headers': `${line}${H}${'X: y\r\n'.repeat(200)}\r\n${hidden}`,
      'a header of 64 KiB': `${line}${H}X: ${'y'.repeat(65536)}\r\n\r\n${hidden}`,
      'an address of 64 KiB': `GET /${'y'.repeat(65536)} HTTP/1.1\r\n${H}\r\n${hidden}`,
      'a body of 2^62': `${line}${H}Content-Length: 4611686018427387904\r\n\r\n${hidden}`,
    };
    for (const port of [stack.ports.wx, stack.ports.api]) {
      const seen = await Promise.all(Object.entries(attacks).map(async ([name, bytes]) => {
        const client = await rawConnect(port, Buffer.from(bytes, 'latin1'));
        await ended(client, `the end of ${name}`);
        const list = responses(client.bytes);
        client.end();
        return [name, list.length === 1 && list[0].status >= 400 ? 'refused' : `${list.map((r) => r.line)}`];
      }));
      assert.deepEqual(seen.filter(([, what]) => what !== 'refused'), [], `port ${port}`);
    }
    // The upgrade is libwebsockets' to read: it must not take what is behind a refused request for another one, nor serve two.
    for (const [name, bytes] of Object.entries(attacks)) {
      const client = await rawConnect(stack.ports.bmob, Buffer.from(bytes, 'latin1'));
      await ended(client, `the end of ${name} on ws`);
      assert.ok(responses(client.bytes).length <= 1, `${name} on ws: ${client.bytes.toString('latin1').slice(0, 400)}`);
      client.end();
    }
    await unharmed();
  });

  test('pipelining: a thousand requests at once are answered in order; a flood that reads nothing is held back', async () => {
    for (const [port, path] of [[stack.ports.wx, '/nothing'], [stack.ports.api, '/v1/nothing']]) {
      const client = await rawConnect(port, get(path).repeat(1000));
      const list = await client.whole(1000);
      assert.equal(list.length, 1000);
      assert.ok(list.every((r) => r.status === list[0].status && r.status >= 400), [...new Set(list.map((r) => r.line))].join());
      client.end();
    }
    for (const [name, port, path] of [['wx', stack.ports.wx, '/nothing'], ['api', stack.ports.api, '/v1/nothing']]) {
      await memoryFlat(pids(name), 16, async () => {
        const flood = net.connect({ port, host: '127.0.0.1' });
        let written = 0, closed = false;
        flood.on('error', () => {}).on('close', () => (closed = true)).pause();
        await once(flood, 'connect');
        const bundle = Buffer.from(get(path).repeat(1000));
        while (!closed && written < 256 << 20 && flood.writableLength < 4 << 20) {
          flood.write(bundle);
          written += bundle.length;
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(written < 128 << 20, `${name} took ${written >> 20} MiB of requests of a client that reads no answer`);
        await unharmed();
        await until('the end of it', () => closed || flood.writableLength === 0 || (flood.write('x'), false), { timeout: 60000, every: 200 });
        flood.destroy();
      });
    }
    await unharmed();
  });

  test('a storm of connections from one address is turned away, another address is served meanwhile', async () => {
    // wx listens on [::]: IPv4 clients must not count as one address there.
    const any = await freePort();
    const small = await startStack({ mock: stack.mock, transports: { bmob: { plugin: 'ws-bmob', connect_rate: 20 }, wx: { plugin: 'http-chunked-wxapp', connect_rate: 20, listen: [`[::]:${any}`] }, api: { plugin: 'openai-api', connect_rate: 20 } }, model: MODEL });
    small.ports.wx = any;
    try {
      for (const name of ['bmob', 'wx', 'api']) {
        const sockets = [];
        let refused = 0, storming = true;
        const storm = (async () => {
          while (storming) {
            const s = net.connect({ port: small.ports[name], host: '127.0.0.1' });
            s.on('error', () => {}).on('data', () => {}).on('close', () => refused++);
            sockets.push(s);
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        })();
        await until(`${name} to turn connections away`, () => refused > 100);
        const other = net.connect({ port: small.ports[name], host: '127.0.0.1', localAddress: '127.0.0.77' });
        let said = '';
        other.on('data', (data) => (said += data)).on('error', () => {});
        await once(other, 'connect');
        other.write(name === 'bmob' ? get(`/1/ai/${KEY}`, { headers: UPGRADE }) : get('/nothing'));
        await until(`${name} to serve the other address`, () => /^HTTP\/1\.1 (101|404|405) /.test(said));
        storming = false;
        await storm;
        [...sockets, other].forEach((s) => s.destroy());
      }
    } finally {
      await stopClean(small);
    }
  });
});

for (const io of ['auto', 'epoll'])
  describe(`model services, io = ${io}`, () => {
    let stack, mock, server, script, sent, connections;
    before(async () => {
      mock = await startMock();
      server = net.createServer((socket) => {
        connections++;
        socket.on('error', () => {});
        let asked = '';
        socket.on('data', (data) => {
          if (script.all) return script.all(socket, data);
          asked += data.toString('latin1');
          const head = asked.indexOf('\r\n\r\n');
          const size = head < 0 ? 0 : Number(/content-length: (\d+)/i.exec(asked)?.[1] ?? 0);
          if (head < 0 || asked.length < head + 4 + size) return;
          asked = '';
          script.answer(socket);
        });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      stack = await startStack({
        mock, core: { io }, transports: { api: { plugin: 'openai-api' } }, model: MODEL,
        upstream: { base_url: `http://127.0.0.1:${server.address().port}/v1`, first_token_timeout_ms: 4000, idle_timeout_ms: 4000, total_timeout_ms: 6000 },
        upstreams: { good: { base_url: `${mock.url}/v1`, models: ['*'] } },
        apps: { good: { upstreams: ['good'], keys: [OTHER], model: MODEL } },
      });
    });
    beforeEach(() => { sent = 0; connections = 0; });
    after(async () => {
      await stopClean(stack);
      await mock.stop();
      server.close();
    });

    /** Sends bytes as fast as they are taken until the peer closes or 1 GiB has gone. */
    const endless = (socket, first, bundle) => {
      socket.write(first);
      const more = () => {
        while (!socket.destroyed && sent < 1 << 30) {
          sent += bundle.length;
          if (!socket.write(bundle)) return socket.once('drain', more);
        }
        socket.end();
      };
      more();
    };
    const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n';
    const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
    const block = (text) => Buffer.from(text.repeat(Math.ceil(65536 / text.length)));
    const event = (content, finish = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;

    const endlessAttacks = {
      'a line of 1 GiB': [`${HEAD}\r\ndata: `, block('x')],
      'a line of 1 GiB in chunks': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunk('data: ')}`, block(chunk('x'.repeat(1000)))],
      'a string of 1 GiB': [`${HEAD}\r\ndata: {"choices":[{"delta":{"content":"`, block('x')],
      'nested arrays of 1 GiB': [`${HEAD}\r\ndata: `, block('[')],
      'one event of many lines': [`${HEAD}\r\n`, block('data: x\n')],
      'endless headers': ['HTTP/1.1 200 OK\r\n', block('X-A: b\r\n')],
      'an endless header': ['HTTP/1.1 200 OK\r\nX-A: ', block('b')],
      'an endless status line': ['HTTP/1.1 200 ', block('O')],
      'endless comments': [`${HEAD}\r\n`, block(': alive\n\n')],
      'endless blank lines': [`${HEAD}\r\n`, block('\n')],
      'endless events that say nothing': [`${HEAD}\r\n`, block('event: x\ndata: {}\n\n')],
      'endless chunk extensions': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n1;`, block('x')],
      'endless zeros of a chunk size': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n`, block('0')],
      'endless trailers': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n`, block('X: y\r\n')],
      'endless 100 Continue': ['', block('HTTP/1.1 100 Continue\r\n\r\n')],
      'an endless error page': ['HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n\r\n', block('<p>')],
    };
    for (const [name, [first, bundle]] of Object.entries(endlessAttacks))
      test(`${name}: the call ends, memory stays flat, others are served`, async () => {
        script = { answer: (socket) => endless(socket, first, bundle) };
        const { pid } = (await stack.list('host list'))[0];
        await memoryFlat([stack.daemon.pid, pid], 48, async () => {
          const attacked = ask(stack, KEY);
          for (let i = 0; i < 3; i++) assert.equal((await ask(stack, OTHER, `q${i}`)).status, 200);
          const { status, body } = await attacked;
          assert.ok(status >= 500 || status === 429 || /"error"|"finish_reason"/.test(body), `${status} ${body.slice(0, 300)}`);
          if (status === 200) assert.ok(body.length < 1 << 20, `an answer of ${body.length} bytes`);
        });
      });

    test('gzip in spite of identity is an error, not a bomb', async () => {
      const bomb = zlib.gzipSync(Buffer.alloc(32 << 20, event('x')));
      script = { answer: (socket) => { socket.write(`${HEAD}Content-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`); socket.end(bomb); } };
      await memoryFlat([stack.daemon.pid], 24, async () => assert.ok((await ask(stack, KEY)).status >= 500));
    });

    test('redirects are not followed', async () => {
      script = { answer: (socket) => socket.end(`HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:${server.address().port}/v1/chat/completions\r\nContent-Length: 0\r\n\r\n`) };
      const { status } = await ask(stack, KEY);
      assert.ok(status >= 500, `${status}`);
      assert.ok(connections <= 3, `${connections} connections for one question`);
    });

    test('a response behind the response is nobody\'s answer', async () => {
      const poison = event('poison', 'stop') + 'data: [DONE]\n\n';
      const response = (text) => `${HEAD}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
      script = { answer: (socket) => socket.write(response(event('mine', 'stop') + 'data: [DONE]\n\n') + response(poison)) };
      for (let i = 0; i < 5; i++) {
        const { status, body } = await ask(stack, KEY, `q${i}`);
        assert.equal(status, 200, body);
        assert.equal(JSON.parse(body).choices[0].message.content, 'mine');
      }
    });

    test('words that look like a response stay words in one', async () => {
      const words = 'a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad0\r\n\r\n';
      script = { answer: (socket) => socket.end(`${HEAD}\r\n${event(words, 'stop')}data: [DONE]\n\n`) };
      const client = await rawConnect(stack.ports.api, post('/v1/chat/completions', { stream: true, messages: [{ role: 'user', content: 'q' }] }, { headers: `Authorization: Bearer ${KEY}\r\n` }));
      const [answer] = await client.whole();
      client.end();
      assert.equal(responses(client.bytes).length, 1);
      const said = answer.body.toString().split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices[0]?.delta?.content ?? '').join('');
      assert.equal(said, words);
      // The same in what the service calls an error: it stands in one line of JSON.
      script = { answer: (socket) => { const body = JSON.stringify({ error: { message: words } }); socket.end(`HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`); } };
      const second = await rawConnect(stack.ports.api, post('/v1/chat/completions', { messages: [{ role: 'user', content: 'q' }] }, { headers: `Authorization: Bearer ${KEY}\r\n` }));
      await second.whole();
      assert.equal(responses(second.bytes).length, 1);
      assert.doesNotMatch(second.bytes.toString('latin1'), /\nHTTP\/1\.1 200/);
      second.end();
    });
  });

// Goal: the mock model server does exactly what its model names promise, byte for byte where it matters, because every
// other integration test believes it.
// Method: raw sockets with an HTTP and an event-stream reader of this file's own, against a real server process.
// Catches: lost, doubled or reordered tokens, wrong framing, a cancel that goes unnoticed, memory that grows.
// Run: UMBEL_MOCK_LLM=path/to/umbel-mock-llm node --test tests/integration/mock_llm.test.mjs
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { gunzipSync } from 'node:zlib';

const binary = process.env.UMBEL_MOCK_LLM;
const skip = binary ? false : 'UMBEL_MOCK_LLM does not name the server binary';
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function start(...args) {
  const child = spawn(binary, ['--listen', '127.0.0.1:0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((done) => child.on('exit', (code, signal) => done(code ?? signal)));
  let out = '';
  await new Promise((done, fail) => {
    child.stdout.on('data', (data) => {
      out += data;
      if (out.includes('\n')) done();
    });
    exited.then((code) => fail(new Error(`server ended with ${code} before listening`)));
  });
  const match = /^listening on 127\.0\.0\.1:(\d+)\n/.exec(out);
  assert.ok(match, `first line is ${JSON.stringify(out)}`);
  return { child, exited, port: Number(match[1]), output: () => out };
}

async function stop(server) {
  server.child.kill('SIGTERM');
  assert.equal(await server.exited, 0, 'SIGTERM ends the server with exit code 0');
}

const chat = (model, extra = {}, prompt = 'hello') =>
  JSON.stringify({ model, messages: [{ role: 'user', content: prompt }], stream: true, ...extra });
const post = (body, headers = '') =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

// Sends text over a fresh connection and reads until the peer closes, `until(bytes)` holds, or `ms` have passed.
function raw(port, text, { until = () => false, ms = 5000, secure = false } = {}) {
  return new Promise((done) => {
    const socket = secure ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }) : net.connect(port, '127.0.0.1');
    const parts = [];
    let error = null;
    const finish = (how) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      done({ bytes: Buffer.concat(parts), parts, how, error });
    };
    const timer = setTimeout(() => finish('time'), ms);
    socket.setNoDelay(true);
    socket.on(secure ? 'secureConnect' : 'connect', () => socket.write(text));
    socket.on('data', (data) => {
      parts.push(data);
      if (until(Buffer.concat(parts))) finish('until');
    });
    socket.on('error', (e) => { error = e.code; });
    socket.on('close', () => finish(error ?? 'closed'));
  });
}

// Splits a response into head, body (chunks undone) and the sizes of its chunks; `whole` tells of a proper end.
function response(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  assert.ok(end > 0, `no response head in ${bytes.length} bytes`);
  const [line, ...fields] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(fields.map((f) => [f.slice(0, f.indexOf(':')).toLowerCase(), f.slice(f.indexOf(':') + 1).trim()]));
  let rest = bytes.subarray(end + 4);
  const result = { status: Number(line.split(' ')[1]), headers, chunks: [], whole: false, body: rest, rest: Buffer.alloc(0) };
  if (headers['content-length'] !== undefined) {
    const size = Number(headers['content-length']);
    return { ...result, body: rest.subarray(0, size), whole: rest.length >= size, rest: rest.subarray(size) };
  }
  if (headers['transfer-encoding'] !== 'chunked') return { ...result, whole: true };
  const data = [];
  for (;;) {
    const at = rest.indexOf('\r\n');
    if (at < 0) break;
    const size = parseInt(rest.subarray(0, at).toString('latin1'), 16);
    assert.ok(Number.isInteger(size), 'chunk size');
    if (rest.length < at + 4 + size) break;
    assert.equal(rest.subarray(at + 2 + size, at + 4 + size).toString(), '\r\n', 'chunk ends with CR LF');
    data.push(rest.subarray(at + 2, at + 2 + size));
    rest = rest.subarray(at + 4 + size);
    if (size === 0) {
      result.whole = true;
      break;
    }
    result.chunks.push(size);
  }
  return { ...result, body: Buffer.concat(data), rest };
}

// An event-stream reader: the data of each event, comments aside; `tail` is an unterminated last line.
function events(body) {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  const lines = text.split(/\r\n|\n|\r/);
  const list = [];
  const comments = [];
  let data = [];
  const tail = lines.pop();
  for (const line of lines) {
    if (line === '') {
      if (data.length) list.push(data.join('\n'));
      data = [];
    } else if (line.startsWith(':')) comments.push(line);
    else {
      assert.match(line, /^data:/);
      data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
    }
  }
  return { list, comments, tail, text };
}

function collect(body) {
  const { list, comments, tail, text } = events(body);
  const json = list.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data));
  const deltas = json.flatMap((chunk) => chunk.choices ?? []).map((choice) => choice.delta);
  return {
    json, deltas, comments, tail, text,
    done: list.at(-1) === '[DONE]',
    content: deltas.map((delta) => delta.content ?? '').join(''),
    reasoning: deltas.map((delta) => delta.reasoning_content ?? '').join(''),
    finish: json.flatMap((chunk) => chunk.choices ?? []).map((choice) => choice.finish_reason).filter((reason) => reason !== null),
    usages: json.map((chunk) => chunk.usage).filter(Boolean),
  };
}

describe('mock-llm', { skip, concurrency: false }, () => {
  let server;
  let port;
  before(async () => {
    server = await start();
    port = server.port;
  });
  after(() => stop(server));

  const get = async (path, method = 'GET', body = '') => {
    const r = await raw(port, `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    return response(r.bytes);
  };
  const json = async (path) => JSON.parse((await get(path)).body);
  const requests = (model) => json(`/mock/requests?model=${encodeURIComponent(model)}`);
  const text = async (model, prompt = 'hello') =>
    (await get(`/mock/text?model=${encodeURIComponent(model)}&prompt=${encodeURIComponent(prompt)}`)).body.toString();
  const stream = async (model, extra = {}, prompt = 'hello', options = {}) => {
    const r = await raw(port, post(chat(model, extra, prompt), 'Connection: close\r\n'), options);
    return { ...r, ...response(r.bytes) };
  };
  const ended = async (model, end, ms = 2000) => {
    for (const limit = Date.now() + ms; ;) {
      const list = (await requests(model)).requests;
      if (list.length && list.at(-1).end === end) return list;
      assert.ok(Date.now() < limit, `${model} ends as ${end}, is ${JSON.stringify(list.at(-1))}`);
      await sleep(10);
    }
  };
  const error = (r) => {
    const body = JSON.parse(r.body);
    assert.deepEqual(Object.keys(body.error), ['message', 'type', 'param', 'code']);
    return body.error;
  };

  test('models, unknown paths and methods', async () => {
    const list = await json('/v1/models');
    assert.equal(list.object, 'list');
    assert.ok(list.data.some((model) => model.id === 'demo-1'));
    assert.equal((await get('/v1/nothing')).status, 404);
    const r = await get('/v1/chat/completions');
    assert.equal(r.status, 405);
    assert.equal(r.headers.allow, 'POST');
    error(r);
  });

  test('requests are checked as the real service does', async () => {
    const bad = {
      'not json': '{"model":', 'not utf-8': Buffer.from([0x22, 0xff, 0x22]), 'not an object': '[]', 'no model': '{"messages":[{"role":"user","content":"x"}]}',
      'no messages': '{"model":"m"}', 'empty messages': '{"model":"m","messages":[]}',
      'bad role': '{"model":"m","messages":[{"role":"king","content":"x"}]}', 'bad content': '{"model":"m","messages":[{"role":"user","content":7}]}',
      'bad stream': '{"model":"m","stream":"yes","messages":[{"role":"user","content":"x"}]}',
      'options without stream': '{"model":"m","stream_options":{},"messages":[{"role":"user","content":"x"}]}',
      'trailing bytes': '{"model":"m","messages":[{"role":"user","content":"x"}]}}',
    };
    for (const [name, body] of Object.entries(bad)) {
      const buffer = Buffer.from(body);
      const r = response((await raw(port, Buffer.concat([Buffer.from(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${buffer.length}\r\n\r\n`), buffer]))).bytes);
      assert.equal(r.status, 400, name);
      assert.equal(error(r).type, 'invalid_request_error', name);
    }
    for (const [model, name] of [['m:nonsense=1', 'nonsense'], ['m:tokens=x', 'tokens'], ['m:text=poem', 'text'], ['m:fault=pace@3', 'pace'],
      ['m:pace=1.', 'pace'], ['m:status=200', 'status'], ['m:malformed=0', 'malformed'], [`m:seed=99999999999999999999`, 'seed'], [':tokens=1', 'name'], ['m:', '']]) {
      const r = await stream(model);
      assert.equal(r.status, 400, model);
      assert.ok(error(r).message.includes(name), model);
    }
  });

  test('strict HTTP: limits, ambiguity, malformed heads', async () => {
    const status = async (request) => response((await raw(port, request)).bytes).status;
    assert.equal(await status('GET /v1/models HTTP/1.1\r\n\r\n'), 400, 'no Host');
    assert.equal(await status('GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n'), 505);
    assert.equal(await status('GET /v1/models\r\nHost: x\r\n\r\n'), 400);
    assert.equal(await status('GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n'), 400);
    assert.equal(await status('GET /v1/models HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n'), 400);
    assert.equal(await status('GET /v1/models HTTP/1.1\nHost: x\r\n\r\n'), 400, 'a bare LF');
    assert.equal(await status(`GET /v1/models HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(40000)}\r\n\r\n`), 431);
    assert.equal(await status(`GET /v1/models HTTP/1.1\r\nHost: x\r\n${'X: a\r\n'.repeat(120)}\r\n`), 431);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'), 400);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n'), 400);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 16777217\r\n\r\n'), 413);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n'), 413);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'), 400);
    assert.equal(await status('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n'), 501);
  });

  test('chunked request bodies, 100-continue, byte-wise arrival, keep-alive and pipelining', async () => {
    const body = chat('up:pace=0:text=echo', { stream: false }, '你好');
    const buffer = Buffer.from(body);
    let pieces = '';
    for (const byte of buffer) pieces += `1;x=y\r\n${String.fromCharCode(byte)}\r\n`;
    let r = response((await raw(port, Buffer.from(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${pieces}0\r\nT: 1\r\n\r\n`, 'latin1'))).bytes);
    assert.equal(JSON.parse(r.body).choices[0].message.content, '你好');

    const expect = (await raw(port, post(body, 'Expect: 100-continue\r\nConnection: close\r\n'))).bytes.toString();
    assert.match(expect, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);

    const three = post(chat('kept:pace=0:tokens=3:text=count')) + post(chat('kept:pace=0:tokens=2:text=count', { stream: false })) + post(chat('kept:pace=0:tokens=1:text=count'), 'Connection: close\r\n');
    const socket = net.connect(port, '127.0.0.1');
    const parts = [];
    socket.on('data', (data) => parts.push(data));
    for (const byte of Buffer.from(three)) {
      socket.write(Buffer.from([byte]));
      if (byte === 10) await sleep(0);
    }
    await new Promise((done) => socket.on('close', done));
    let rest = Buffer.concat(parts);
    const texts = [];
    for (let i = 0; i < 3; i++) {
      r = response(rest);
      assert.ok(r.whole);
      texts.push(i === 1 ? JSON.parse(r.body).choices[0].message.content : collect(r.body).content);
      rest = r.rest;
    }
    assert.deepEqual(texts, ['t0 t1 t2', 't0 t1', 't0']);
    assert.equal(rest.length, 0);
    const list = (await requests('kept:pace=0:tokens=3:text=count')).requests;
    assert.equal(list[0].request, 1);
  });

  test('the plain demo model: about 60 tokens, 30 ms apart, about the last user message', async () => {
    const started = Date.now();
    const r = await stream('demo-1', {}, '为什么 is the\nsky blue? 🌈');
    const took = Date.now() - started;
    const answer = collect(r.body);
    assert.ok(answer.content.includes('“为什么 is the sky blue? 🌈”'), answer.content);
    assert.equal(answer.content, await text('demo-1', '为什么 is the\nsky blue? 🌈'));
    assert.ok(answer.deltas.length >= 50 && answer.deltas.length <= 90, `${answer.deltas.length} deltas`);
    assert.ok(took > answer.deltas.length * 25 && took < 4000, `${took} ms`);
    assert.ok(r.parts.length >= answer.deltas.length - 2, 'each token arrives by itself');
    assert.deepEqual(answer.finish, ['stop']);
    assert.ok(answer.done);
  });

  test('bytes are exact', async () => {
    const model = 'exact:text=count:tokens=2:pace=0';
    const r = await stream(model, { stream_options: { include_usage: true } });
    const { id, created } = collect(r.body).json[0];
    assert.match(id, /^chatcmpl-[0-9a-f]{32}$/);
    const base = `{"id":"${id}","object":"chat.completion.chunk","created":${created},"model":"${model}","system_fingerprint":"fp_mock",`;
    const chunk = (delta, reason) => `data: ${base}"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${reason}}],"usage":null}\n\n`;
    assert.equal(r.body.toString(), chunk('{"role":"assistant","content":"","refusal":null}', 'null') + chunk('{"content":"t0"}', 'null') +
      chunk('{"content":" t1"}', 'null') + chunk('{}', '"stop"') +
      `data: ${base}"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}\n\ndata: [DONE]\n\n`);
    assert.deepEqual(r.chunks, events(r.body).text.split('\n\n').slice(0, -1).map((event) => Buffer.byteLength(event) + 2));
    assert.ok(r.whole);
  });

  test('every text: streamed, whole and predicted are the same', async () => {
    const texts = ['text=demo', 'text=demo:tokens=200', 'text=demo:tokens=7', 'text=demo:bytes=5', 'text=echo', 'text=echo:bytes=4', 'text=cjk', 'text=cjk:bytes=12:tokens=50',
      'text=emoji:tokens=100', 'text=ascii:tokens=100:bytes=16', 'text=count:tokens=500', 'text=count:bytes=9', 'text=mixed:tokens=400', 'text=mixed:tokens=100:bytes=40:seed=7', 'text=empty'];
    const prompt = 'Say "error"\\ and success: 你好 👩‍💻\n\u2028end';
    for (const options of texts) {
      const model = `t:pace=0:${options}`;
      const predicted = await text(model, prompt);
      const answer = collect((await stream(model, {}, prompt)).body);
      assert.equal(answer.content, predicted, options);
      const whole = JSON.parse((await stream(model, { stream: false }, prompt)).body);
      assert.equal(whole.choices[0].message.content, predicted, options);
      assert.equal(whole.choices[0].finish_reason, 'stop');
      const tokens = Number(/tokens=(\d+)/.exec(options)?.[1] ?? NaN);
      if (tokens) assert.equal(whole.usage.completion_tokens, tokens, options);
    }
    assert.equal(await text('t:text=echo', prompt), prompt);
    assert.equal(await text('t:text=empty'), '');
    assert.equal(await text('t:text=count:tokens=4'), 't0 t1 t2 t3');
    assert.equal(Buffer.byteLength(await text('t:text=ascii:bytes=16:tokens=100')), 1600);
    assert.notEqual(await text('t:text=mixed:seed=2'), await text('t:text=mixed:seed=3'));
    assert.match(await text('t:text=mixed:tokens=400'), /error[^]*success: |success: [^]*error/);
  });

  test('text=messages answers with the messages, prompts may be parts', async () => {
    const messages = [{ role: 'system', content: 'be "kind"' }, { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url', image_url: { url: 'x' } }, { type: 'text', text: 'b' }] }, { role: 'assistant', content: null }];
    const body = { model: 'm:text=messages:pace=0', messages, stream: true };
    const r = response((await raw(port, post(JSON.stringify(body), 'Connection: close\r\n'))).bytes);
    assert.deepEqual(JSON.parse(collect(r.body).content), messages);
    assert.deepEqual(JSON.parse((await get('/mock/text', 'POST', JSON.stringify(body))).body), messages);
    assert.equal((await get('/mock/text', 'POST', JSON.stringify({ ...body, model: 'm:text=echo' }))).body.toString(), 'ab');
  });

  test('max_tokens cuts the answer and names the reason', async () => {
    const answer = collect((await stream('m:text=count:tokens=9:pace=0', { max_tokens: 3 })).body);
    assert.equal(answer.content, 't0 t1 t2');
    assert.deepEqual(answer.finish, ['length']);
    assert.deepEqual(collect((await stream('m:text=count:tokens=3:pace=0', { max_tokens: 3 })).body).finish, ['stop']);
  });

  test('cuts: the same answer however its bytes arrive', async () => {
    const predicted = await text('m:text=mixed:tokens=40');
    for (const cut of ['cut=event', 'cut=coalesce', 'cut=any', 'cut=any:gap=0.5:seed=1', 'cut=utf8', 'cut=byte'])
      for (const frame of ['http=chunked', 'http=close', 'chunks=any']) {
        const r = await stream(`m:text=mixed:tokens=40:pace=0:${cut}:${frame}`);
        assert.equal(collect(r.body).content, predicted, `${cut} ${frame}`);
        assert.ok(r.whole, `${cut} ${frame}`);
        assert.equal(r.headers['transfer-encoding'], frame === 'http=close' ? undefined : 'chunked');
        if (frame === 'chunks=any') assert.ok(r.chunks.every((size) => size <= 48) && r.chunks.length > 100, cut);
      }
    const inside = (parts) => parts.filter((part) => { // ends between the bytes of a character
      let at = part.length - 1;
      while (at > 0 && part.length - at < 4 && (part[at] & 0xc0) === 0x80) at--;
      const need = part[at] >= 0xf0 ? 4 : part[at] >= 0xe0 ? 3 : part[at] >= 0xc2 ? 2 : 1;
      return part.length - at < need;
    }).length;
    const cjk = await stream('m:text=cjk:tokens=20:pace=1:cut=utf8');
    assert.ok(inside(cjk.parts) >= 20, `${inside(cjk.parts)} arrivals end inside a character`);
    assert.equal(collect(cjk.body).content, await text('m:text=cjk:tokens=20'));
    assert.equal(inside((await stream('m:text=cjk:tokens=20:pace=1')).parts), 0);
    const slow = await stream('m:text=ascii:tokens=2:pace=0:cut=byte:gap=0.2');
    assert.ok(slow.parts.length > 300, `${slow.parts.length} arrivals`);
    const few = await stream('m:text=ascii:tokens=60:pace=2:cut=coalesce');
    assert.ok(few.parts.length < 45, `${few.parts.length} arrivals of 60 tokens`);
  });

  test('framing variants', async () => {
    const body = async (options, extra) => (await stream(`m:text=count:tokens=4:pace=0:${options}`, extra)).body;
    const crlf = (await body('eol=crlf')).toString();
    assert.equal(crlf.replaceAll('\r\n', '').match(/[\r\n]/), null);
    assert.equal(crlf.split('\r\n\r\n').length, 8);
    const cr = (await body('eol=cr')).toString();
    assert.ok(!cr.includes('\n') && cr.endsWith('data: [DONE]\r\r'));
    assert.equal(collect(Buffer.from(cr)).content, 't0 t1 t2 t3');
    const commented = await body('comments=2');
    assert.ok(commented.toString().startsWith(': keep-alive\n\ndata: '));
    assert.equal(events(commented).comments.length, 3);
    assert.ok((await body('space=no')).toString().startsWith('data:{'));
    assert.deepEqual([...(await body('bom=1')).subarray(0, 4)], [0xef, 0xbb, 0xbf, 0x64]);
    assert.equal(collect(await body('done=no')).done, false);
    assert.deepEqual(collect(await body('finish=no')).finish, []);
    for (const reason of ['length', 'content_filter', 'network_error']) assert.deepEqual(collect(await body(`finish=${reason}`)).finish, [reason]);
    const empty = collect(await body('choices=empty'));
    assert.deepEqual([empty.json[0].choices, empty.json[0].id], [[], '']);
    assert.equal(events(await body('eof=noeol')).tail, 'data: [DONE]');
    const tail = events(await body('eof=noeol:done=no')).tail;
    assert.equal(JSON.parse(tail.slice(6)).choices[0].finish_reason, 'stop');
  });

  test('roles, nulls, reasoning and tool calls', async () => {
    const answer = async (options, extra) => collect((await stream(`m:text=count:tokens=3:pace=0:${options}`, extra)).body);
    assert.deepEqual((await answer('role=first')).deltas.map((delta) => delta.role), ['assistant', undefined, undefined, undefined, undefined]);
    assert.ok((await answer('role=each')).deltas.every((delta) => delta.role === 'assistant'));
    assert.ok((await answer('role=none')).deltas.every((delta) => delta.role === undefined));
    const nulls = await answer('nulls=1:reasoning=2');
    assert.equal(nulls.deltas[0].content, null);
    assert.equal(nulls.deltas[1].content, null);
    assert.equal(nulls.deltas[3].reasoning_content, null);
    assert.equal(nulls.reasoning, 'r0 r1');
    assert.equal(nulls.content, 't0 t1 t2');
    const tool = collect((await stream('m:tool=1:pace=0')).body);
    const calls = tool.deltas.flatMap((delta) => delta.tool_calls ?? []);
    assert.equal(calls.filter((call) => call.id).length, 1);
    assert.equal(calls[0].function.name, 'get_weather');
    assert.deepEqual(JSON.parse(calls.map((call) => call.function.arguments).join('')), { city: '杭州', unit: 'celsius' });
    assert.deepEqual(tool.finish, ['tool_calls']);
    assert.equal(tool.content, '');
    assert.equal((await answer('tool=1')).content, 't0 t1 t2');
    const whole = JSON.parse((await stream('m:tool=1:pace=0:reasoning=2', { stream: false })).body).choices[0];
    assert.equal(whole.message.content, null);
    assert.deepEqual(JSON.parse(whole.message.tool_calls[0].function.arguments), { city: '杭州', unit: 'celsius' });
    assert.equal(whole.message.reasoning_content, 'r0 r1');
  });

  test('usage in all its places', async () => {
    const usage = { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 };
    const answer = async (mode, extra = {}) => collect((await stream(`m:text=count:tokens=3:pace=0:usage=${mode}`, extra)).body);
    const asked = { stream_options: { include_usage: true } };
    assert.deepEqual((await answer('ask')).usages, []);
    assert.deepEqual((await answer('ask', asked)).usages, [usage]);
    const always = (await answer('always')).json.at(-1);
    assert.deepEqual([always.choices, always.usage], [[], usage]);
    assert.deepEqual((await answer('no', asked)).usages, []);
    const finish = await answer('finish', asked);
    assert.deepEqual([finish.json.at(-1).usage, finish.json.at(-1).choices[0].finish_reason], [usage, 'stop']);
    const choice = await answer('choice');
    assert.deepEqual(choice.json.at(-1).choices[0].usage, usage);
    assert.deepEqual(choice.usages, []);
  });

  test('refusals', async () => {
    for (const status of [400, 401, 403, 404, 408, 429, 500, 502, 503, 529]) {
      const r = await stream(`refuse:status=${status}:retryafter=3`);
      assert.equal(r.status, status);
      assert.ok(error(r).message);
      assert.equal(r.headers['retry-after'], status === 429 || status === 503 ? '3' : undefined);
    }
    const ok = await stream('refuse:status=200json');
    assert.equal(ok.status, 200);
    assert.equal(ok.headers['content-type'], 'application/json');
    error(ok);
    const html = await stream('refuse:fault=html');
    assert.equal(html.status, 502);
    assert.match(html.body.toString(), /^<html>/);
    await ended('refuse:fault=html', 'fault:html');
  });

  test('times=N: the fault passes', async () => {
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await stream('flaky:status=503:times=2:pace=0')).status);
    assert.deepEqual(statuses, [503, 503, 200, 200]);
    await get('/mock/reset', 'POST');
    assert.equal((await stream('flaky:status=503:times=2:pace=0')).status, 503);
  });

  test('faults in the body', async () => {
    const five = (fault) => `body:text=count:tokens=5:pace=1:${fault}`;
    for (const [fault, how] of [['reset=2', 'ECONNRESET'], ['fault=reset@2', 'ECONNRESET'], ['close=2', 'closed']]) {
      // Where another event takes the socket's error first, node shows a reset as a plain close: then once more.
      let r = await stream(five(fault));
      for (let more = 5; more > 0 && how === 'ECONNRESET' && r.how === 'closed'; more--) r = await stream(five(fault));
      assert.equal(r.how, how, fault);
      assert.equal(r.whole, false, fault);
      const answer = collect(r.body);
      assert.equal(answer.content, 't0 t1', fault);
      assert.deepEqual(answer.finish, []);
      const [record] = await ended(five(fault), `fault:${how === 'closed' ? 'close' : 'reset'}`);
      assert.equal(record.tokens, 2);
      assert.equal(record.bytes, r.bytes.length);
    }
    const ends = await stream(five('endchunk=2'));
    assert.ok(ends.whole);
    assert.equal(collect(ends.body).content, 't0 t1');
    assert.equal(collect(ends.body).done, false);
    await ended(five('endchunk=2'), 'fault:endchunk');

    const broken = events((await stream(five('malformed=3'))).body).list;
    assert.throws(() => JSON.parse(broken[2]));
    assert.equal(broken.filter((data) => { try { JSON.parse(data); return false; } catch { return data !== '[DONE]'; } }).length, 1);

    const failed = events((await stream(five('errorat=2'))).body).list;
    assert.equal(JSON.parse(failed.at(-1)).error.type, 'server_error');
    assert.equal(failed.length, 4);
    await ended(five('errorat=2'), 'fault:errorat');
    assert.equal(events((await stream(five('errorat=2:errordone=1'))).body).list.at(-1), '[DONE]');

    for (const size of [1000, 100000, 3000001]) {
      const long = await stream(five(`longline=${size}`));
      const lines = long.body.toString().split('\n');
      assert.equal(Math.max(...lines.map((line) => line.length)), size);
      assert.equal(collect(long.body).content, 't0 t1 t2 t3 t4');
    }
    for (const extra of [{}, { stream: false }]) {
      const zipped = await stream(five('gzip=1'), extra);
      assert.equal(zipped.headers['content-encoding'], 'gzip');
      const plain = gunzipSync(zipped.body);
      assert.ok(plain.includes('t0'));
      if (!extra.stream && extra.stream !== undefined) JSON.parse(plain);
      else assert.equal(collect(plain).content, 't0 t1 t2 t3 t4');
    }
    const half = await stream(five('close=1'), { stream: false });
    assert.equal(half.whole, false);
    assert.throws(() => JSON.parse((response(half.bytes)).body));
  });

  test('stalls, slow and endless heads', async () => {
    for (const [fault, seen] of [['stall=head', 'nothing'], ['stall=first', 'head'], ['stall=2', 't0 t1'], ['stall=0', '']]) {
      const model = `quiet:text=count:tokens=5:pace=1:${fault}`;
      const r = await raw(port, post(chat(model)), { ms: 250 });
      assert.equal(r.how, 'time', fault);
      if (seen === 'nothing') assert.equal(r.bytes.length, 0);
      else if (seen === 'head') assert.equal(response(r.bytes).body.length, 0);
      else assert.equal(collect(response(r.bytes).body).content, seen);
      const [record] = await ended(model, 'client_closed', 500);
      assert.equal(record.fault, 'stall');
    }
    let started = Date.now();
    assert.equal((await stream('slow:tokens=1:pace=0:slowhead=150')).status, 200);
    assert.ok(Date.now() - started >= 149);
    started = Date.now();
    const first = await raw(port, post(chat('slow:tokens=3:pace=0:first=150:comments=1')), { until: (bytes) => bytes.includes('keep-alive') });
    assert.ok(Date.now() - started < 140 && !first.bytes.includes('data:'), 'head and comment come before the wait');
    await stream('slow:tokens=3:pace=0:first=150');
    assert.ok(Date.now() - started >= 149);
    const endless = await raw(port, post(chat('endless:headers=endless')), { until: (bytes) => bytes.length > 100000 });
    assert.equal(endless.how, 'until');
    assert.equal(endless.bytes.indexOf('\r\n\r\n'), -1);
    await ended('endless:headers=endless', 'client_closed');
  });

  test('a client that leaves is noticed at once, and was served once', async () => {
    await get('/mock/reset', 'POST');
    const model = 'cancel:text=count:tokens=1000:pace=200';
    await raw(port, post(chat(model)), { until: (bytes) => bytes.includes('"t0"') });
    const left = Date.now();
    const list = await ended(model, 'client_closed', 150); // well before the next token is due
    assert.ok(Date.now() - left < 150);
    assert.equal(list.length, 1);
    assert.ok(list[0].tokens <= 2);
    const all = await json('/mock/requests');
    assert.deepEqual([all.active, all.total, all.client_closed], [0, 1, 1]);
    assert.ok(list[0].bytes > 500 && list[0].duration_ms > 0 && list[0].stream === true && list[0].messages === 1);
    const whole = 'cancel:text=count:tokens=50:pace=100';
    await raw(port, post(chat(whole, { stream: false })), { ms: 50 });
    await ended(whole, 'client_closed', 300);
  });

  test('a client that does not read costs no memory and loses nothing', async () => {
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]);
    const model = 'flood:text=count:tokens=200000:pace=0';
    const before = rss();
    const socket = net.connect({ port, host: '127.0.0.1' });
    const parts = [];
    socket.pause();
    socket.write(post(chat(model), 'Connection: close\r\n'));
    await sleep(500);
    assert.ok(rss() - before < 4096, `${rss() - before} KiB more for one stream that nobody reads`);
    socket.on('data', (data) => parts.push(data));
    socket.resume();
    await new Promise((done) => socket.on('close', done));
    const r = response(Buffer.concat(parts));
    assert.ok(r.whole);
    const words = collect(r.body).content.split(' ');
    assert.equal(words.length, 200000);
    assert.ok(words.every((word, i) => word === `t${i}`));
  });

  test('1,000 streams at once lose nothing', async () => {
    await get('/mock/reset', 'POST');
    const model = 'many:text=count:tokens=40:pace=10';
    const one = async (i) => {
      const r = await stream(`${model}:cut=${['event', 'any', 'coalesce', 'utf8'][i % 4]}:seed=${i}`, {}, 'x', { ms: 30000 });
      return collect(r.body);
    };
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => one(i)));
    const wanted = await text(model);
    for (const answer of answers) {
      assert.equal(answer.content, wanted);
      assert.ok(answer.done);
    }
    assert.equal(new Set(answers.map((answer) => answer.json[0].id)).size, 1000);
    const all = await json('/mock/requests');
    assert.deepEqual([all.total, all.active, all.client_closed, all.requests.length], [1000, 0, 0, 1000]);
    assert.ok(all.requests.every((record) => record.end === 'complete' && record.tokens === 40));
  });
});

describe('mock-llm options', { skip, concurrency: false }, () => {
  let folder;
  before(() => { folder = mkdtempSync(join(tmpdir(), 'mock-llm-')); });
  after(() => rmSync(folder, { recursive: true }));

  test('defaults, key and log; a running stream ends as shutdown', async () => {
    const log = join(folder, 'log');
    const server = await start('--pace-ms', '0.5', '--tokens', '4', '--token-bytes', '8', '--require-key', 'secret-key', '--log', log, '--seed', '9');
    const ask = async (headers) => response((await raw(server.port, post(chat('m:text=ascii'), `Connection: close\r\n${headers}`))).bytes);
    const wrong = await ask('Authorization: Bearer wrong\r\n');
    assert.equal(wrong.status, 401);
    assert.equal(JSON.parse(wrong.body).error.code, 'invalid_api_key');
    assert.equal((await ask('')).status, 401);
    const right = await ask('Authorization: Bearer secret-key\r\n');
    assert.equal(collect(right.body).content.length, 32);
    const running = raw(server.port, post(chat('m:pace=1000'), 'Authorization: Bearer secret-key\r\n'));
    await sleep(100);
    await stop(server);
    await running;
    const lines = readFileSync(log, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    assert.ok(!readFileSync(log, 'utf8').includes('secret-key'), 'the key is not written down');
    assert.equal(lines.filter((line) => line.event === 'start').length, 4);
    assert.deepEqual(lines.filter((line) => line.event === 'end').map((line) => line.end), ['complete', 'complete', 'complete', 'shutdown']);
    assert.equal(lines.find((line) => line.model === 'm:text=ascii').headers.authorization, 'Bearer <10 bytes>');
  });

  test('--help names every option; wrong usage exits 2', () => {
    const help = execFileSync(binary, ['--help']).toString();
    for (const option of ['tokens=', 'cut=', 'stall=', '--listen', '/mock/text']) assert.ok(help.includes(option));
    for (const args of [['--nonsense'], ['--pace-ms', 'x'], ['extra'], ['--tls-cert', 'x']])
      assert.throws(() => execFileSync(binary, args, { stdio: 'ignore' }), { status: 2 });
    assert.throws(() => execFileSync(binary, ['--listen', 'nowhere'], { stdio: 'ignore' }), { status: 1 });
  });

  test('continue=1 goes on where the assistant stopped, overlap=N says a little again; --benchmark changes what is not said', async () => {
    const server = await start('--benchmark', '--pace-ms', '0');
    const say = async (model, begun) => {
      const messages = [{ role: 'user', content: 'hello' }, ...(begun ? [{ role: 'assistant', content: begun }] : [])];
      const r = await raw(server.port, post(chat(model, { messages }), 'Connection: close\r\n'));
      return collect(response(r.bytes).body).content;
    };
    const whole = await say('m:text=emoji:tokens=30:continue=1'), points = [...whole];
    for (const at of [1, 7, 8, 20, points.length]) {
      const begun = points.slice(0, at).join('');
      assert.equal(begun + (await say('m:text=emoji:tokens=30:continue=1', begun)), whole, `from ${at}`);
      const again = await say('m:text=emoji:tokens=30:continue=1:overlap=9', begun);
      assert.ok(whole.endsWith(again) && Buffer.byteLength(again) <= Buffer.byteLength(whole) - Buffer.byteLength(begun) + 9);
      assert.ok(Buffer.byteLength(again) > Buffer.byteLength(whole) - Buffer.byteLength(begun), 'something is said again');
      assert.equal(await say('m:text=emoji:tokens=30', begun), whole, 'not without the option');
    }
    assert.equal(await say('m:text=emoji:tokens=30:continue=1', 'something else'), whole);
    assert.match(await say('plain:tokens=9'), /^[ -~]+$/);
    assert.match(await say('other:text=cjk:tokens=9'), /^[^ -~]+$/);
    await stop(server);
  });

  test('TLS', async (t) => {
    const key = join(folder, 'key.pem');
    const cert = join(folder, 'cert.pem');
    try {
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost'], { stdio: 'ignore' });
    } catch {
      t.skip('no openssl command');
      return;
    }
    const server = await start('--tls-cert', cert, '--tls-key', key);
    const ask = (model, options) => raw(server.port, post(chat(model), 'Connection: close\r\n'), { secure: true, ...options });
    for (const options of ['', ':cut=utf8', ':http=close', ':cut=any:chunks=any', ':cut=coalesce', ':longline=200000']) {
      const r = await ask(`s:text=count:tokens=300:pace=0${options}`);
      assert.equal(r.how, 'closed', options);
      assert.equal(collect(response(r.bytes).body).content.split(' ').length, 300, options);
    }
    assert.equal((await ask('s:pace=1:reset=3')).how, 'ECONNRESET');
    await ask('s:stall=1:pace=0', { ms: 200 });
    await sleep(50);
    const list = response((await raw(server.port, 'GET /mock/requests?model=s:stall%3D1:pace%3D0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', { secure: true })).bytes);
    assert.equal(JSON.parse(list.body).requests[0].end, 'client_closed');
    await stop(server);
  });
});

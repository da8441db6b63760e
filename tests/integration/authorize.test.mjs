// The operator's own service that says who may enter: a real HTTP service beside a real umbeld, asked about clients of every protocol.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import WebSocket from 'ws';
import { startStack, freePort, until, KEY } from './support.mjs';

const SECRET = 'service-secret-0123456789';
const env = { AUTHORIZE_SECRET: SECRET, http_proxy: 'http://127.0.0.1:1', ALL_PROXY: 'http://127.0.0.1:1', no_proxy: '', NO_PROXY: '' }; // the service is asked directly
const transports = { api: { plugin: 'openai-api' }, wx: { plugin: 'http-chunked-wxapp', gap_ms: 1, end_gap_ms: 1 }, bmob: { plugin: 'ws-bmob' }, cgws: { plugin: 'ws-chatgpt' } };

/** A service: decide(question) answers an object, or { status, text }, or waits. */
async function startService(options) {
  const service = { questions: [], at_once: 0, most_at_once: 0, sockets: 0, decide: ({ credential }) => ({ allow: true, user: credential }) };
  const serve = async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    service.most_at_once = Math.max(service.most_at_once, ++service.at_once);
    const question = JSON.parse(body);
    service.questions.push({ ...question, authorization: request.headers.authorization, path: request.url });
    const answer = await service.decide(question);
    service.at_once--;
    if (answer.status) response.writeHead(answer.status, answer.headers).end(answer.text ?? '');
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  };
  service.server = options ? https.createServer(options, serve) : http.createServer(serve);
  service.server.on('connection', () => service.sockets++);
  service.server.listen(0, '127.0.0.1');
  await once(service.server, 'listening');
  service.url = `http${options ? 's' : ''}://127.0.0.1:${service.server.address().port}/who`;
  service.asked = (credential) => service.questions.filter((q) => q.credential === credential).length;
  service.stop = () => {
    service.server.closeAllConnections();
    service.server.close();
  };
  return service;
}

/** decide() that waits: held.release(answer) lets all who wait go. */
function hold() {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  return { decide: () => gate, release: go };
}

const stackOf = (service, { authorize = {}, app = {}, ...rest } = {}) =>
  startStack({ transports, env, ...rest, app: { ...app, authorize: { url: service.url ?? service, secret: 'env:AUTHORIZE_SECRET', ...authorize } } });

async function askApi(stack, token, options = {}) {
  const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], ...options }),
  });
  return { status: response.status, body: await response.json() };
}

const askWx = async (stack, token, mini) =>
  (await fetch(`http://127.0.0.1:${stack.ports.wx}/chat/stream?is_wxapp=${mini ? 1 : 0}&token=${encodeURIComponent(token)}&prompt=hello`)).text();
const wxError = (text) => JSON.parse(/event: error\s+data: (\{.*\})/.exec(text)?.[1] ?? 'null');

/** A WebSocket whose frames are kept as objects. */
function openWs(url, headers = {}) {
  const client = { frames: [], ws: new WebSocket(url, { headers, perMessageDeflate: false }) };
  client.ws.on('message', (data) => client.frames.push(JSON.parse(data)));
  client.ws.on('close', (code) => (client.closed = code));
  client.ws.on('error', (error) => (client.error = error));
  client.opened = once(client.ws, 'open');
  client.opened.catch(() => {});
  client.ask = async (content, seq = 's') => {
    await client.opened;
    const from = client.frames.length;
    client.ws.send(JSON.stringify(client.cgws ? { seq, data: { messages: [{ role: 'user', content }] } } : { messages: [{ role: 'user', content }] }));
    const ended = (f) => (client.cgws ? f.code !== 0 || f.data.finish_reason !== null : f.choices[0].finish_reason !== '');
    await until('the end of an answer', () => client.closed || client.frames.slice(from).some(ended));
    return client.frames.slice(from);
  };
  return client;
}
const openBmob = (stack, token) => openWs(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${token}`);
const openChatGpt = (stack, token) => Object.assign(openWs(`ws://127.0.0.1:${stack.ports.cgws}/?token=${token}`), { cgws: true });
const bmobText = (frames) => frames.map((f) => f.choices[0].delta.content).join('');
const counter = async (stack, name) => {
  const rows = await stack.counter(name);
  return JSON.stringify(rows).match(new RegExp(`"name":"${name}"[^}]*?"value":(\\d+)`))?.[1] ?? assert.fail(`no counter ${name}: ${JSON.stringify(rows)}`);
};
const counts = async (stack, name) => Number(await counter(stack, name));

describe('the service of docs/authorize.md', () => {
  test('says who may enter', async () => {
    const text = await readFile(new URL('../../docs/authorize.md', import.meta.url), 'utf8');
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-authorize-'));
    const file = path.join(dir, 'authorize.mjs');
    await writeFile(file, /```js\n([\s\S]*?)```/.exec(text)[1]);
    const child = spawn(process.execPath, [file, '0'], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    let stack;
    try {
      const [line] = await once(child.stdout, 'data');
      stack = await stackOf(`http://127.0.0.1:${/listening on (\d+)/.exec(line)[1]}/`);
      assert.equal((await askApi(stack, 'token-of-ann')).status, 200);
      const bob = await askApi(stack, 'token-of-bob');
      assert.deepEqual([bob.status, bob.body.error.code, bob.body.error.message], [429, 'insufficient_quota', 'Your balance is used up.']);
      const nobody = await askApi(stack, 'token-of-nobody');
      assert.deepEqual([nobody.status, nobody.body.error.code, nobody.body.error.message], [401, 'invalid_api_key', 'Please log in.']);
    } finally {
      child.kill();
      await stack?.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('denials and permissions', () => {
  let service, stack;
  const messages = { 'm-1': 'Please log in.', m101: 'Balance used up, please pay.', m102: 'Not so fast.', m0: 'Go away.', none: '' };
  const codes = { 'm-1': -1, m101: 101, m102: 102, m0: 0, none: -1 };
  before(async () => {
    service = await startService();
    service.decide = ({ credential }) => (credential in codes ? { allow: false, code: codes[credential], ...(messages[credential] && { message: messages[credential] }) } : { allow: true, user: credential });
    stack = await stackOf(service, { model: 'mock:tokens=5:pace=1' });
  });
  after(async () => {
    await stack?.stop();
    service?.stop();
  });

  test('a key of the configuration needs no service', async () => {
    assert.equal((await askApi(stack, KEY)).status, 200);
    assert.equal(service.asked(KEY), 0);
  });

  test('the question has what the page says', async () => {
    assert.equal((await askApi(stack, 'ann')).status, 200);
    const [question] = service.questions.filter((q) => q.credential === 'ann');
    assert.deepEqual(question, { app: 'shop', transport: 'api', kind: 'key', credential: 'ann', client_ip: '127.0.0.1', authorization: `Bearer ${SECRET}`, path: '/who' });
    const client = openWs(`ws://127.0.0.1:${stack.ports.bmob}/1/ai`, { 'X-Bmob-Application-Id': 'public-ann' });
    assert.notEqual(bmobText(await client.ask('x')), '');
    client.ws.terminate();
    assert.equal(service.questions.find((q) => q.credential === 'public-ann').kind, 'public_id');
  });

  test('OpenAI API', async () => {
    const want = { 'm-1': [401, 'invalid_api_key'], m101: [429, 'insufficient_quota'], m102: [429, 'rate_limit_exceeded'], m0: [401, 'invalid_api_key'] };
    for (const [token, [status, code]] of Object.entries(want)) {
      const { status: got, body } = await askApi(stack, token);
      assert.deepEqual([got, body.error.code, body.error.message], [status, code, messages[token]]);
    }
    assert.equal((await askApi(stack, 'none')).body.error.message, 'Incorrect API key provided.');
  });

  test('mini-program and H5', async () => {
    for (const mini of [true, false])
      for (const token of Object.keys(codes)) {
        const text = await askWx(stack, token, mini);
        assert.deepEqual(wxError(text), { code: codes[token] || -1, msg: messages[token] || 'Incorrect API key provided.' }, text);
      }
  });

  test('ws-bmob, where only a bad key says Incorrect', async () => {
    const want = { 'm-1': `Incorrect API key provided: ${messages['m-1']}`, m101: messages.m101, m102: messages.m102, m0: `Incorrect API key provided: ${messages.m0}`, none: 'Incorrect API key provided.' };
    for (const [token, text] of Object.entries(want)) {
      const client = openBmob(stack, token);
      assert.equal(bmobText(await client.ask('hello')), text);
      client.ws.terminate();
    }
  });

  test('ws-chatgpt', async () => {
    for (const token of Object.keys(codes)) {
      const client = openChatGpt(stack, token);
      const [frame] = await client.ask('hello');
      assert.deepEqual([frame.code, frame.msg, frame.seq], [129003, messages[token] || 'Incorrect API key provided.', 's']);
      client.ws.terminate();
    }
  });

  test('a message that is no single line becomes one, and a long one is cut', async () => {
    service.decide = () => ({ allow: false, code: 101, message: `a\r\nb\n\ndata: c ${'é'.repeat(300)}` });
    const { body } = await askApi(stack, 'multi-line');
    assert.match(body.error.message, /^a {2}b {2}data: c é+$/);
    assert.ok(Buffer.byteLength(body.error.message) <= 200);
  });

  test('a credential that is no text is nobody\'s, and is not asked about', async () => {
    const before = service.questions.length;
    const client = openWs(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/%ff%fe`);
    assert.match(bmobText(await client.ask('x')), /^Incorrect/);
    client.ws.terminate();
    assert.equal(service.questions.length, before);
  });
});

describe('users', () => {
  let service, stack;
  before(async () => {
    service = await startService();
    stack = await stackOf(service, { model: 'mock:tokens=400:pace=20', app: { key_limits: { requests_per_minute: 2 } } });
  });
  after(async () => {
    await stack?.stop();
    service?.stop();
  });

  test('are named in the list of streams, and have limits of their own', async () => {
    service.decide = ({ credential }) => ({ allow: true, user: credential, limits: { concurrent: 1, requests_per_minute: 0 } });
    const client = openBmob(stack, 'ann');
    await client.opened;
    client.ws.send(JSON.stringify({ messages: [{ role: 'user', content: 'x' }] }));
    await until('the stream', async () => (await stack.list('stream list')).some((s) => s.key === 'user:ann' && s.state === 'streaming'));
    const second = await askApi(stack, 'ann');
    assert.deepEqual([second.status, second.body.error.code], [429, 'rate_limit_exceeded']);
    client.ws.terminate();
  });

  test('without limits of their own have those of a key', async () => {
    service.decide = () => ({ allow: true, user: 'carol' });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await askApi(stack, 'carol', { model: 'mock:tokens=2:pace=1' })).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  });
});

describe('what is kept', () => {
  let service, stack;
  before(async () => {
    service = await startService();
    stack = await stackOf(service, { model: 'mock:tokens=2:pace=1', authorize: { timeout_ms: 60000 } });
  });
  after(async () => {
    await stack?.stop();
    service?.stop();
  });

  test('an answer holds for its time, over connections, for this transport and credential', async () => {
    for (let i = 0; i < 5; i++) assert.equal((await askApi(stack, 'kept')).status, 200);
    assert.equal(service.asked('kept'), 1);
    assert.doesNotMatch(await askWx(stack, 'kept', true), /event: error/);
    assert.equal(service.asked('kept'), 2);
    assert.equal(service.sockets, 1, 'connections are kept');
  });

  test('cache_s 0: each client is asked about', async () => {
    service.decide = () => ({ allow: true, user: 'u', cache_s: 0 });
    for (let i = 0; i < 3; i++) assert.equal((await askApi(stack, 'fresh')).status, 200);
    assert.equal(service.asked('fresh'), 3);
  });

  test('a user that is blocked hears it on the open socket, and goes on when it is allowed again', async () => {
    let answer = { allow: true, user: 'dave', cache_s: 0 };
    service.decide = () => answer;
    for (const open of [openBmob, openChatGpt]) {
      answer = { allow: true, user: 'dave', cache_s: 0 };
      const client = open(stack, `dave-${open.name}`);
      const text = (frames) => (client.cgws ? frames.map((f) => (f.code ? f.msg : f.data.contents)).join('') : bmobText(frames));
      const good = text(await client.ask('one'));
      answer = { allow: false, code: 101, message: 'Your balance is used up.', cache_s: 0 };
      assert.equal(text(await client.ask('two')), 'Your balance is used up.');
      answer = { allow: true, user: 'dave', cache_s: 0 };
      const again = text(await client.ask('three'));
      assert.ok(good && again && !/balance/.test(again));
      assert.ok(!client.closed);
      client.ws.terminate();
    }
  });

  test('a watch waits for the service as a question does', async () => {
    let answer = { allow: true, user: 'erin', cache_s: 0 };
    service.decide = () => answer;
    const client = openChatGpt(stack, 'erin');
    await client.ask('one');
    answer = { allow: false, code: 102, message: 'Not now.', cache_s: 0 };
    client.ws.send(JSON.stringify({ seq: 'w', data: { session: 'room', watch: true } }));
    await until('the refusal', () => client.frames.some((f) => f.seq === 'w' && f.code === 129003 && f.msg === 'Not now.'));
    client.ws.terminate();
  });

  test('questions of one client keep their order while the service is asked', async () => {
    let held;
    service.decide = () => (held ? held.decide() : { allow: true, user: 'fred', cache_s: 0 });
    const client = openChatGpt(stack, 'fred');
    await client.ask('zero', 'q0');
    held = hold();
    for (let i = 1; i <= 3; i++) client.ws.send(JSON.stringify({ seq: `q${i}`, data: { messages: [{ role: 'user', content: `${i}` }] } }));
    await until('the question about fred', () => service.at_once === 1);
    held.release({ allow: true, user: 'fred', cache_s: 60 });
    await until('three answers', () => ['q1', 'q2', 'q3'].every((seq) => client.frames.some((f) => f.seq === seq && f.data.finish_reason === 'stop')));
    const order = client.frames.filter((f) => f.data.finish_reason === 'stop').map((f) => f.seq);
    assert.deepEqual(order, ['q0', 'q1', 'q2', 'q3']);
    client.ws.terminate();
  });

  test('places of clients that left are given back', async () => {
    service.decide = ({ credential }) => ({ allow: true, user: credential });
    const clients = Array.from({ length: 20 }, (_, i) => openBmob(stack, `leaver-${i}`));
    await until('20 grants', async () => (await counts(stack, 'grants')) >= 20);
    for (const client of clients) client.ws.terminate();
    await until('no grants', async () => (await counts(stack, 'grants')) === 0);
  });

  test('the same being asked is one call', async () => {
    const held = hold();
    service.decide = held.decide;
    const all = Array.from({ length: 50 }, () => askApi(stack, 'joined'));
    await until('49 to join', async () => (await counts(stack, 'authorize_joined')) >= 49);
    held.release({ allow: true, user: 'joined' });
    for (const { status } of await Promise.all(all)) assert.equal(status, 200);
    assert.equal(service.asked('joined'), 1);
  });

  test('500 clients that come back at once are few calls', async () => {
    service.decide = async ({ credential }) => ({ allow: true, user: credential });
    const answers = await Promise.all(Array.from({ length: 500 }, () => askWx(stack, 'storm', true)));
    assert.ok(answers.every((text) => !/event: error/.test(text)));
    assert.equal(service.asked('storm'), 1);
    service.most_at_once = 0;
    const held = hold();
    service.decide = held.decide;
    const asked = Promise.all(Array.from({ length: 500 }, (_, i) => askWx(stack, `storm-${i}`, true)));
    await until('all of them to wait', async () => (await counts(stack, 'authorize_waiting')) === 500 && service.at_once >= 32);
    held.release({ allow: true, user: 'storm' });
    const others = await asked;
    assert.ok(others.every((text) => !/event: error/.test(text)));
    assert.ok(service.most_at_once <= 32, `${service.most_at_once} calls at once`);
  });
});

describe('a service that fails', () => {
  const bad = { 'status 500': { status: 500, text: '{"allow":true}' }, garbage: { status: 200, text: '<html>busy</html>' }, 'a redirect': { status: 302, headers: { location: '/elsewhere' } }, 'no verdict': { user: 'x' }, 'too much': { status: 200, text: `{"allow":true}${' '.repeat(70000)}` } };

  test('closed: try again later, never "bad key"; nothing is kept', async () => {
    const service = await startService();
    const stack = await stackOf(service, { model: 'mock:tokens=2:pace=1', authorize: { timeout_ms: 30000 } });
    try {
      for (const [name, answer] of Object.entries(bad)) {
        service.decide = () => answer;
        const { status, body } = await askApi(stack, 'u');
        assert.deepEqual([name, status, body.error.code], [name, 503, 'overloaded']);
        assert.equal(wxError(await askWx(stack, 'u', true)).code, 102, name);
      }
      // a page that comes back where it was is told to wait, and keeps its place: an id would be the place it names next time
      const back = (headers) => fetch(`http://127.0.0.1:${stack.ports.wx}/chat/stream?prompt=x&token=u`, { headers }).then((r) => r.text());
      assert.match(await back({}), /^id: none:0:end\nevent: error\ndata: \{"code":102,/);
      assert.match(await back({ 'last-event-id': `chatcmpl-${'1'.repeat(32)}:4` }), /^event: error\ndata: \{"code":102,/);
      assert.ok(service.questions.every((q) => q.path === '/who'));
      const client = openBmob(stack, 'u');
      assert.doesNotMatch(bmobText(await client.ask('x')), /Incorrect/);
      client.ws.terminate();
      assert.equal((await askApi(stack, KEY)).status, 200);
      service.decide = () => ({ allow: true, user: 'u' });
      assert.equal((await askApi(stack, 'u')).status, 200);
      await until('the counter', async () => (await counts(stack, 'authorize_failures')) >= 11);
      assert.equal((stack.daemon.lines.match(/gave no good answer/g) ?? []).length, 1, 'one line a minute');
    } finally {
      await stack.stop();
      service.stop();
    }
  });

  test('no answer in time, and nobody there', async () => {
    const service = await startService();
    const held = hold();
    service.decide = held.decide;
    const stack = await stackOf(service, { model: 'mock:tokens=2:pace=1', authorize: { timeout_ms: 300 } });
    try {
      assert.equal((await askApi(stack, 'late')).status, 503);
      service.stop();
      assert.equal((await askApi(stack, 'refused')).status, 503);
    } finally {
      held.release({ allow: true });
      await stack.stop();
    }
  });

  test('open: they enter, all as one', async () => {
    const stack = await stackOf(`http://127.0.0.1:${await freePort()}/`, { model: 'mock:tokens=400:pace=20', authorize: { on_failure: 'open' }, app: { key_limits: { concurrent: 1 } } });
    try {
      const client = openBmob(stack, 'anybody');
      await client.opened;
      client.ws.send(JSON.stringify({ messages: [{ role: 'user', content: 'x' }] }));
      await until('the stream', async () => (await stack.list('stream list')).some((s) => s.key === 'open' && s.state === 'streaming'));
      assert.equal((await askApi(stack, 'somebody-else')).status, 429);
      client.ws.terminate();
    } finally {
      await stack.stop();
    }
  });

  test('a slow one delays nobody else', async () => {
    const service = await startService();
    const held = hold();
    service.decide = held.decide;
    const stack = await stackOf(service, { model: 'mock:tokens=20:pace=1', authorize: { timeout_ms: 60000 } });
    try {
      let told = false;
      const slow = askApi(stack, 'slow').then((answer) => ((told = true), answer));
      await until('the question', () => service.at_once === 1);
      for (let i = 0; i < 5; i++) assert.equal((await askApi(stack, KEY)).status, 200);
      assert.equal(told, false);
      held.release({ allow: true, user: 'slow' });
      assert.equal((await slow).status, 200);
    } finally {
      await stack.stop();
      service.stop();
    }
  });

  test('a host that dies while its clients wait', async () => {
    const service = await startService();
    const held = hold();
    service.decide = held.decide;
    const stack = await stackOf(service, { model: 'mock:tokens=2:pace=1', authorize: { timeout_ms: 60000 } });
    try {
      const client = openBmob(stack, 'waiting');
      await until('the question', () => service.at_once === 1);
      const before = (await stack.list('host list')).find((h) => h.transport === 'bmob');
      process.kill(before.pid, 'SIGKILL');
      await until('a new host', async () => (await stack.list('host list')).some((h) => h.transport === 'bmob' && h.state === 'running' && h.pid !== before.pid));
      held.release({ allow: true, user: 'w' });
      await until('the answer', async () => (await counts(stack, 'authorize_waiting')) === 0);
      assert.equal(await counts(stack, 'grants'), 0);
      const again = openBmob(stack, 'waiting');
      assert.notEqual(bmobText(await again.ask('x')), '');
      process.kill((await stack.list('host list')).find((h) => h.transport === 'bmob').pid, 'SIGKILL');
      await until('its places to be free', async () => (await counts(stack, 'grants')) === 0);
      client.ws.terminate();
      again.ws.terminate();
    } finally {
      await stack.stop();
      service.stop();
    }
  });
});

describe('TLS', () => {
  test('verified with ca_file, and with nothing less', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-authorize-'));
    const file = (name) => path.join(dir, name);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=accounts', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', file('key.pem'), '-out', file('cert.pem')], { stdio: 'ignore' });
    const service = await startService({ key: await readFile(file('key.pem')), cert: await readFile(file('cert.pem')) });
    try {
      for (const [authorize, status] of [[{ ca_file: file('cert.pem') }, 200], [{}, 503]]) {
        const stack = await stackOf(service, { transports: { api: transports.api }, authorize, model: 'mock:tokens=2:pace=1' });
        try {
          assert.equal((await askApi(stack, 'u')).status, status);
        } finally {
          await stack.stop();
        }
      }
      assert.equal(service.questions.length, 1);
    } finally {
      service.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('a reload', () => {
  test('a new secret forgets what was kept; a service that is taken away takes its clients along', async () => {
    const service = await startService();
    const stack = await startStack({ transports: { api: transports.api, bmob: transports.bmob }, env: { ...env, OTHER: 'another-secret-987654' }, model: 'mock:tokens=2:pace=1', app: { authorize: { url: service.url, secret: 'env:AUTHORIZE_SECRET' } } });
    const change = async (from, to) => {
      await writeFile(stack.config, (await readFile(stack.config, 'utf8')).replace(from, to));
      const { code, stderr } = await stack.ctl('reload');
      assert.equal(code, 0, stderr);
    };
    try {
      const client = openBmob(stack, 'ann');
      assert.doesNotMatch(bmobText(await client.ask('x')), /Incorrect/);
      await askApi(stack, 'ann');
      await change('"env:AUTHORIZE_SECRET"', '"env:OTHER"');
      assert.equal((await askApi(stack, 'ann')).status, 200);
      assert.deepEqual(service.questions.map((q) => q.authorization), [`Bearer ${SECRET}`, `Bearer ${SECRET}`, 'Bearer another-secret-987654']);
      assert.doesNotMatch(bmobText(await client.ask('x')), /Incorrect/);
      await change(/authorize \{[^}]*\}/, '');
      assert.match(bmobText(await client.ask('x')), /Incorrect/);
      assert.equal((await askApi(stack, 'ann')).status, 401);
      client.ws.terminate();
    } finally {
      await stack.stop();
      service.stop();
    }
  });
});

describe('several apps, and the engine on epoll', () => {
  test('they are asked in the order of the transport until one allows; a denial outweighs the anonymous app', async () => {
    const first = await startService(), second = await startService();
    first.decide = ({ credential }) => ({ allow: false, code: credential === 'poor' ? 101 : -1, message: 'first says no' });
    second.decide = ({ credential }) => (credential === 'second' ? { allow: true, user: 'two' } : { allow: false });
    const stack = await startStack({
      env,
      core: { io: 'epoll' },
      model: 'mock:tokens=2:pace=1',
      transports: { api: transports.api, cgws: { plugin: 'ws-chatgpt', apps: ['shop'], anonymous_app: 'shop' } },
      app: { authorize: { url: first.url } },
      apps: { bazaar: { authorize: { url: second.url } } },
    });
    try {
      assert.equal((await askApi(stack, 'second')).status, 200);
      assert.deepEqual([first.asked('second'), second.asked('second')], [1, 1]);
      assert.deepEqual([...new Set((await stack.list('stream list')).map((s) => `${s.app} ${s.key}`))], ['bazaar user:two']);
      assert.equal((await askApi(stack, 'poor')).status, 429);
      assert.equal((await askApi(stack, 'nobody')).body.error.message, 'first says no');
      const anonymous = Object.assign(openWs(`ws://127.0.0.1:${stack.ports.cgws}/`), { cgws: true });
      assert.ok((await anonymous.ask('x')).every((f) => f.code === 0));
      const denied = openChatGpt(stack, 'nobody');
      assert.equal((await denied.ask('x'))[0].msg, 'first says no');
      anonymous.ws.terminate();
      denied.ws.terminate();
    } finally {
      await stack.stop();
      first.stop();
      second.stop();
    }
  });
});

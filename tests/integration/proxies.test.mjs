// Goal: the operating guide's proxies and commands work as printed.  Method: the configurations are taken out of docs/operating.md, get this machine's
// ports and certificates, and run in front of a real daemon; clients of all protocols go through them; the commands run against it.  Catches: buffering, time limits
// below the signs of life, lost upgrades, proxies that hold on to umbel when the client has gone, commands that do not exist.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, rm, writeFile, readFile } from 'node:fs/promises';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import WebSocket from 'ws';
import { startStack, bin, freePort, until, run, KEY } from './support.mjs';
import { makeAuthority } from './tls_files.mjs';
import { marked, page } from './docs_support.mjs';

const GUIDE = 'docs/operating.md';
const LONG = 'proxy:text=mixed:tokens=4000:pace=10:seed=8';
const SHORT = 'proxy-short:text=mixed:tokens=60:pace=5:seed=9';
const SILENT = 'proxy-silent:text=mixed:tokens=20:pace=1:first=8000';
const KEYS = { long: 'key-of-long-0123456789', silent: 'key-of-silent-0123456789' };
const question = 'What is behind it?';
let stack, dir, authority, leaf;

before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-proxies-'));
  authority = await makeAuthority(dir, 'authority');
  leaf = await authority.leaf('leaf', { names: 'DNS:ai.example.com' });
  await writeFile(path.join(dir, 'both.pem'), (await readFile(leaf.cert, 'utf8')) + (await readFile(leaf.key, 'utf8')), { mode: 0o600 });
  stack = await startStack({
    transports: { bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp' }, api: { plugin: 'openai-api' }, cgws: { plugin: 'ws-chatgpt' } },
    model: SHORT, upstream: { models: [SHORT, LONG, SILENT] }, app: { orphan_grace_ms: 100 },
    apps: { long: { model: LONG, keys: [KEYS.long], orphan_grace_ms: 100 }, silent: { model: SILENT, keys: [KEYS.silent] } },
  });
});
after(async () => {
  await stack?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** A configuration of the guide with this machine's addresses and files. */
function here(text, port) {
  for (const [name, was] of [['bmob', 8801], ['wx', 8802], ['api', 8805], ['cgws', 8808]]) text = text.replaceAll(`127.0.0.1:${was}`, `127.0.0.1:${stack.ports[name]}`);
  return text.replaceAll('/etc/ssl/ai.example.com.key', leaf.key).replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`).replace('bind :443', `bind 127.0.0.1:${port}`);
}

const proxies = {
  nginx: {
    program: '/usr/sbin/nginx',
    async files(port, folder) {
      const text = here(marked(GUIDE, 'run: nginx'), port).replaceAll('/etc/ssl/ai.example.com.pem', leaf.cert);
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ');
      await writeFile(path.join(folder, 'conf'), `daemon off;\npid ${folder}/pid;\nerror_log ${folder}/error.log info;\n${process.getuid() ? '' : 'user root root;\n'}` +
        `events {}\nhttp {\naccess_log off; ${temporary}\n${text}\n}\n`);
      return ['-c', path.join(folder, 'conf'), '-p', folder];
    },
  },
  haproxy: {
    program: '/usr/sbin/haproxy',
    async files(port, folder) {
      await writeFile(path.join(folder, 'conf'), here(marked(GUIDE, 'run: haproxy'), port).replaceAll('/etc/ssl/ai.example.com.pem', path.join(dir, 'both.pem')));
      return ['-db', '-f', path.join(folder, 'conf')];
    },
  },
  caddy: {
    program: process.env.CADDY ?? '/usr/bin/caddy',
    async files(port, folder) {
      const text = here(marked(GUIDE, 'run: caddy'), port).replace('{\n', `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}\n`)
        .replace('ai.example.com {', `https://ai.example.com:${port} {\n\tbind 127.0.0.1\n\ttls ${leaf.cert} ${leaf.key}`);
      await writeFile(path.join(folder, 'conf'), text);
      return ['run', '--adapter', 'caddyfile', '--config', path.join(folder, 'conf')];
    },
  },
};

for (const [name, { program, files }] of Object.entries(proxies)) {
  // haproxy and nginx belong to the tests' packages; caddy is tested where it is installed.
  const skip = !existsSync(program) && name === 'caddy' ? 'not installed' : false;
  describe(`behind ${name}`, { skip }, () => {
    let child, port, over, words = '', ca, agent;
    before(async () => {
      if (skip) return; // hooks run for skipped suites too
      port = await freePort();
      ca = await readFile(authority.file);
      const folder = path.join(dir, name);
      await mkdir(folder);
      child = spawn(program, await files(port, folder), { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: folder } });
      child.stderr.on('data', (data) => (words += data));
      child.on('error', (error) => { over = true; words += error; });
      child.on('exit', () => (over = true));
      await until(name, async () => {
        if (over) throw new Error(`${name} ended: ${words}`);
        const socket = net.connect(port, '127.0.0.1');
        try {
          await once(socket, 'connect');
          return true;
        } finally {
          socket.destroy();
        }
      });
    });
    after(async () => {
      if (!child || over) return;
      child.kill(name === 'nginx' ? 'SIGTERM' : 'SIGTERM');
      await until(`${name} to end`, () => over);
    });

    const tls = () => ({ host: '127.0.0.1', port, ca, servername: 'ai.example.com', headers: { host: 'ai.example.com' } });
    /** A request through the proxy; pieces as they come. */
    function get(target, { key = KEY, ...more } = {}) {
      const answer = { text: '', pieces: 0 };
      const { headers, ...rest } = tls();
      answer.request = https.request({ ...rest, path: target, agent: false, method: more.body ? 'POST' : 'GET', headers: { ...headers, authorization: `Bearer ${key}`, ...(more.body ? { 'content-type': 'application/json' } : {}) } });
      answer.request.on('response', (response) => {
        answer.status = response.statusCode;
        answer.headers = response.headers;
        answer.version = response.httpVersion;
        response.on('data', (data) => { answer.text += data; answer.pieces++; });
        response.on('end', () => (answer.ended = true)).on('error', () => {});
      });
      answer.request.on('error', (error) => (answer.error = error));
      answer.request.end(more.body ? JSON.stringify(more.body) : undefined);
      answer.end = () => until('the end', () => answer.ended || answer.error, { timeout: 60000 });
      return answer;
    }
    const running = async (app) => (await stack.list('stream list')).filter((s) => s.app === app && ['connecting', 'streaming'].includes(s.state));
    const path_ = (more) => `/chat/stream?${new URLSearchParams({ prompt: question, ...more })}`;
    const mini = (text) => text.split('\r\n').filter((f) => f.startsWith('success: ')).map((f) => JSON.parse(f.slice(9)).content).join('');
    const sse = (text) => text.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices[0]?.delta?.content ?? '').join('');

    test('mini-program, web page, OpenAI API: whole answers, not compressed, by HTTP/1.1', async () => {
      const truth = await stack.mock.text(SHORT, question);
      const answers = [[get(path_({ is_wxapp: 1 })), mini], [get(path_({ is_wxapp: 0 })), sse],
        [get('/v1/chat/completions', { body: { stream: true, messages: [{ role: 'user', content: question }] } }), sse]];
      for (const [answer, read] of answers) {
        await answer.end();
        assert.equal(answer.error, undefined);
        assert.deepEqual([answer.status, answer.version, answer.headers['content-encoding']], [200, '1.1', undefined]);
        assert.equal(read(answer.text), truth);
        assert.match(answer.headers['x-umbel-stream'], /^chatcmpl-/);
      }
    });

    for (const [what, ask] of [['chunked', () => get(path_({ is_wxapp: 1 }), { key: KEYS.long })], ['events', () => get(path_({ is_wxapp: 0 }), { key: KEYS.long })],
      ['openai', () => get('/v1/chat/completions', { key: KEYS.long, body: { stream: true, messages: [{ role: 'user', content: question }] } })]])
      test(`${what}: text comes while the answer runs; when the client has gone umbel is told`, async () => {
        const answer = ask();
        await until('several pieces', () => answer.error || answer.pieces >= 5);
        assert.equal(answer.error, undefined);
        assert.equal((await running('long')).length, 1, 'still running: nothing was held back');
        answer.request.destroy();
        await until('the answer to be stopped', async () => (await running('long')).length === 0);
      });

    test('silence before the first word is bridged by signs of life', async () => {
      const answer = get(path_({ is_wxapp: 1 }), { key: KEYS.silent });
      await until('a sign of life', () => answer.text.includes('success: {"content":""}'), { timeout: 60000 });
      assert.equal((await running('silent')).length, 1);
      await answer.end();
      assert.equal(mini(answer.text), await stack.mock.text(SILENT, question));
    });

    for (const [what, target, ask, read] of [
      ['ws-bmob', `/1/ai/${KEY}`, { messages: [{ role: 'user', content: question }] }, (f) => [f.choices[0].delta.content, f.choices[0].finish_reason === 'stop']],
      ['ws-chatgpt', `/cgws?token=${KEY}`, { seq: 'a', data: { messages: [{ role: 'user', content: question }] } }, (f) => [f.data.contents, f.data.finish_reason !== null]],
    ])
      test(`${what}: the whole answer, pings, and a close that arrives`, async () => {
        const { host, ...rest } = tls();
        const socket = new WebSocket(`wss://${host}:${port}${target}`, { ...rest, perMessageDeflate: false });
        let text = '', done = false, pongs = 0;
        socket.on('message', (data) => {
          const [piece, end] = read(JSON.parse(data));
          text += piece;
          done ||= end;
        });
        socket.on('pong', () => pongs++);
        await once(socket, 'open');
        socket.ping('x');
        socket.send(JSON.stringify(ask));
        await until('the end', () => done, { timeout: 60000 });
        await until('a pong', () => pongs);
        assert.equal(text, await stack.mock.text(SHORT, question));
        const clients = async () => (await stack.list('client list')).length;
        const before = await clients();
        socket.close();
        await until('the client to be gone', async () => (await clients()) < before);
      });

    test('the time limits of the guide are above the signs of life', () => {
      if (name === 'caddy') return; // none by default
      const limits = [...marked(GUIDE, `run: ${name}`).matchAll(/(?:proxy_(?:read|send)_timeout|timeout (?:client|server|tunnel)) +(\d+)s/g)].map((m) => Number(m[1]));
      assert.ok(limits.length >= 3 && limits.every((limit) => limit >= 60), String(limits));
    });
  });
}

test('the backup of the guide is a good database', { skip: existsSync('/usr/bin/sqlite3') ? false : 'no sqlite3' }, async () => {
  const ask = await stack.ctl('chat', question, '--app', 'shop', '--session', 'kept');
  assert.equal(ask.code, 0, ask.stderr);
  await until('the turn on disk', async () => (await stack.ctl('session', 'list', '--app', 'shop')).stdout.includes('kept'));
  const copy = path.join(dir, 'copy.db');
  const command = marked(GUIDE, 'run: backup.sh').replace('/var/lib/umbel/history.db', path.join(stack.dir, 'history.db')).replace('/var/backups/umbel-history.db', copy);
  const counted = () => run('sqlite3', [copy, "PRAGMA integrity_check; SELECT count(*) > 0 FROM turn"]);
  await until('a copy with the turn', async () => {
    const { code, stderr } = await run('sh', ['-c', command]);
    assert.equal(code, 0, stderr);
    return (await counted()).stdout === 'ok\n1\n';
  });
});

test('every command of the guide runs', async () => {
  const { stdout } = await stack.ctl('stream', 'list', '--json');
  const id = JSON.parse(stdout)[0].id;
  // Those that end or replace the daemon, need Tencent, or do not end are tested elsewhere.
  const elsewhere = /^(core upgrade|plugin upgrade|im |counters .im|start|chat|selftest|session forget|upstream probe)/;
  const commands = new Set([...page(GUIDE).matchAll(/`umbelctl ([^`]+)`/g)].map((m) => m[1]).filter((c) => !elsewhere.test(c)));
  assert.ok(commands.size >= 20, `${commands.size} commands`);
  for (const command of commands) {
    const { code, stdout, stderr } = await run('sh', ['-c', `"$UMBELCTL" -s "$RUNTIME" ${command.replace('ID', id)}`],
      { env: { ...process.env, UMBELCTL: bin('umbelctl'), RUNTIME: stack.dir } });
    assert.equal(code, 0, `umbelctl ${command}: ${stderr}`);
    assert.ok(stdout.length > 0 || command.startsWith('log') || command.startsWith('config diff'), `umbelctl ${command} says nothing`);
  }
  const probe = await stack.ctl('upstream', 'probe', 'demo', '--model', SHORT);
  assert.equal(probe.code, 0, probe.stderr);
});

// What an operator relies on: checks of the file, clear refusals, policies, certificates read again, an ordinary user.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { writeFile, chmod, mkdtemp, rm, readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import WebSocket from 'ws';
import { startStack, run, bin, until, KEY } from './support.mjs';

function ask(stack, content, options = {}) {
  const ws = new WebSocket(`${options.tls ? 'wss' : 'ws'}://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { perMessageDeflate: false, rejectUnauthorized: false });
  const client = { ws, text: '', id: null, done: false };
  client.opened = new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject));
  ws.on('message', (data) => {
    const frame = JSON.parse(data);
    client.id = frame.id;
    client.text += frame.choices[0].delta.content;
    client.done ||= frame.choices[0].finish_reason !== '';
  });
  client.opened.then(() => ws.send(JSON.stringify({ messages: [{ role: 'user', content }] }))).catch(() => {});
  return client;
}

describe('checking a file', () => {
  let dir;
  before(async () => {
    dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-check-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));
  const check = async (text) => {
    const file = path.join(dir, 'umbel.conf');
    await writeFile(file, text, { mode: 0o600 });
    return run(bin('umbeld'), ['--check', '-c', file]);
  };
  const good = `upstream demo { base_url = "http://127.0.0.1:1/v1" }
app shop { upstreams = { "demo" } model = "demo-1" keys = { "0123456789abcdef" } }
transport bmob { plugin = ws-bmob listen = { "127.0.0.1:8801" } apps = { "shop" } }
`;
  test('a good file', async () => assert.equal((await check(good)).code, 0));
  for (const [what, from, to, line, words] of [
    ['an unknown option of the plugin', 'apps =', 'colour = red apps =', 3, /colour/],
    ['an unknown plugin', 'ws-bmob', 'ws-bmbo', 3, /ws-bmob/],
    ['an unknown app', 'apps = { "shop"', 'apps = { "shpo"', 3, /shop/],
    ['a missing brace', '} }\n', '}\n', 2, /\}/],
    ['a literal upstream key', 'v1"', 'v1" api_key = "sk-1"', 1, /env:NAME/],
  ])
    test(what, async () => {
      const { code, stderr } = await check(good.replace(from, to));
      assert.equal(code, 2, stderr);
      assert.match(stderr, new RegExp(`umbel\\.conf:${line}: `), stderr);
      assert.match(stderr, words);
    });
  test('no file, no such file, help, version', async () => {
    assert.equal((await run(bin('umbeld'), [])).code, 2);
    assert.equal((await run(bin('umbeld'), ['-c', path.join(dir, 'none')])).code, 2);
    assert.match((await run(bin('umbeld'), ['--help'])).stdout, /SIGTERM/);
    assert.match((await run(bin('umbeld'), ['--version'])).stdout, /^umbeld \d/);
  });
});

describe('policies', () => {
  for (const policy of ['finish', 'drain'])
    test(`on_orphan = ${policy}`, async () => {
      const stack = await startStack({
        transports: { bmob: { plugin: 'ws-bmob' } },
        model: 'orphan:text=ascii:tokens=60:pace=10',
        app: { on_orphan: policy, orphan_grace_ms: 50 },
      });
      try {
        const client = ask(stack, 'q');
        await until('text', () => client.text.length > 10);
        client.ws.terminate();
        const truth = await stack.mock.text('orphan:text=ascii:tokens=60:pace=10', 'q');
        await until('the service to have said all', async () => (await stack.mock.asked('orphan')).some((r) => r.end === 'complete'));
        const again = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`);
        await new Promise((resolve) => again.on('open', resolve));
        let text = '', end = false;
        again.on('message', (data) => {
          const { delta, finish_reason } = JSON.parse(data).choices[0];
          text += delta.content;
          end ||= finish_reason !== '';
        });
        if (policy === 'drain') await until('it is forgotten', async () => !(await stack.list('stream list')).some((s) => s.id === client.id));
        again.send(JSON.stringify({ resume: `${client.id}:0` }));
        await until('the end', () => end);
        assert.equal(text, policy === 'finish' ? truth : 'Invalid request: no such answer.');
        again.terminate();
      } finally {
        await stack.stop();
      }
    });

  test('umbelctl host restart: begun answers are served to their end, then a new process serves', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: 'again:text=ascii:tokens=60:pace=10' });
    try {
      const client = ask(stack, 'q');
      await until('text', () => client.text.length > 10);
      const [before] = await stack.list('host list');
      assert.equal((await stack.ctl('host', 'restart', 'bmob')).code, 0);
      await until('the end', () => client.done);
      assert.equal(client.text, await stack.mock.text('again:text=ascii:tokens=60:pace=10', 'q'));
      await until('the new process', async () => {
        const [host] = await stack.list('host list');
        return host.state === 'running' && host.pid !== before.pid;
      });
      const next = ask(stack, 'q');
      await until('an answer from it', () => next.done);
      next.ws.terminate();
      assert.equal((await stack.ctl('host', 'restart', 'nobody')).code, 1);
    } finally {
      await stack.stop();
    }
  });

  test('a second daemon on the same runtime directory is refused clearly', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } } });
    try {
      const { code, stderr } = await run(bin('umbeld'), ['-c', stack.config, '--runtime-dir', stack.dir]);
      assert.equal(code, 1);
      assert.match(stderr, /another|already/);
      assert.equal((await stack.ctl('status')).code, 0, 'the first one is unharmed');
    } finally {
      assert.deepEqual(await stack.stop(), { code: 0, signal: null });
    }
  });
});

describe('certificates', () => {
  const certificate = (dir, name) =>
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem')], { stdio: 'ignore' });
  const served = (port) =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on('error', reject);
    });

  test('wss; SIGHUP reads a new certificate; a bad one keeps the old', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-tls-'));
    certificate(dir, 'first');
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', tls_cert: path.join(dir, 'cert.pem'), tls_key: path.join(dir, 'key.pem') } }, model: 'tls:text=mixed:tokens=50:pace=5' });
    try {
      const client = ask(stack, 'q', { tls: true });
      await until('text', () => client.text.length > 5);
      assert.equal(await served(stack.ports.bmob), 'first');
      certificate(dir, 'second');
      stack.daemon.kill('SIGHUP');
      await until('the second certificate', async () => (await served(stack.ports.bmob)) === 'second');
      await until('the answer begun under the first', () => client.done);
      assert.equal(client.text, await stack.mock.text('tls:text=mixed:tokens=50:pace=5', 'q'));
      await writeFile(path.join(dir, 'cert.pem'), 'no certificate');
      stack.daemon.kill('SIGHUP');
      await until('the complaint', () => /certificate|cert\.pem/i.test(stack.daemon.lines.split('SIGHUP').at(-1)));
      assert.equal(await served(stack.ports.bmob), 'second');
      client.ws.terminate();
    } finally {
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('an ordinary user', { skip: process.getuid() !== 0 && 'is one already' }, () => {
  test('serves without root', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } } });
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-user-'));
    try {
      const config = (await readFile(stack.config, 'utf8')).replaceAll(stack.dir, dir).replace(/127\.0\.0\.1:\d+" \}\n/, (m) => m);
      await stack.daemon.kill('SIGTERM');
      await stack.daemon.exited;
      const file = path.join(dir, 'umbel.conf');
      await writeFile(file, config);
      execFileSync('chown', ['-R', '65534:65534', dir]);
      const user = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];
      const { code, stderr } = await run('setpriv', [...user, bin('umbeld'), '--check', '-c', file]);
      if (code !== 0 && /Permission denied|No such file/.test(stderr) && !/umbel\.conf/.test(stderr)) return; // the build tree is not readable for others
      assert.equal(code, 0, stderr);
      const { spawn } = await import('node:child_process');
      const daemon = spawn('setpriv', [...user, bin('umbeld'), '-c', file, '--runtime-dir', dir], { stdio: 'ignore' });
      try {
        await until('the host of the ordinary user', async () => {
          const { stdout } = await run('setpriv', [...user, bin('umbelctl'), '-s', dir, 'host', 'list', '--json']);
          return /running/.test(stdout);
        });
        const client = ask(stack, 'q');
        await until('the answer', () => client.done);
        client.ws.terminate();
      } finally {
        const end = new Promise((resolve) => daemon.on('exit', (code) => resolve(code)));
        daemon.kill('SIGTERM');
        assert.equal(await end, 0);
      }
    } finally {
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

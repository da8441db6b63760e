// Goal: umbeld speaks to services as they are reached in the world: behind nginx with TLS.  Method: Debian's nginx in front of the mock model
// server, one port for each way in which it can be set up, certificates of an authority of our own; all of it on io_uring and on epoll.
// Catches: verification that is off, sessions that are not resumed, connections that nginx ends between or in the midst of requests, pages of
// nginx's own taken for answers.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile, readFile } from 'node:fs/promises';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { startStack, startMock, freePort, until, run } from './support.mjs';
import { makeAuthority } from './tls_files.mjs';

const prompt = 'What is behind nginx?';
const NGINX = process.env.NGINX ?? '/usr/sbin/nginx';

/** nginx in dir on these servers: { name: { lines, backend } }; ports by name. */
async function startNginx(dir, servers) {
  const ports = {};
  let text = `daemon off;\nworker_processes 1;\npid ${dir}/nginx.pid;\nerror_log ${dir}/error.log info;\n`;
  if (process.getuid() === 0) text += 'user root root;\n';
  text += `events { worker_connections 1024; }\nhttp {\n  log_format what '$server_port $ssl_protocol $ssl_session_reused $connection $connection_requests $status';\n`;
  text += `  access_log ${dir}/access.log what;\n`;
  for (const kind of ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) text += `  ${kind}_temp_path ${dir}/${kind};\n`;
  for (const [name, { lines, backend }] of Object.entries(servers)) {
    ports[name] = await freePort();
    text += `  server {\n    listen 127.0.0.1:${ports[name]} ssl;\n    ${lines.join(';\n    ')};\n`;
    text += `    location / { proxy_pass ${backend}; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1s; }\n  }\n`;
  }
  text += '}\n';
  const config = path.join(dir, 'nginx.conf');
  await writeFile(config, text);
  const checked = await run(NGINX, ['-t', '-c', config, '-p', dir]);
  if (checked.code !== 0) throw new Error(`nginx does not like its configuration: ${checked.stderr}\n${text}`);
  const child = spawn(NGINX, ['-c', config, '-p', dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '', over = false;
  child.stderr.on('data', (data) => (words += data));
  const exited = once(child, 'exit').then(() => (over = true));
  await until('nginx', async () => {
    if (over) throw new Error(`nginx ended: ${words}`);
    const socket = net.connect(Object.values(ports)[0], '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } finally {
      socket.destroy();
    }
  });
  return {
    ports,
    /** Finished requests of one server, oldest first: { protocol, resumed, connection, request, status }. */
    async log(name) {
      const lines = (await readFile(`${dir}/access.log`, 'utf8')).split('\n').map((line) => line.split(' '));
      return lines.filter(([port]) => port === String(ports[name]))
        .map(([, protocol, reused, connection, request, status]) => ({ protocol, resumed: reused === 'r', connection, request: Number(request), status: Number(status) }));
    },
    async reload() {
      const workers = async () => (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim().split(' ').filter(Boolean);
      const old = await workers();
      child.kill('SIGHUP');
      await until('new workers', async () => (await workers()).some((pid) => !old.includes(pid)));
    },
    async stop() {
      if (!over) child.kill('SIGTERM');
      await exited;
    },
  };
}

for (const io of ['io_uring', 'epoll']) {
  describe(`behind nginx, ${io}`, () => {
    let dir, mock, nginx, stack;
    before(async () => {
      dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-nginx-'));
      mock = await startMock();
      const authority = await makeAuthority(dir, 'authority'), stranger = await makeAuthority(dir, 'stranger');
      const leaf = (made) => [`ssl_certificate ${made.cert}`, `ssl_certificate_key ${made.key}`];
      const good = leaf(await authority.leaf('good'));
      const us = await authority.leaf('us', { names: 'DNS:us' }), foreign = await stranger.leaf('us', { names: 'DNS:us' });
      const strict = [`ssl_client_certificate ${authority.file}`, 'ssl_verify_client on'];
      const plain = (...lines) => ({ lines: [...good, ...lines], backend: mock.url });
      const dead = `http://127.0.0.1:${await freePort()}`;
      nginx = await startNginx(dir, {
        tls12: plain('ssl_protocols TLSv1.2', 'ssl_session_cache shared:twelve:1m', 'keepalive_timeout 0'),
        tls13: plain('ssl_protocols TLSv1.3', 'ssl_session_cache shared:thirteen:1m', 'keepalive_timeout 0'),
        kept: plain(),
        requests: plain('keepalive_requests 2'),
        short: plain('keepalive_timeout 20ms'),
        wrong: { lines: leaf(await authority.leaf('wrong', { names: 'DNS:other.test' })), backend: mock.url },
        unknown: { lines: leaf(await stranger.leaf('unknown')), backend: mock.url },
        expired: { lines: leaf(await authority.leaf('expired', { days: -1 })), backend: mock.url },
        strict: plain(...strict),
        gzip: plain('gzip on', 'gzip_types *', 'gzip_proxied any', 'gzip_min_length 1'),
        down: { lines: good, backend: dead },
      });
      const upstream = (name, more = {}) => ({ base_url: `https://localhost:${nginx.ports[name]}/v1`, models: ['*'], ca_file: authority.file, ...more });
      const upstreams = Object.fromEntries(Object.keys(nginx.ports).map((name) => [name, upstream(name)]));
      upstreams.shown = upstream('strict', { client_cert: us.cert, client_key: us.key });
      upstreams.foreign = upstream('strict', { client_cert: foreign.cert, client_key: foreign.key });
      const apps = Object.fromEntries(Object.keys(upstreams).map((name) => [name, { upstreams: [name], keys: [`key-of-${name}-0123456789`] }]));
      apps.pair = { upstreams: ['down', 'kept'], keys: ['key-of-pair-0123456789'] };
      stack = await startStack({ mock, core: { io }, transports: { api: { plugin: 'openai-api' } }, upstreams, apps });
    });
    after(async () => {
      await stack?.stop();
      await nginx?.stop();
      await mock?.stop();
      if (dir) await rm(dir, { recursive: true, force: true });
    });

    /** One question through an upstream, or a pair of them: { status, text } or { status, error }. */
    async function ask(name, model = 'plain:tokens=10:pace=1') {
      const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer key-of-${name}-0123456789`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: prompt }] }),
      });
      const body = await response.json();
      return response.ok ? { status: response.status, text: body.choices[0].message.content } : { status: response.status, error: body.error.message };
    }
    async function expectAnswer(name, model = 'plain:tokens=10:pace=1') {
      assert.deepEqual(await ask(name, model), { status: 200, text: await mock.text(model, prompt) });
    }
    const logged = (words) => until(`the log to say: ${words}`, () => stack.daemon.lines.includes(words));
    /** nginx writes its line when it is through with a request, which may be a moment after we are. */
    const nginxLog = (name, count) => until(`${count} lines of nginx`, async () => ((await nginx.log(name)).length >= count ? nginx.log(name) : null));

    for (const [name, protocol] of [['tls12', 'TLSv1.2'], ['tls13', 'TLSv1.3']])
      test(`${protocol} only, and the second connection resumes the first one's session`, async () => {
        for (let i = 0; i < 3; i++) await expectAnswer(name);
        const log = await nginxLog(name, 3);
        assert.deepEqual(log.map((line) => line.protocol), [protocol, protocol, protocol]);
        assert.deepEqual(log.map((line) => line.resumed), [false, true, true]);
        assert.equal(new Set(log.map((line) => line.connection)).size, 3);
      });

    test('one connection for one question after the other', async () => {
      for (let i = 0; i < 5; i++) await expectAnswer('kept');
      const log = await nginxLog('kept', 5);
      assert.deepEqual(log.map((line) => line.request), [1, 2, 3, 4, 5]);
    });

    test('nginx ends a connection after two requests: nobody notices', async () => {
      for (let i = 0; i < 5; i++) await expectAnswer('requests');
      const log = await nginxLog('requests', 5);
      assert.deepEqual(log.map((line) => line.request), [1, 2, 1, 2, 1]);
    });

    test('nginx ends idle connections early: nobody notices', async () => {
      // Twenty questions with pauses around nginx's own limit, so that some meet a connection that is just being ended.
      for (let i = 0; i < 20; i++) {
        await expectAnswer('short');
        await new Promise((resolve) => setTimeout(resolve, 15 + (i % 5) * 3));
      }
      assert.ok((await nginxLog('short', 20)).every((line) => line.status === 200));
    });

    for (const [name, words] of [
      ['wrong', 'the certificate of localhost is not accepted: hostname mismatch'],
      ['unknown', 'the certificate of localhost is not accepted: unable to get local issuer certificate'],
      ['expired', 'the certificate of localhost is not accepted: certificate has expired'],
    ])
      test(`certificate: ${name}`, async () => {
        const before = (await mock.requests()).total;
        const { status, error } = await ask(name);
        assert.ok(status >= 500, String(status));
        assert.doesNotMatch(error, /localhost|certificate/); // not for clients
        await logged(`upstream ${name}: ${words}`);
        assert.equal((await mock.requests()).total, before);
      });

    test('a client certificate: ours is let in, none and a foreign one are told apart', async () => {
      await expectAnswer('shown');
      for (const [name, words] of [['strict', 'No required SSL certificate was sent'], ['foreign', 'The SSL certificate error']]) {
        assert.ok((await ask(name)).status >= 400);
        await logged(`upstream ${name}: the service refuses (HTTP 400)`);
        assert.match(stack.daemon.lines, new RegExp(`upstream ${name}: .*${words}`));
      }
    });

    test('gzip on does nothing to who asks for identity; gzip in spite of it is a named error', async () => {
      await expectAnswer('gzip');
      const { status, error } = await ask('kept', 'zipped:gzip=1:tokens=5');
      assert.ok(status >= 500);
      assert.match(error, /Content-Encoding gzip/);
      await logged('upstream kept: the service answered in Content-Encoding gzip');
    });

    test("nginx's own pages are errors with their status: 502 when nothing is behind it, 504 when that is silent", async () => {
      const down = await ask('down');
      assert.ok(down.status >= 500);
      await logged('upstream down: the service refuses (HTTP 502)');
      assert.match(down.error, /502 Bad Gateway/);
      assert.doesNotMatch(down.error, /</);
      const silent = await ask('gzip', 'silent:stall=head:tokens=5');
      assert.ok(silent.status >= 500);
      await logged('upstream gzip: the service refuses (HTTP 504)');
    });

    test('the next upstream answers where the first has only a page of nginx', async () => {
      const model = 'second:tokens=8:pace=1';
      await expectAnswer('pair', model);
      assert.equal((await mock.asked('second')).length, 1);
    });

    test('a reload of nginx in the midst of streams: each of them ends as it should, and new ones begin', async () => {
      const model = 'reload:tokens=60:pace=10';
      const running = Array.from({ length: 8 }, () => ask('kept', model));
      await until('all streams', async () => (await mock.asked('reload')).filter((r) => r.tokens > 3).length === 8);
      await nginx.reload();
      for (let i = 0; i < 3; i++) await expectAnswer('kept');
      const text = await mock.text(model, prompt);
      for (const answer of await Promise.all(running)) assert.deepEqual(answer, { status: 200, text });
      await expectAnswer('kept');
    });
  });
}

// Goal: a real daemon reaches its services through an HTTP proxy, by its configuration or by its environment, and says plainly when the proxy
// is in the way.  Method: a proxy that tunnels, in variants; the mock model server with and without TLS, under a name that only the proxy knows.
// Catches: TLS checked against the proxy's name, a login in the log or at the service, a proxy that is used without being asked for.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startStack, startMock, until } from './support.mjs';
import { makeAuthority } from './tls_files.mjs';
import { startProxy } from './connect_proxy.mjs';

const prompt = 'Who is behind the proxy?', model = 'plain:tokens=10:pace=1';
const LOGIN = 'someone:open%20sesame';

async function ask(stack, name) {
  const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer key-of-${name}-0123456789`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: prompt }] }),
  });
  const body = await response.json();
  return response.ok ? body.choices[0].message.content : { status: response.status, error: body.error.message };
}
const appsOf = (upstreams) => Object.fromEntries(Object.keys(upstreams).map((name) => [name, { upstreams: [name], keys: [`key-of-${name}-0123456789`] }]));

for (const io of ['io_uring', 'epoll']) {
  describe(`through a proxy, ${io}`, () => {
    let dir, mock, tls, stack, text;
    const proxies = {};
    before(async () => {
      dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-proxy-'));
      const authority = await makeAuthority(dir, 'authority');
      const leaf = await authority.leaf('model', { names: 'DNS:model.test' });
      mock = await startMock();
      tls = await startMock(['--tls-cert', leaf.cert, '--tls-key', leaf.key]);
      text = await mock.text(model, prompt);
      const names = { 'model.test': '127.0.0.1', 'other.test': '127.0.0.1' };
      proxies.open = await startProxy({ names });
      proxies.locked = await startProxy({ names, login: 'someone:open sesame' });
      proxies.closed = await startProxy({ refuse: 403 });
      proxies.mute = await startProxy({ mute: true });
      proxies.odd = await startProxy({ garbage: true });
      const port = tls.address.split(':')[1], clear = mock.address.split(':')[1];
      const secure = (proxy, more = {}) => ({ base_url: `https://model.test:${port}/v1`, ca_file: authority.file, models: ['*'], proxy, ...more });
      const upstreams = {
        open: secure(proxies.open.url),
        clear: { base_url: `http://model.test:${clear}/v1`, models: ['*'], proxy: proxies.open.url },
        login: secure(`http://${LOGIN}@127.0.0.1:${proxies.locked.port}`),
        nologin: secure(`http://127.0.0.1:${proxies.locked.port}`),
        badlogin: secure(`http://someone:wrong-secret@127.0.0.1:${proxies.locked.port}`),
        closed: secure(proxies.closed.url),
        mute: secure(proxies.mute.url, { connect_timeout_ms: 200 }),
        odd: secure(proxies.odd.url),
        other: secure(proxies.open.url, { base_url: `https://other.test:${port}/v1` }),
        down: secure(proxies.open.url, { base_url: 'https://model.test:1/v1' }),
      };
      stack = await startStack({ mock, core: { io }, transports: { api: { plugin: 'openai-api' } }, upstreams, apps: appsOf(upstreams) });
    });
    after(async () => {
      await stack?.stop();
      await Promise.all([mock, tls, ...Object.values(proxies)].map((one) => one?.stop()));
      if (dir) await rm(dir, { recursive: true, force: true });
    });
    const logged = (words) => until(`the log to say: ${words}`, () => stack.daemon.lines.includes(words));

    test('TLS through a tunnel, which is kept', async () => {
      for (let i = 0; i < 3; i++) assert.equal(await ask(stack, 'open'), text);
      assert.equal(proxies.open.asked.filter((where) => where === `model.test:${tls.address.split(':')[1]}`).length, 1);
    });
    test('clear text goes through a tunnel as well', async () => {
      assert.equal(await ask(stack, 'clear'), text);
      assert.ok(proxies.open.asked.includes(`model.test:${mock.address.split(':')[1]}`));
    });
    test('a login is given to the proxy, and nobody else hears of it', async () => {
      assert.equal(await ask(stack, 'login'), text);
      assert.deepEqual(proxies.locked.logins, ['someone:open sesame']);
    });
    for (const [name, words, status] of [
      ['nologin', 'refused a connection to model.test', 407],
      ['badlogin', 'it does not accept the user and password in proxy', 407],
      ['closed', 'its rules do not allow CONNECT to there', 403],
      ['down', 'it cannot reach the service', 502],
      ['odd', 'did not answer as an HTTP proxy does', 0],
      ['mute', 'did not open a way to model.test', 0],
      ['other', 'the certificate of other.test is not accepted: hostname mismatch', 0],
    ])
      test(`what is in the way: ${name}`, async () => {
        const answer = await ask(stack, name);
        assert.ok(answer.status >= 500, JSON.stringify(answer));
        if (status) assert.match(answer.error, new RegExp(`the proxy refused .*HTTP ${status}`));
        await until(`the log to speak of ${name}`, () => stack.daemon.lines.split('\n').some((line) => line.includes(`upstream ${name}: `) && line.includes(words)));
      });
    test('no log line and no listing holds a login', async () => {
      const { stdout } = await stack.ctl('upstream', 'list', '--json');
      for (const secret of ['sesame', 'wrong-secret', Buffer.from('someone:open sesame').toString('base64')])
        assert.ok(!stack.daemon.lines.includes(secret) && !stdout.includes(secret), secret);
      await logged('upstream nologin');
    });
  });
}

test('proxy = "env": the environment decides, and NO_PROXY is obeyed', async () => {
  const mock = await startMock(), proxy = await startProxy({ names: { 'model.test': '127.0.0.1' } });
  const port = mock.address.split(':')[1];
  const upstreams = {
    asks: { base_url: `http://model.test:${port}/v1`, models: ['*'], proxy: 'env' },
    exempt: { base_url: `http://127.0.0.1:${port}/v1`, models: ['*'], proxy: 'env' },
    without: { base_url: `http://localhost:${port}/v1`, models: ['*'] },
  };
  const stack = await startStack({
    mock, upstreams, apps: appsOf(upstreams), transports: { api: { plugin: 'openai-api' } },
    env: { HTTP_PROXY: proxy.url, http_proxy: '', NO_PROXY: 'example.com, 127.0.0.0/8', no_proxy: '', all_proxy: '' },
  });
  try {
    const text = await mock.text(model, prompt);
    for (const name of Object.keys(upstreams)) assert.equal(await ask(stack, name), text);
    assert.deepEqual(proxy.asked, [`model.test:${port}`]);
  } finally {
    await stack.stop();
    await mock.stop();
    await proxy.stop();
  }
});

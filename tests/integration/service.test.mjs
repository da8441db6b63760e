// Transports taken out of service and put back: on a unix socket, in the wrong order, and while the daemon stops.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { protocols } from './clients.mjs';
import { startStack, until, KEY } from './support.mjs';

const health = (socketPath) => new Promise((resolve, reject) => {
  const request = http.get({ socketPath, path: '/v1/models', agent: false }, (response) => response.resume().on('end', () => resolve(response.statusCode)));
  request.on('error', reject);
  request.setTimeout(30000, () => request.destroy(new Error('neither an answer nor a refusal')));
});

/** A whole answer over a unix socket, of whichever protocol is there: 'api TEXT' or 'wx TEXT'. */
const whoAnswers = (socketPath, prompt, model) => new Promise((resolve, reject) => {
  let body = '';
  const path = `/chat/stream?${new URLSearchParams({ is_wxapp: 0, token: KEY, prompt, model })}`;
  const request = http.get({ socketPath, path, agent: false }, (response) => {
    response.setEncoding('utf8').on('data', (data) => (body += data)).on('error', reject).on('end', () => {
      if (response.statusCode === 404) return resolve('api');
      const text = body.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices?.[0]?.delta?.content ?? '').join('');
      resolve(`wx ${text}`);
    });
  });
  request.on('error', reject);
});

describe('out of service and back', () => {
  let stack, dir, socket;
  before(async () => {
    dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-service-'));
    socket = path.join(dir, 'api.sock');
    stack = await startStack({ transports: { api: { plugin: 'openai-api', listen: [`unix:${socket}`] }, bmob: { plugin: 'ws-bmob', drain_ms: 20000 } },
      model: 'long:tokens=400:pace=20' });
  });
  after(async () => {
    await stack.stop();
    await rm(dir, { recursive: true, force: true });
  });

  // Goal: a unix socket works after drain and start.  Method: ask over it before and after, and be refused between.
  // Catches: listening again on a socket that was shut, which the kernel grants for TCP only.
  test('a unix socket comes back', async () => {
    assert.equal(await health(socket), 401);
    assert.equal((await stack.ctl('drain', 'api')).code, 0);
    await assert.rejects(health(socket), /ECONNREFUSED|ENOENT/);
    assert.equal((await stack.ctl('start', 'api')).code, 0);
    await until('it to answer', async () => (await health(socket)) === 401);
  });

  // Goal: a unix socket that umbeld made is its own after core upgrade, too.  Method: upgrade twice; drain, start; then give the path up by a reload.
  // Catches: a socket taken for one of the system's manager, whose clients wait instead of being refused, and whose path stays; one that is
  // handed on although no transport has it any more.
  test('after core upgrade a unix socket refuses when it is drained, comes back, and goes when it is given up', async () => {
    for (let round = 0; round < 2; round++) {
      const started = (stack.daemon.lines.match(/ runs, /g) ?? []).length;
      const { code, stderr } = await stack.ctl('core', 'upgrade', '--wait', '5');
      assert.equal(code, 0, stderr);
      await until('the new program', () => (stack.daemon.lines.match(/ runs, /g) ?? []).length > started);
      await until('its processes', async () => (await stack.list('host list')).filter((h) => h.state === 'running').length === 2);
      assert.equal(await health(socket), 401);
    }
    assert.equal((await stack.ctl('drain', 'api')).code, 0);
    await assert.rejects(health(socket), /ECONNREFUSED|ENOENT/);
    assert.equal((await stack.ctl('start', 'api')).code, 0);
    await until('it to answer', async () => (await health(socket)) === 401);
    const other = path.join(dir, 'other.sock'), text = await readFile(stack.config, 'utf8');
    await writeFile(stack.config, text.replaceAll(`unix:${socket}`, `unix:${other}`));
    assert.equal((await stack.ctl('reload')).code, 0);
    await until('the new path', async () => (await health(other)) === 401);
    await until('the old path to go', async () => !existsSync(socket));
    await writeFile(stack.config, text);
    assert.equal((await stack.ctl('reload')).code, 0);
    await until('the old path again', async () => existsSync(socket) && (await health(socket)) === 401);
    assert.doesNotMatch(stack.daemon.lines, /no transport wants/);
  });

  // Goal: a restart that is under way does not undo a drain.  Method: restart with a client in mid-answer, drain at once, let the client go.
  // Catches: a process that is started again although its transport was taken out of service; a drain that never ends.
  test('drained while it restarts stays drained, and a restart of a drained one starts it', async () => {
    const client = protocols.Bmob.asks(stack, 'x', 's');
    await until('the first text', () => client.text);
    assert.equal((await stack.ctl('host', 'restart', 'bmob')).code, 0);
    const drained = stack.ctl('drain', 'bmob');
    await until('it to be out of service', async () => (await stack.list('host list')).some((h) => h.transport === 'bmob' && /drain|stopping/.test(h.state)));
    client.leave();
    assert.equal((await drained).code, 0);
    const host = async () => (await stack.list('host list')).find((h) => h.transport === 'bmob');
    assert.equal((await host()).state, 'drained');
    assert.equal((await stack.ctl('host', 'restart', 'bmob')).code, 0);
    await until('it to run', async () => (await host()).state === 'running');
  });
});

describe('two unix sockets', () => {
  // Goal: addresses that change hands in one reload: afterwards each path leads to the transport that the file says, and stays.
  // Method: the paths of two transports are swapped, and swapped back, with an answer that runs over one of them; drains and starts.
  // Catches: a path that is removed because its former owner leaves; a socket that nobody listens on.
  test('swapped in one reload: both serve, nothing is unlinked wrongly', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-service-'));
    const one = path.join(dir, 'one.sock'), two = path.join(dir, 'two.sock'), LONG = 'swap:text=mixed:tokens=300:pace=20', SHORT = 'swap:text=mixed:tokens=8:pace=1';
    const stack = await startStack({ transports: { api: { plugin: 'openai-api', listen: [`unix:${one}`], drain_ms: 10000 },
      wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0, listen: [`unix:${two}`], drain_ms: 10000 } } });
    try {
      const serves = async (socket, who) => (who === 'api' ? (await health(socket)) === 401 : (await whoAnswers(socket, 'q', SHORT)) === `wx ${await stack.mock.text(SHORT, 'q')}`);
      const places = async (api, wx) => {
        assert.ok(await serves(api, 'api'));
        assert.ok(await serves(wx, 'wx'));
      };
      await places(one, two);
      for (const [api, wx] of [[two, one], [one, two]]) {
        const text = await readFile(stack.config, 'utf8'), running = whoAnswers(api, 'long', LONG);
        await until('it to run', async () => (await stack.list('upstream list')).some((u) => u.active > 0));
        await writeFile(stack.config, text.replaceAll(`unix:${one}`, 'unix:X').replaceAll(`unix:${two}`, `unix:${one}`).replaceAll('unix:X', `unix:${two}`));
        const { code, stderr } = await stack.ctl('reload');
        assert.equal(code, 0, stderr);
        await places(api, wx);
        assert.equal(await running, `wx ${await stack.mock.text(LONG, 'long')}`);
        await until('the former processes to end', async () => (await stack.list('host list')).length === 2, { timeout: 40000 });
        await places(api, wx);
      }
      assert.equal((await stack.ctl('drain', 'wx')).code, 0);
      await assert.rejects(health(two), /ECONNREFUSED|ENOENT/);
      assert.ok(await serves(one, 'api'));
      assert.equal((await stack.ctl('start', 'wx')).code, 0);
      await until('both to serve', async () => (await serves(one, 'api')) && serves(two, 'wx'));
    } finally {
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

// Transports taken out of service and put back: on a unix socket, in the wrong order, and while the daemon stops.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { protocols } from './clients.mjs';
import { startStack, until } from './support.mjs';

const health = (socketPath) => new Promise((resolve, reject) => {
  const request = http.get({ socketPath, path: '/v1/models', agent: false }, (response) => response.resume().on('end', () => resolve(response.statusCode)));
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

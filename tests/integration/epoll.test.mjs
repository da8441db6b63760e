// The engine on epoll: chosen by name, chosen because io_uring is refused, and the refusal when io_uring was asked for by name.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { startStack, until, run, bin, BIN } from './support.mjs';
import { Bmob } from './clients.mjs';

const MODEL = 'mock:tokens=30:pace=1';
const without = path.join(BIN, '../tests/umbel-without-io-uring');
const status = async (stack) => {
  const { code, stdout, stderr } = await stack.ctl('status', '--json');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
};
const running = async (stack) => {
  const hosts = await stack.list('host list');
  return hosts.length > 0 && hosts.every((h) => h.state === 'running');
};

async function answers(stack, prompt, count) {
  const clients = Array.from({ length: count }, (_, i) => Bmob.asks(stack, `${prompt} ${i}`));
  await until('all answers', () => clients.every((c) => c.done));
  for (const [i, client] of clients.entries()) {
    assert.equal(client.text, await stack.mock.text(MODEL, `${prompt} ${i}`));
    client.leave();
  }
}

/** umbeld on the stack's configuration where io_uring is refused: { child, lines(), exited }. */
function bootWithout(stack, refusal) {
  let lines = '';
  const child = spawn(without, [refusal, bin('umbeld'), '-c', stack.config, '--runtime-dir', stack.dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.on('data', (data) => (lines += data));
  return { child, lines: () => lines, exited: once(child, 'exit') };
}

describe('io = epoll', () => {
  let stack;
  before(async () => (stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, core: { io: 'epoll' } })));
  after(() => stack?.stop());

  test('answers, one and many at once', async () => {
    await answers(stack, 'one', 1);
    await answers(stack, 'many', 50);
  });

  test('umbelctl status names the engine', async () => {
    assert.equal((await status(stack)).engine, 'epoll');
    assert.match((await stack.ctl('status')).stdout, /engine epoll/);
    assert.ok(!stack.daemon.lines.includes('takes epoll'), 'nothing to explain: it was chosen');
  });
});

describe('where io_uring is refused', () => {
  for (const refusal of ['EPERM', 'ENOSYS'])
    test(`io = auto falls back (${refusal}), and says why in one line`, async () => {
      const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, core: { io: 'auto' } });
      let second;
      try {
        stack.daemon.kill('SIGTERM');
        assert.deepEqual(await stack.daemon.exited, { code: 0, signal: null });
        second = bootWithout(stack, refusal);
        await until('its hosts to run', () => {
          assert.equal(second.child.exitCode, null, second.lines());
          return running(stack);
        });
        assert.equal((await status(stack)).engine, 'epoll');
        await answers(stack, 'refused', 5);
        const reasons = second.lines().split('\n').filter((line) => line.includes('takes epoll'));
        assert.equal(reasons.length, 1, second.lines());
        assert.match(reasons[0], /io = auto takes epoll: .*seccomp profile/);
        second.child.kill('SIGTERM');
        assert.deepEqual(await second.exited, [0, null], second.lines());
      } finally {
        second?.child.kill('SIGKILL');
        await stack.stop();
      }
    });

  test('io = io_uring does not start, and says what to do', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, core: { io: 'io_uring' }, wait: false });
    try {
      stack.daemon.kill('SIGTERM');
      await stack.daemon.exited;
      const { code, stderr } = await run(without, ['EPERM', bin('umbeld'), '-c', stack.config, '--runtime-dir', stack.dir]);
      assert.equal(code, 1);
      assert.match(stderr, /io_uring_setup is forbidden .*seccomp profile.*; or choose io = auto/);
    } finally {
      await stack.stop();
    }
  });
});

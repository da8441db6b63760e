// Sessions and their history: memory between questions, over protocols, restarts and kills.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { writeFile, chmod, stat } from 'node:fs/promises';
import path from 'node:path';
import WebSocket from 'ws';
import { startStack, until, KEY } from './support.mjs';

// the answer is the JSON of the messages the service received: what the memory rule sent
const ECHO = 'mem:text=messages:pace=0:tokens=400';

async function bmobAsk(stack, messages, session, key = KEY) {
  const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key}`, { perMessageDeflate: false });
  await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject));
  let text = '';
  const end = new Promise((resolve) =>
    ws.on('message', (data) => {
      const { delta, finish_reason } = JSON.parse(data).choices[0];
      text += delta.content;
      if (finish_reason) resolve();
    }));
  ws.send(JSON.stringify({ messages: Array.isArray(messages) ? messages : [{ role: 'user', content: messages }], session }));
  await end;
  ws.terminate();
  return text;
}
const seen = async (...args) => JSON.parse(await bmobAsk(...args)).map((m) => `${m.role}:${m.content.slice(0, 12)}`);

describe('memory', () => {
  let stack;
  before(async () => {
    stack = await startStack({
      transports: { bmob: { plugin: 'ws-bmob' } },
      model: ECHO,
      apps: { other: { keys: ['other-app-key-1'] }, forgetful: { keys: ['forgetful-key-1'], history: 'off' } },
    });
  });
  after(() => stack?.stop());

  test('one new message continues the turns; several replace them', async () => {
    assert.deepEqual(await seen(stack, 'one', 'a'), ['user:one']);
    const second = await seen(stack, 'two', 'a');
    assert.equal(second.length, 3);
    assert.equal(second[0], 'user:one');
    assert.match(second[1], /^assistant:/);
    assert.equal(second[2], 'user:two');
    assert.deepEqual(await seen(stack, [{ role: 'system', content: 'S' }, { role: 'user', content: 'x' }, { role: 'assistant', content: 'y' }, { role: 'user', content: 'z' }], 'a'), ['system:S', 'user:x', 'assistant:y', 'user:z']);
    assert.deepEqual((await seen(stack, 'next', 'a')).slice(0, 3), ['user:x', 'assistant:y', 'user:z']);
  });

  test('sessions, apps and sockets without a session share nothing', async () => {
    assert.deepEqual(await seen(stack, 'b1', 'b'), ['user:b1']);
    assert.deepEqual(await seen(stack, 'c1', 'a', 'other-app-key-1'), ['user:c1']);
    assert.deepEqual(await seen(stack, 'd1'), ['user:d1']);
    assert.deepEqual(await seen(stack, 'd2'), ['user:d2']);
    assert.deepEqual(await seen(stack, 'f1', 'f', 'forgetful-key-1'), ['user:f1']);
    assert.deepEqual(await seen(stack, 'f2', 'f', 'forgetful-key-1'), ['user:f2']);
  });

  test('umbelctl session list, show, forget', async () => {
    await bmobAsk(stack, 'remember me', 'listed');
    const list = await until('the session in the history', async () => {
      const rows = await stack.list('session list');
      return rows.some((s) => s.session === 'listed' && s.turns === 2) && rows;
    });
    assert.ok(list.every((s) => s.session !== 'f'), 'history = off leaves nothing');
    const shown = await stack.ctl('session', 'show', 'listed', '--app', 'shop');
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /remember me/);
    assert.equal((await stack.ctl('session', 'forget', 'listed', '--app', 'shop')).code, 0);
    assert.equal((await stack.ctl('session', 'show', 'listed', '--app', 'shop')).code, 1);
    assert.deepEqual(await seen(stack, 'who am I', 'listed'), ['user:who am I']);
    assert.equal((await stack.ctl('session', 'show', 'listed')).code, 1, 'several apps: one must be named');
    assert.equal((await stat(path.join(stack.dir, 'history.db'))).mode & 0o077, 0, 'the database is readable by its owner alone');
  });
});

describe('restarts', () => {
  test('an answer told complete survives kill -9 of the daemon', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: ECHO, app: { history_sync_ms: 20 } });
    try {
      await bmobAsk(stack, 'before the crash', 's');
      await until('it is on disk', async () => (await stack.counter('history_turns_written'), (await stack.list('session list')).some((s) => s.session === 's')));
      await until('it is written, not only queued', async () => JSON.stringify(await stack.counter('history_turns_waiting')).match(/"value":0\b|:0[,}]/));
      stack.daemon.kill('SIGKILL');
      await stack.daemon.exited;
      await stack.boot();
      const second = await until('the new host', () => seen(stack, 'after', 's'));
      assert.deepEqual([second[0], second[2]], ['user:before the c', 'user:after']);
    } finally {
      await stack.stop();
    }
  });

  test('a damaged database: said clearly, served without memory, left as it is', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: ECHO });
    try {
      stack.daemon.kill('SIGTERM');
      await stack.daemon.exited;
      const file = path.join(stack.dir, 'history.db');
      await writeFile(file, Buffer.alloc(9000, 'not a database '));
      await chmod(file, 0o600);
      await stack.boot();
      await until('the log line', () => /history.*(damaged|not a database)/i.test(stack.daemon.lines));
      assert.deepEqual(await seen(stack, 'one', 's'), ['user:one']);
      assert.equal((await stack.ctl('session', 'list')).code, 1);
      assert.equal((await stat(file)).size, 9000);
    } finally {
      await stack.stop();
    }
  });
});

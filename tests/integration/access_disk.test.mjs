// The access log's file cannot grow: its disk is full, or the process may not write so much.  Answers go on, lines are lost whole and counted,
// the log says it once, and lines are written again when there is room.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startStack, until, KEY } from './support.mjs';
import { Bmob } from './clients.mjs';

const isRoot = process.getuid() === 0;
const MODEL = 'acc:text=ascii:tokens=4:pace=0';

async function ask(stack, session) {
  const client = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'q' }], session });
  await until('an answer', () => client.done || client.error);
  assert.equal(client.error, null);
  assert.equal(client.text, await stack.mock.text(MODEL, 'q'));
  client.leave();
  return client.id;
}

/** Goal, method: lines until it is full; some more, which are lost; room; lines again.  full and room: how that is done. */
async function fillAndEmpty(log, full, room, words) {
  const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, app: { history: 'off' }, log: { level: 'info', access: log } });
  const dropped = async () => (await stack.counter('access_dropped')).reduce((sum, row) => sum + row.value, 0);
  const has = (id) => fs.readFileSync(log, 'utf8').includes(id);
  const said = (text) => stack.daemon.lines.split('\n').filter((line) => line.includes('access log ') && line.includes(text)).length;
  try {
    const first = await ask(stack, 'first');
    await until('its line', () => has(first));
    full(stack.daemon.pid);
    const lost = [];
    await until('a line to be lost', async () => (lost.push(await ask(stack, `lost-${lost.length}`)), (await dropped()) > 0), { every: 1 });
    const before = await dropped();
    for (let i = 0; i < 20; i++) lost.push(await ask(stack, `lost-${lost.length}`));
    await until('them to be counted', async () => (await dropped()) >= before + 20);
    assert.equal(said(words), 1, stack.daemon.lines);
    assert.equal(stack.daemon.end, undefined);
    room(stack.daemon.pid);
    let id;
    await until('lines to be written again', async () => has((id = await ask(stack, 'again'))), { every: 100 });
    await until('it to be said', () => said('is written again') === 1);
    const count = await dropped();
    for (let i = 0; i < 5; i++) lost.push((id = await ask(stack, 'again')));
    await until('all of them', () => has(id));
    assert.equal(await dropped(), count, 'none is lost any more');
    const lines = fs.readFileSync(log, 'utf8').split('\n').filter(Boolean);
    const whole = lines.filter((line) => { try { return JSON.parse(line); } catch { return false; } });
    assert.ok(lines.length - whole.length <= 1, 'the line in whose middle it was full, at most');
    assert.ok(whole.length + count >= 1 + lost.length, 'each line is there or counted');
  } finally {
    await stack.stop();
  }
}

test('the disk is full', { skip: isRoot ? false : 'a small disk is mounted' }, async (t) => {
  const disk = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-access-')), filler = path.join(disk, 'filler');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k,mode=755', 'none', disk], { stdio: 'pipe' });
  } catch (error) {
    fs.rmdirSync(disk);
    t.skip(`no small disk can be mounted: ${String(error.stderr).trim()}`);
    return;
  }
  try {
    const fill = () => {
      const fd = fs.openSync(filler, 'w');
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
      }
      fs.closeSync(fd);
    };
    await fillAndEmpty(path.join(disk, 'access.log'), fill, () => fs.rmSync(filler), 'No space left');
  } finally {
    execFileSync('umount', ['-l', disk]);
    fs.rmdirSync(disk);
  }
});

// Catches: SIGXFSZ, which ends a process that does not expect it.
test('the process may not make the file larger (RLIMIT_FSIZE)', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-access-')), log = path.join(dir, 'access.log');
  const limit = (pid, size) => execFileSync('prlimit', ['--pid', String(pid), `--fsize=${size}:`]);
  try {
    await fillAndEmpty(log, (pid) => limit(pid, fs.statSync(log).size + 700), (pid) => limit(pid, 'unlimited'), 'File too large');
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

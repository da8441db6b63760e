// One answer on every protocol at once: watching, coming late, leaving, going on elsewhere.  Everybody ends with the same text.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { readFile } from 'node:fs/promises';
import { startStack, until, KEY } from './support.mjs';
import { protocols, transports, Bmob } from './clients.mjs';

const LONG = 'meet:text=mixed:tokens=2000:pace=4:cut=any:seed=5';
let stack;
before(async () => {
  stack = await startStack({ transports, model: LONG, core: { journal_mb: 64 }, upstream: { models: ['*'] } });
});
after(() => stack?.stop());

/** Numbers from a seed, so that a failure can be run again. */
function random(seed) {
  return () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff), seed / 0x7fffffff);
}

test('250 clients of five protocols watch, come late, leave and resume elsewhere: identical text, asked once', async () => {
  const seed = Number(process.env.UMBEL_SEED ?? Date.now() % 100000);
  const next = random(seed);
  const names = Object.keys(protocols);
  const duration = 9000;
  const asker = Bmob.asks(stack, 'what is tea?', 'meet');
  await until('the answer to begin', () => asker.text.length > 0);
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const problems = [];
  async function life(name) {
    const path = [name];
    await wait(next() * duration * 0.7);
    let client = protocols[name].watches(stack, 'meet');
    let text = '';
    for (let moves = Math.floor(next() * 4); moves > 0 && !client.done; moves--) {
      await wait(next() * duration * 0.2);
      if (client.done || !client.id) continue;
      client.leave();
      text += client.text;
      const place = `${client.id}:${Buffer.byteLength(text)}`;
      await wait(next() * 300);
      const to = names[Math.floor(next() * names.length)];
      path.push(to);
      client = protocols[to].resumes(stack, place);
    }
    await until(`the end for ${path}`, () => client.done || client.error, { timeout: 60000, every: 50 });
    if (client.error) problems.push(`${path}: ${client.error.message}`);
    client.leave();
    return { path, text: text + client.text };
  }
  const lives = names.flatMap((name) => Array.from({ length: 50 }, () => life(name)));
  const ends = await Promise.all(lives);
  await until('the asker to end', () => asker.done);
  const truth = await stack.mock.text(LONG, 'what is tea?');
  assert.deepEqual(problems, [], `seed ${seed}`);
  assert.equal(asker.text, truth);
  for (const { path, text } of ends) assert.ok(text === truth, `${path}: ${text.length} of ${truth.length} characters, seed ${seed}`);
  assert.equal((await stack.mock.asked('meet')).length, 1);
  asker.leave();
});

test('resume after the end, on every protocol, from every kind of place', async () => {
  const model = 'meet:text=mixed:tokens=2000:pace=4:cut=any:seed=5';
  const truth = Buffer.from(await stack.mock.text(model, 'what is tea?'));
  const [stream] = await stack.list('stream list');
  for (const [name, protocol] of Object.entries(protocols))
    for (let n of [0, 1, 100, truth.length]) {
      while (n < truth.length && (truth[n] & 0xc0) === 0x80) n++;
      const client = protocol.resumes(stack, `${stream.id}:${n}`);
      await until(`${name} from ${n}`, () => client.done || client.error, { timeout: 20000 });
      assert.equal(client.error, null, `${name} from ${n}`);
      assert.equal(client.text, truth.subarray(n).toString(), `${name} from ${n}`);
      client.leave();
    }
});

test('unknown and foreign ids are the same, a place inside a character is an error, on every protocol', async () => {
  const [stream] = await stack.list('stream list');
  const truth = Buffer.from(await stack.mock.text(LONG, 'what is tea?'));
  const inside = truth.findIndex((byte) => (byte & 0xc0) === 0x80);
  for (const [name, protocol] of Object.entries(protocols))
    for (const place of [`chatcmpl-${'0'.repeat(32)}:0`, `${stream.id}:${truth.length + 1}`, `${stream.id}:${inside}`]) {
      const client = protocol.resumes(stack, place);
      await until(`${name} at ${place}`, () => client.error || client.done || client.ended || client.status >= 400, { timeout: 20000 });
      assert.ok(!truth.toString().includes(client.text) || client.text === '', `${name} at ${place}: no text of the answer, got ${JSON.stringify(client.text.slice(0, 80))}`);
      client.leave();
    }
});

// Reads slowly by hand: the kernel's buffers fill, then umbel has to hold the client's place.
function slowReader(port, head, bytesPerSecond) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  const reader = { bytes: 0, tail: '', fast: false, closed: false };
  socket.on('connect', () => socket.write(head));
  socket.on('error', () => {});
  socket.on('close', () => (reader.closed = true));
  socket.on('data', (data) => {
    reader.bytes += data.length;
    reader.tail = (reader.tail + data.toString('latin1')).slice(-4000);
    if (!reader.fast) {
      socket.pause();
      setTimeout(() => socket.resume(), Math.min(1000, (data.length / bytesPerSecond) * 1000));
    }
  });
  reader.speedUp = () => {
    reader.fast = true;
    socket.resume();
  };
  reader.end = () => socket.destroy();
  return reader;
}

const memory = async (pid) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

test('slow readers on each protocol: the others are unaffected, the slow ones end complete, memory stays flat', async () => {
  const model = 'slowly:text=ascii:tokens=4000:bytes=500:pace=1';
  const upgrade = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
  const get = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
  const pids = (await stack.list('host list')).map((h) => h.pid);
  const before = await Promise.all(pids.map(memory));
  const slow = [];
  for (let i = 0; i < 5; i++)
    slow.push(
      slowReader(stack.ports.bmob, upgrade(`/1/ai/${KEY}?session=slow&watch=1`), 1000),
      slowReader(stack.ports.wx, get(`/chat/stream?is_wxapp=1&token=${KEY}&watch=1&session=slow`), 1000),
      slowReader(stack.ports.wx, get(`/chat/stream?is_wxapp=0&token=${KEY}&watch=1&session=slow`), 1000),
      slowReader(stack.ports.api, get('/v1/sessions/slow/stream', `Authorization: Bearer ${KEY}\r\n`), 1000),
    );
  const healthy = Object.values(protocols).map((p) => p.watches(stack, 'slow'));
  await until('the watchers', async () => (await stack.list('client list')).length >= 25);
  const asker = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'q' }], session: 'slow', model });
  await until('the answer', () => asker.done, { timeout: 60000 });
  const truth = await stack.mock.text(model, 'q');
  assert.equal(asker.text, truth);
  for (const client of healthy) {
    await until('a healthy watcher', () => client.done, { timeout: 60000 });
    assert.ok(client.text === truth, `${client.constructor.name} has all`);
    client.leave();
  }
  const during = await Promise.all(pids.map(memory));
  during.forEach((mb, i) => assert.ok(mb - before[i] < 48 || process.env.UMBEL_SANITIZER, `a host grew by ${mb - before[i]} MiB`));
  assert.ok(slow.every((reader) => reader.bytes < truth.length), 'they are behind');
  for (const reader of slow) reader.speedUp();
  for (const reader of slow) await until('a slow reader to have all', () => reader.bytes >= truth.length && /\[DONE\]|"stop"|\r\n0\r\n\r\n/.test(reader.tail), { timeout: 120000, every: 50 });
  for (const reader of slow) reader.end();
  asker.leave();
});

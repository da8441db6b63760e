// Plugins of others in the real host and its sandbox: one built with the headers of ABI 1.0 (tests/abi/plugin_1_0.c), and example-line over
// libumbel-tcp.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import WebSocket from 'ws';
import { makeTree, hostOf } from './chaos.mjs';

const tree = makeTree();
const { startStack, until, KEY } = await import('./support.mjs');
after(() => tree.remove());

class Line {
  lines = [];
  constructor(port) {
    let rest = '';
    this.socket = net.connect(port, '127.0.0.1').setEncoding('utf8').on('error', () => {});
    this.socket.on('data', (data) => {
      const parts = (rest + data).split('\n');
      rest = parts.pop();
      this.lines.push(...parts);
    });
    this.socket.on('close', () => (this.closed = true));
  }
  send(...lines) {
    this.socket.write(lines.map((line) => `${line}\n`).join(''));
    return this;
  }
  get text() {
    return this.lines.filter((l) => l.startsWith('text ')).map((l) => JSON.parse(l.slice(5))).join('');
  }
  count = (start) => this.lines.filter((l) => l.startsWith(start)).length;
}

describe('plugins in the real host', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { old: { plugin: 'abi-1-0' }, line: { plugin: 'example-line' } }, model: 'mock:tokens=300:pace=1' });
  });
  after(() => stack?.stop());

  // Goal: the first ABI still loads and works.  Catches: a host that reads past struct_size, a table whose members moved.
  test('one built with the headers of ABI 1.0 serves', async () => {
    const plugins = JSON.parse((await stack.ctl('plugin', 'list', '--json')).stdout);
    assert.equal(plugins.find((p) => p.name === 'abi-1-0').abi, '1.0');
    const frames = [];
    const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.old}/${KEY}`);
    ws.on('open', () => ws.send('{"ask":"héllo 世界"}')).on('message', (data) => frames.push(JSON.parse(data)));
    await until('the end of the answer', () => frames.some((f) => f.done || f.error));
    const text = frames.map((f) => f.text ?? '').join('');
    assert.equal(text, await stack.mock.text('mock:tokens=300:pace=1', 'héllo 世界'));
    assert.equal(frames.filter((f) => f.done).length, 1);
    ws.terminate();
  });

  // Goal: example-line over the whole way, with a resume in the middle of another client's answer.  Catches: text lost, doubled or cut.
  test('example-line answers and resumes', async () => {
    const one = new Line(stack.ports.line).send(`key ${KEY}`, 'ask what is it');
    await until('text', () => one.text.length > 20);
    const id = /^answer (\S+)$/.exec(one.lines.find((l) => l.startsWith('answer ')))[1];
    const two = new Line(stack.ports.line).send(`key ${KEY}`, `resume ${id} 0`);
    await until('both ends', () => one.count('done') && two.count('done'));
    assert.equal(one.text, await stack.mock.text('mock:tokens=300:pace=1', 'what is it'));
    assert.equal(two.text, one.text);
    one.send('resume chatcmpl-00000000000000000000000000000000 0');
    await until('the refusal', () => one.count('error unknown '));
    one.send('ask once more'); // the connection is as good as before
    await until('a second end', () => one.count('done') === 2);
    one.socket.destroy();
    two.socket.destroy();
  });

  test('a bad key is told, and stop stops', async () => {
    const bad = new Line(stack.ports.line).send('key nobody', 'ask let me in');
    await until('the refusal', () => bad.count('error auth ') >= 2);
    const line = new Line(stack.ports.line).send(`key ${KEY}`, 'ask a long one');
    await until('text', () => line.text);
    line.send('stop');
    await until('the end', () => line.count('done'));
    assert.ok(line.text.length < (await stack.mock.text('mock:tokens=300:pace=1', 'a long one')).length);
    bad.socket.destroy();
    line.socket.destroy();
  });

  // Goal: new processes take over while an answer runs.  Catches: a carrier whose retire or drain cuts an answer or never ends.
  test('a restart cuts no answer', async () => {
    const pid = (await hostOf(stack, 'line')).pid;
    const line = new Line(stack.ports.line).send(`key ${KEY}`, 'ask through the restart');
    const idle = new Line(stack.ports.line).send(`key ${KEY}`);
    await until('text', () => line.text && idle.count('ok'));
    const { code, stderr } = await stack.ctl('restart', 'line');
    assert.equal(code, 0, stderr);
    await until('the end', () => line.count('done') || line.closed);
    assert.equal(line.text, await stack.mock.text('mock:tokens=300:pace=1', 'through the restart'));
    await until('the old process to go', async () => (await hostOf(stack, 'line')).pid !== pid && idle.closed);
    const fresh = new Line(stack.ports.line).send(`key ${KEY}`, 'ask again');
    await until('the end', () => fresh.count('done'));
    line.socket.destroy();
    fresh.socket.destroy();
  });
});

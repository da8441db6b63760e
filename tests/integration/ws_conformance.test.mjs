// RFC 6455, case by case: ws_conformance.py, which speaks with the library that Autobahn's suite is made of, against the ws carrier with a codec
// that sends every message back.  Needs Debian's python3-autobahn.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { BIN, run, until } from './support.mjs';

const python = '/usr/bin/python3'; // Debian's own: the module is a Debian package
const tests = path.join(BIN, '../tests');
const missing = (await run(python, ['-c', 'import autobahn.asyncio.websocket'])).code !== 0 && 'python3-autobahn is not installed';
let host, port;

before(async () => {
  if (missing) return;
  host = spawn(path.join(tests, 'umbel-fake-host-run'), [path.join(tests, 'plugins/echo-ws.so')], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  host.stdout.on('data', (data) => (said += data));
  port = (await until('its port', () => /port (\d+)/.exec(said)))[1];
});
after(async () => {
  if (!host) return;
  const ended = once(host, 'exit');
  host.kill('SIGTERM');
  const [code, signal] = await ended;
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
});

test('every case of framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits and refused compression', { skip: missing, timeout: 600000 }, async () => {
  const { stdout, stderr } = await run(python, [path.join(import.meta.dirname, 'ws_conformance.py'), port], { timeout: 500000 });
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line)), sum = lines.pop();
  assert.deepEqual(lines.filter((line) => !line.ok), [], stderr);
  assert.equal(sum.failed, 0);
  assert.ok(sum.cases === lines.length && sum.cases > 200, `${sum.cases} cases`);
});

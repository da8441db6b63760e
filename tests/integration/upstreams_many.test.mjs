// Goal: many answers of services at once are a question of memory only.  Method: the benchmark in small, 500 streams in one loop, on both
// backends, in clear text and with TLS: all open at the same time, all complete, all with the right text.
// Catches: a table that is too small, a listener that is overrun, memory for each stream that has grown.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { run, bin, startStack, until } from './support.mjs';
import { makeAuthority } from './tls_files.mjs';

const STREAMS = 500;
let dir, authority, leaf;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-many-'));
  authority = await makeAuthority(dir, 'authority');
  leaf = await authority.leaf('mock', { names: 'IP:127.0.0.1' });
});
after(() => rm(dir, { recursive: true, force: true }));

for (const io of ['io_uring', 'epoll'])
  for (const tls of [false, true])
    test(`${STREAMS} streams at once, ${io}, ${tls ? 'TLS' : 'clear text'}`, async () => {
      const more = tls ? ['--tls-cert', leaf.cert, '--tls-key', leaf.key, '--ca', authority.file] : [];
      let code, stdout, stderr;
      // A machine that is slow now needs longer answers for all of them to be open at once.
      for (const pace of [100, 500, 3000]) {
        ({ code, stdout, stderr } = await run(bin('umbel-bench-upstreams'), ['--streams', String(STREAMS), '--tokens', '30', '--pace-ms', String(pace), '--io', io, '--json', ...more]));
        if (!stderr.includes('the first ended before the last began')) break;
      }
      assert.equal(code, 0, stderr);
      const told = JSON.parse(stdout);
      assert.deepEqual([told.complete, told.peak, told.tls, told.io], [STREAMS, STREAMS, tls, io]);
      // The bounds that docs/internals/engine.md tells.  A sanitizer's heap does not count in the same way: then there is no figure.
      assert.ok(told.heap_bytes_per_stream < (tls ? 48000 : 8000), stdout);
    });

test('max_concurrent answers run, queue more wait, and the next is told that the service is busy', async () => {
  const stack = await startStack({ transports: { api: { plugin: 'openai-api' } }, upstream: { max_concurrent: 1, queue: 1 } });
  try {
    const model = 'room:text=count:tokens=100:pace=10';
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'q' }] }),
      });
      return { status: response.status, body: await response.json() };
    };
    const upstream = async () => (await stack.list('upstream list')).find((u) => u.name === 'demo');
    const first = ask();
    await until('the first to run', async () => (await stack.mock.asked('room')).length === 1);
    const second = ask();
    await until('the second to wait', async () => (await upstream()).waiting === 1);
    const third = await ask();
    assert.equal(third.status, 503, JSON.stringify(third));
    assert.match(third.body.error.message, /busy/i);
    const text = await stack.mock.text(model, 'q');
    for (const answer of await Promise.all([first, second])) assert.equal(answer.body.choices?.[0].message.content, text, JSON.stringify(answer));
    const asked = await stack.mock.asked('room');
    assert.equal(asked.length, 2);
    assert.ok(asked.every((one) => one.end === 'complete'));
  } finally {
    await stack.stop();
  }
});

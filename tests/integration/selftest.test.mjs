// Goal: `umbelctl selftest` asks over every transport as its clients do and judges what comes; what it lets in for that is let in only by its own key,
//   only as long as it runs.
// Method: a daemon with all transports, in clear text and with TLS, one that answers wrongly on purpose, one out of service, an IM bot; the admin
//   command by hand, to hold its key.
// Catches: a test that cannot fail, a key that outlives it, a protocol that is left out in silence, a verdict that depends on the model service.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createConnection } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { startStack, until, run, bin } from './support.mjs';
import { makeAuthority } from './tls_files.mjs';
import { startIm } from './im_support.mjs';

let dir, stack;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-test-'));
  const { cert, key } = await (await makeAuthority(dir, 'authority')).leaf('leaf', { days: 2 });
  const tls = { tls_cert: cert, tls_key: key };
  stack = await startStack({
    transports: {
      bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp', path: '/elsewhere', gap_ms: 1, end_gap_ms: 1 }, gpt: { plugin: 'ws-chatgpt' }, api: { plugin: 'openai-api' },
      'bmob-tls': { plugin: 'ws-bmob', ...tls }, 'api-tls': { plugin: 'openai-api', ...tls },
    },
    upstream: { base_url: 'http://127.0.0.1:9/v1' }, // no service is needed
    metrics: true,
  });
});
after(async () => {
  await stack?.stop();
  await rm(dir, { recursive: true, force: true });
});
const selftest = async (of = stack, ...args) => {
  const { code, stdout, stderr } = await of.ctl('selftest', '--json', ...args);
  return { code, stderr, ...(stdout ? JSON.parse(stdout) : {}) };
};

describe('selftest', () => {
  test('every transport and protocol, with TLS or without; the model service is not asked', async () => {
    const { code, trials, ok, good, failed, stderr } = await selftest();
    assert.deepEqual([code, ok, good, failed], [0, true, 7, 0], stderr + JSON.stringify(trials));
    const seen = Object.fromEntries(trials.map((t) => [`${t.transport} ${t.protocol}`, t]));
    assert.deepEqual(Object.keys(seen).sort(), ['api api', 'api-tls api', 'bmob bmob', 'bmob-tls bmob', 'gpt cgws', 'metrics ', 'wx h5', 'wx wx']);
    for (const trial of trials.filter((t) => t.result === 'ok')) {
      assert.ok(trial.bytes > 400 && trial.frames > 5 && trial.first_text_ms > 0 && trial.end_ms >= trial.first_text_ms && trial.lag_ms >= 0, JSON.stringify(trial));
      assert.deepEqual([trial.tls, trial.certificate_days !== null], Array(2).fill(trial.transport.endsWith('-tls')));
    }
    assert.equal(seen['metrics '].result, 'skipped');
    assert.ok([1, 2].includes(seen['api-tls api'].certificate_days));
    assert.match(seen['api-tls api'].advice, /expires soon/);
  });

  test('in words, one transport; live: the services are asked, and theirs is the fault', async () => {
    const one = await stack.ctl('selftest', '--transport', 'gpt');
    assert.equal(one.code, 0);
    assert.match(one.stdout, /^ok +gpt +127\.0\.0\.1:\d+ +cgws {2}\d+ bytes, first text after [\d.]+ ms, lag [\d.]+ ms\n1 good, 0 failed\n$/);
    const live = await selftest(stack, '--live', 'hello', '--transport', 'api');
    assert.deepEqual([live.code, live.failed, live.trials[0].result], [1, 1, 'failed']);
    assert.match(live.trials[0].advice, /upstream probe/);
    assert.equal((await selftest(stack, '--transport', 'nobody')).code, 1);
    assert.equal((await selftest(stack, '--live', 'x', '--app', 'nobody')).code, 1);
    assert.equal((await run(bin('umbelctl'), ['-s', dir, 'selftest'])).code, 3);
  });

  test('out of service is told, and nothing to test is no success', async () => {
    await stack.ctl('drain', 'gpt');
    const { code, trials, ok } = await selftest(stack, '--transport', 'gpt');
    assert.deepEqual([code, ok, trials.map((t) => t.result)], [1, false, ['skipped']]);
    await stack.ctl('start', 'gpt');
    await until('gpt to serve', async () => (await selftest(stack, '--transport', 'gpt')).code === 0);
  });

  test('a transport that answers wrongly fails, live answers are judged, too', async () => {
    const odd = await startStack({ transports: { wx: { plugin: 'http-chunked-wxapp', gap_ms: 1, end_gap_ms: 1, second_terminal: 'true' }, short: { plugin: 'http-chunked-wxapp', max_stream_ms: 10, gap_ms: 1, end_gap_ms: 1 }, api: { plugin: 'openai-api' } } });
    try {
      const { code, trials } = await selftest(odd);
      const of = (name) => trials.find((t) => t.protocol === name && t.transport !== 'short');
      const short = trials.find((t) => t.transport === 'short' && t.protocol === 'wx');
      assert.equal(code, 1);
      assert.deepEqual([of('wx').result, of('h5').result, of('api').result], ['failed', 'ok', 'ok']);
      assert.match(of('wx').what, /ended twice/);
      assert.ok(of('wx').advice.length > 10);
      assert.deepEqual([short.result, /^the text is not the one that was sent: \d+ bytes instead of \d+, alike up to byte \d+$/.test(short.what)], ['failed', true], JSON.stringify(short));
      const live = await selftest(odd, '--live', 'hello', '--transport', 'api');
      assert.deepEqual([live.code, live.trials[0].result, live.trials[0].lag_ms], [0, 'ok', null]);
      assert.ok((await odd.mock.asked()).length > 0);
    } finally {
      await odd.stop();
    }
  });

  test('IM: its REST interface is tried', async () => {
    const im = await startIm();
    try {
      const good = await selftest(im, '--transport', 'im');
      assert.deepEqual([good.code, good.trials.map((t) => [t.protocol, t.result])], [0, [['im check', 'ok']]], JSON.stringify(good));
      await im.tim.stop();
      const bad = await selftest(im, '--transport', 'im');
      assert.deepEqual([bad.code, bad.trials[0].result], [1, 'failed']);
      assert.ok(bad.trials[0].what.length > 0);
    } finally {
      await im.stop();
    }
  });
});

describe('its key', () => {
  // The command by hand, with a service that stands for the canary.
  async function hold() {
    const service = createServer((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.end('data: {"choices":[{"index":0,"delta":{"content":"tweet"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    }).listen(0, '127.0.0.1');
    await once(service, 'listening');
    const socket = createConnection(path.join(stack.dir, 'admin.sock'));
    socket.write(`${JSON.stringify({ command: 'selftest', arguments: [{ port: String(service.address().port) }] })}\n`);
    const [data] = await once(socket, 'data');
    return { key: JSON.parse(data.toString().split('\n')[0]).key, end: () => (socket.destroy(), service.close()) };
  }
  const ask = async (key) => {
    const reply = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
      method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'canary', messages: [{ role: 'user', content: 'x' }] }),
    });
    return { status: reply.status, body: await reply.text() };
  };

  test('is good while the command runs, for one at a time, and for nothing afterwards', async () => {
    const held = await hold();
    assert.match(held.key, /^[0-9a-f]{48}$/);
    const reply = await ask(held.key);
    assert.equal(reply.status, 200);
    assert.match(reply.body, /tweet/);
    const second = await stack.ctl('selftest');
    assert.deepEqual([second.code, /runs already/.test(second.stderr)], [1, true]);
    held.end();
    await until('the key to be worthless', async () => (await ask(held.key)).status === 401);
    const next = await hold();
    assert.notEqual(next.key, held.key);
    assert.equal((await ask(held.key)).status, 401);
    assert.equal((await ask(next.key)).status, 200);
    // a reload in between ends it, and the next one begins as ever
    assert.equal((await stack.ctl('reload')).code, 0);
    await until('the reload to end it', async () => (await ask(next.key)).status === 401);
    next.end();
    await until('the next', async () => (await selftest(stack, '--transport', 'api')).code === 0);
    assert.ok(!stack.daemon.lines.includes(held.key) && !stack.daemon.lines.includes(next.key));
  });
});

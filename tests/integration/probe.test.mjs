// Goal: `umbelctl upstream probe` tells how far a question comes, how long each stage takes, and what to do when it does not come through.
// Method: services good and bad behind one daemon: the mock's faults, a closed port, a name that does not exist, TLS with and without the
//   right authority; the JSON and the text.
// Catches: a stage measured on a kept connection, a failure told as another one, a secret in the report, a probe that opens a client's
//   breaker, or two at once.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startStack, startMock, freePort, until, bin } from './support.mjs';

const SECRET = 'sk-probe-0123456789';
let mock, tls, locked, dir, stack;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-test-'));
  const cert = path.join(dir, 'cert.pem'), key = path.join(dir, 'key.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days', '10', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  mock = await startMock();
  tls = await startMock(['--tls-cert', cert, '--tls-key', key]);
  locked = await startMock(['--require-key', SECRET]);
  const dead = await freePort(), url = `${mock.url}/v1`, secure = `https://${tls.address}/v1`;
  stack = await startStack({
    mock, transports: { bmob: { plugin: 'ws-bmob' } }, model: 'named:text=count:tokens=3:pace=1',
    upstreams: {
      open: { base_url: `${locked.url}/v1`, models: ['mine:text=count:tokens=2', 'other'], api_key: 'env:PROBE_KEY' },
      shut: { base_url: `${locked.url}/v1`, models: ['mine'], api_key: 'env:PROBE_WRONG' },
      secure: { base_url: secure, models: ['m:text=count:tokens=2:pace=1'], ca_file: cert },
      strange: { base_url: secure, models: ['m'] },
      dead: { base_url: `http://127.0.0.1:${dead}/v1`, models: ['m'] },
      nowhere: { base_url: 'http://no-such-host.invalid/v1', models: ['m'] },
      short: { base_url: url, models: ['m'], first_token_timeout_ms: 300, idle_timeout_ms: 300 },
      picky: { base_url: url, models: ['m'], quirks: ['no-usage_in_choice'] },
      claude: { base_url: url, dialect: 'anthropic', models: ['c:text=count:tokens=2:reasoning=2:pace=1'] },
      single: { base_url: url, models: ['m'], max_concurrent: 1, queue: 0 },
    },
    env: { PROBE_KEY: SECRET, PROBE_WRONG: 'sk-wrong-9876543210' },
  });
});
after(async () => {
  await stack?.stop();
  for (const each of [mock, tls, locked]) await each?.stop();
  await rm(dir, { recursive: true, force: true });
});

async function probe(name, model) {
  const { code, stdout, stderr } = await stack.ctl('upstream', 'probe', name, ...(model ? ['--model', model] : []), '--json');
  assert.ok(!/sk-probe|sk-wrong/.test(stdout + stderr), 'no key is told');
  const report = JSON.parse(stdout);
  assert.equal(code, report.verdict === 'ok' ? 0 : 1);
  if (report.verdict) assert.equal(report.verdict !== 'ok', report.advice.length > 0);
  return report;
}

describe('an upstream that answers', () => {
  test('the model is the first it names, else that of an app; every stage has its time', async () => {
    assert.equal((await probe('open')).model, 'mine:text=count:tokens=2');
    const report = await probe('demo');
    assert.equal(report.model, 'named:text=count:tokens=3:pace=1');
    assert.deepEqual([report.verdict, report.status, report.said, report.finish, report.error], ['ok', 200, 't0 t1 t2', 'stop', '']);
    assert.deepEqual(report.usage, { prompt_tokens: report.usage.prompt_tokens, completion_tokens: 3 });
    const { room, resolve, connect, proxy, tls: handshake, first_byte, first_token, end, total } = report.times_ms;
    assert.deepEqual([proxy, handshake, report.tls], [null, null, null]);
    for (const time of [room, resolve, connect]) assert.ok(time >= 0);
    assert.ok(first_byte > 0 && first_byte <= first_token && first_token <= end && end <= total, JSON.stringify(report.times_ms));
    assert.deepEqual(report.quirks, []);
  });

  test('TLS: version, cipher, days of the certificate; a fresh connection each time, the session resumed', async () => {
    const first = await probe('secure');
    assert.equal(first.verdict, 'ok', first.error);
    assert.match(first.tls.version, /^TLSv1\.[23]$/);
    assert.ok(first.tls.cipher.length > 5);
    assert.ok(first.tls.certificate_days === 9 || first.tls.certificate_days === 10);
    assert.equal(first.tls.resumed, false);
    assert.ok(first.times_ms.tls > 0);
    const second = await probe('secure');
    assert.equal(second.tls.resumed, true);
    assert.ok(second.times_ms.connect !== null);
  });

  test('quirks that were seen, also those that are switched off', async () => {
    assert.deepEqual((await probe('demo', 'q:text=count:tokens=2:usage=choice:reasoning=2:done=no')).quirks,
      [{ name: 'reasoning_content', on: true }, { name: 'usage_in_choice', on: true }, { name: 'done_missing', on: true }]);
    const picky = await probe('picky', 'q:text=count:tokens=2:usage=choice');
    assert.deepEqual(picky.quirks, [{ name: 'usage_in_choice', on: false }]);
    assert.equal(picky.usage, null);
    assert.deepEqual((await probe('claude')).quirks, [{ name: 'thinking', on: true }]);
  });

  test('a long answer is not waited for', async () => {
    const report = await probe('demo', 'long:text=ascii:bytes=1000:tokens=1000000:pace=0');
    assert.deepEqual([report.verdict, report.long], ['ok', true]);
    await until('the service to be told', async () => (await mock.asked('long'))[0].end === 'client_closed');
  });

  test('the text for people', async () => {
    const { code, stdout } = await stack.ctl('upstream', 'probe', 'secure');
    assert.equal(code, 0);
    for (const part of [/^upstream +secure, dialect openai/m, /^TLS +TLSv1/m, /certificate has (9|10) days left/, /connection +[0-9.]+ ms/, /first token +[0-9.]+ ms/, /^usage /m, /^quirks +none seen/m, /^verdict +ok$/m])
      assert.match(stdout, part);
  });
});

describe('an upstream that does not', () => {
  for (const [name, model, verdict, words] of [
    ['dead', undefined, 'connect', /cannot connect/],
    ['nowhere', undefined, 'resolve', /cannot look up no-such-host/],
    ['strange', undefined, 'tls', /certificate/],
    ['shut', undefined, 'key', /API key/],
    ['demo', 'x:status=404', 'not_found', /does not exist/],
    ['demo', 'x:status=400', 'request', /invalid/],
    ['demo', 'x:status=429:retryafter=7', 'rate', /Rate limit/],
    ['demo', 'x:status=503', 'service', /overloaded/],
    ['demo', 'x:html=1', 'service', /502/],
    ['demo', 'x:gzip=1', 'encoding', /gzip/],
    ['demo', 'x:status=200json', 'error', /./],
    ['demo', 'x:text=count:malformed=2', 'broken', /broken JSON/],
    ['demo', 'x:text=count:errorat=2', 'error', /./],
    ['demo', 'x:text=count:close=2', 'cut', /broke/],
    ['demo', 'x:text=count:endchunk=2', 'cut', /stopped/],
    ['short', 'x:stall=head', 'silent', /did not begin/],
    ['short', 'x:stall=first', 'silent', /did not begin/],
    ['short', 'x:text=count:stall=2', 'cut', /silent/],
  ])
    test(`${model ?? name}: ${verdict}`, async () => {
      const report = await probe(name, model);
      assert.equal(report.verdict, verdict, JSON.stringify(report));
      assert.match(report.error, words);
      if (verdict === 'rate') assert.equal(report.retry_after_s, 7);
      const status = /status=(\d{3})(:|$)/.exec(model ?? '')?.[1];
      if (status) assert.equal(report.status, Number(status));
      if (verdict === 'key') assert.equal(report.status, 401);
      if (verdict === 'tls') assert.ok(report.times_ms.connect !== null && report.times_ms.tls === null);
      if (verdict === 'connect') assert.ok(report.times_ms.resolve !== null && report.times_ms.connect === null);
    });

  test('the text for people says what to do', async () => {
    const { code, stdout } = await stack.ctl('upstream', 'probe', 'dead');
    assert.equal(code, 1);
    assert.match(stdout, /^verdict +connect$[^]*is the service running/m);
  });

  test('an unknown name, no name', async () => {
    const { code, stderr } = await stack.ctl('upstream', 'probe', 'nobody');
    assert.deepEqual([code, /no upstream has this name[^]*upstream list/.test(stderr)], [1, true]);
    assert.equal((await stack.ctl('upstream', 'probe')).code, 2);
  });
});

describe('what it must not disturb', () => {
  test('failing probes do not open the breaker, nor close it', async () => {
    for (let i = 0; i < 7; i++) assert.equal((await probe('demo', 'x:status=503')).breaker, 'closed');
    assert.ok(!/upstream demo failed 5 times/.test(stack.daemon.lines));
  });

  test('one at a time, and it takes its place among the calls; who hangs up ends it', async () => {
    const first = spawn(bin('umbelctl'), ['-s', stack.dir, 'upstream', 'probe', 'single', '--model', 'slow:text=count:tokens=2:first=100000'], { stdio: 'ignore' });
    await until('the question to be asked', async () => (await mock.asked('slow')).length === 1);
    assert.match((await stack.ctl('upstream', 'probe', 'single')).stderr, /being probed already/);
    await until('the table to show it', async () => (await stack.list('upstream list')).find((u) => u.name === 'single').active === 1);
    first.kill('SIGKILL');
    await until('the service to be told', async () => (await mock.asked('slow'))[0].end === 'client_closed');
    await until('it to be over', async () => (await probe('single', 'm:text=count:tokens=2')).verdict === 'ok');
  });

  test('a daemon that is told to end does not wait for a probe', async () => {
    const hanging = stack.ctl('upstream', 'probe', 'single', '--model', 'hang:text=count:tokens=2:first=100000');
    await until('the question to be asked', async () => (await mock.asked('hang')).length === 1);
    stack.daemon.kill('SIGTERM');
    assert.deepEqual(await stack.daemon.exited, { code: 0, signal: null });
    assert.equal((await hanging).code, 1);
  });
});

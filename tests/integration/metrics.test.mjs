// Metrics and health checks: a real daemon under load over several transports, and a strict reader of what it says.
// UMBEL_WRITE_DOCS=1 writes the table of docs/metrics.md instead of comparing it.  promtool is used if it is there.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack, run, bin, until, KEY } from './support.mjs';
import { protocols, transports } from './clients.mjs';
import { rawConnect } from './http_raw.mjs';
import { parseExposition, valueOf, sumOf } from './exposition.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const here = (file) => path.join(root, file);
const promtool = [process.env.PROMTOOL, here('build/tools/promtool'), ...(process.env.PATH ?? '').split(':').map((d) => path.join(d, 'promtool'))]
  .find((file) => file && existsSync(file));

const url = (stack, where) => `http://127.0.0.1:${stack.ports.metrics}${where}`;
const get = async (stack, where, options = {}) => {
  const response = await fetch(url(stack, where), { signal: AbortSignal.timeout(20000), ...options });
  return { status: response.status, headers: response.headers, text: await response.text() };
};
const scrape = async (stack) => {
  const { status, text } = await get(stack, '/metrics');
  assert.equal(status, 200, text);
  return parseExposition(text);
};
const host = async (stack, name) => (await stack.list('host list')).find((h) => h.transport === name);

async function askApiLive(stack, content) {
  const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ stream: true, messages: [{ role: 'user', content }] }),
  });
  assert.match(await response.text(), /\[DONE\]\n\n$/);
}
async function askApi(stack, content, model) {
  const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content }], ...(model ? { model } : {}) }),
  });
  return { status: response.status, body: await response.json() };
}
async function askBmob(stack, content) {
  const client = protocols.Bmob.asks(stack, content);
  await until('the answer', () => client.done);
  client.leave();
}
async function askWx(stack, content) {
  const client = new protocols.Wxapp().connect(stack.ports.wx, `/chat/stream?is_wxapp=1&token=${KEY}&prompt=${content}`);
  await until('the answer', () => client.done);
  client.leave();
}

describe('metrics of what was done', () => {
  const tokens = 20;
  let stack;
  let families;
  before(async () => {
    stack = await startStack({ transports, metrics: true, model: `mock:tokens=${tokens}:pace=1` });
    await Promise.all([...Array(4)].map((_, i) => askBmob(stack, `b${i}`)));
    await Promise.all([...Array(3)].map((_, i) => askWx(stack, `w${i}`)));
    await Promise.all([...Array(2)].map((_, i) => askApiLive(stack, `a${i}`)));
    const failed = await askApi(stack, 'x', 'mock:status=400');
    assert.notEqual(failed.status, 200);
    await until('the tick that tells of upstreams', async () => {
      families = await scrape(stack);
      return sumOf(families, 'umbel_upstream_calls_total') === 10;
    });
  });
  after(() => stack?.stop());

  test('N answers make N', () => {
    assert.equal(valueOf(families, 'umbel_answers_started_total'), 10);
    assert.equal(valueOf(families, 'umbel_answers_total', { verdict: 'complete' }), 9);
    assert.equal(valueOf(families, 'umbel_answers_total', { verdict: 'failed' }), 1);
    assert.equal(sumOf(families, 'umbel_answers_total'), 10);
    assert.equal(sumOf(families, 'umbel_answer_errors_total'), 1);
    assert.equal(valueOf(families, 'umbel_answers_running'), 0);
    assert.equal(valueOf(families, 'umbel_deltas_total'), 9 * tokens);
    assert.equal(valueOf(families, 'umbel_upstream_calls_started_total', { upstream: 'demo' }), 10);
    assert.equal(valueOf(families, 'umbel_upstream_calls_total', { upstream: 'demo', verdict: 'complete' }), 9);
    assert.equal(valueOf(families, 'umbel_output_tokens_total', { upstream: 'demo' }), 9 * tokens);
    for (const [transport, n] of [['bmob', 4], ['wx', 3], ['api', 3], ['cgws', 0]])
      assert.equal(valueOf(families, 'umbel_host_questions_total', { transport, worker: '0' }), n, transport);
  });

  test('histograms count what they should', () => {
    const demo = { upstream: 'demo' };
    assert.equal(valueOf(families, 'umbel_time_to_first_token_seconds_count', demo), 9);
    assert.equal(valueOf(families, 'umbel_token_gap_seconds_count', demo), 9 * (tokens - 1));
    assert.equal(valueOf(families, 'umbel_answer_duration_seconds_count', demo), 10);
    assert.equal(valueOf(families, 'umbel_publish_delay_seconds_count'), 9 * tokens);
    const [first, gap, whole] = ['time_to_first_token', 'token_gap', 'answer_duration'].map((n) => valueOf(families, `umbel_${n}_seconds_sum`, demo));
    assert.ok(first + gap <= whole * 1.001 && first > 0, `${first} + ${gap} <= ${whole}: seconds of the same answers`);
    for (const transport of ['bmob', 'wx', 'api']) {
      const lag = { transport, worker: '0' };
      assert.ok(valueOf(families, 'umbel_delivery_lag_seconds_count', lag) > 0, transport);
      assert.ok(valueOf(families, 'umbel_delivery_lag_seconds_sum', lag) > 0, transport);
    }
    assert.equal(valueOf(families, 'umbel_delivery_lag_seconds_count', { transport: 'cgws', worker: '0' }), 0);
  });

  test('processes, hosts and the build', () => {
    assert.ok(valueOf(families, 'umbel_process_cpu_seconds_total') > 0);
    assert.ok(valueOf(families, 'umbel_process_resident_memory_bytes') > 1e6);
    assert.ok(valueOf(families, 'umbel_process_open_fds') > 10);
    for (const transport of [...Object.keys(transports), 'metrics']) {
      const one = { transport, worker: '0' };
      assert.equal(valueOf(families, 'umbel_host_up', one), 1, transport);
      assert.ok(valueOf(families, 'umbel_host_process_cpu_seconds_total', one) > 0, transport);
      assert.ok(valueOf(families, 'umbel_host_process_resident_memory_bytes', one) > 1e6, transport);
      assert.ok(valueOf(families, 'umbel_host_process_open_fds', one) > 5, transport);
    }
    const build = families.get('umbel_build_info').samples[0];
    assert.match(build.labels.version, /^\d+\.\d+\.\d+$/);
    assert.match(build.labels.engine, /^(io_uring|epoll)$/);
    assert.equal(valueOf(families, 'umbel_metrics_dropped'), 0);
  });

  test('labels have bounded values only', () => {
    const allowed = new Set(['transport', 'upstream', 'app', 'worker', 'error', 'verdict', 'le', 'version', 'engine']);
    for (const family of families.values())
      for (const sample of family.samples)
        for (const name of Object.keys(sample.labels)) assert.ok(allowed.has(name), `${sample.name}{${name}}`);
  });

  test('OpenMetrics for those who ask for it: the same series', async () => {
    const answer = await get(stack, '/metrics', { headers: { accept: 'application/openmetrics-text; version=1.0.0,text/plain;q=0.5' } });
    assert.match(answer.headers.get('content-type'), /^application\/openmetrics-text; version=1\.0\.0/);
    const open = parseExposition(answer.text, { open: true });
    const series = (all) => [...all.values()].flatMap((f) => f.samples.map((s) => `${s.name}${JSON.stringify(s.labels)}`)).sort();
    assert.deepEqual(series(open), series(await scrape(stack)));
    assert.match((await get(stack, '/metrics')).headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  });

  test('GET and HEAD; 404 and 405 else', async () => {
    const head = await get(stack, '/metrics', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    assert.ok(Number(head.headers.get('content-length')) > 1000);
    assert.equal((await get(stack, '/')).status, 404);
    assert.equal((await get(stack, '/metrics/')).status, 404);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await get(stack, '/metrics', { method });
      assert.equal(answer.status, 405, method);
      assert.equal(answer.headers.get('allow'), 'GET, HEAD');
    }
  });

  test('docs/metrics.md lists exactly these', async () => {
    const file = here('docs/metrics.md');
    const text = await readFile(file, 'utf8');
    const [from, to] = ['<!-- table: tests/integration/metrics.test.mjs -->\n', '<!-- end of table -->'];
    const rows = [...families.values()]
      .filter((f) => !f.name.startsWith('umbel_plugin_'))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((f) => {
        const labels = new Set(f.samples.flatMap((s) => Object.keys(s.labels)).filter((l) => l !== 'le'));
        return `| \`${f.name}\` | ${f.type} | ${[...labels].map((l) => `\`${l}\``).join(', ')} | ${f.help.replaceAll('|', '\\|')} |\n`;
      });
    const table = `| name | type | labels | meaning |\n|---|---|---|---|\n${rows.join('')}`;
    const [begin, end] = [text.indexOf(from) + from.length, text.indexOf(to)];
    assert.ok(begin >= from.length && end >= begin, 'the marks around the table');
    if (process.env.UMBEL_WRITE_DOCS) await writeFile(file, text.slice(0, begin) + table + text.slice(end));
    else assert.equal(text.slice(begin, end), table, 'docs/metrics.md is not current: run this test with UMBEL_WRITE_DOCS=1');
  });

  const samples = () => new Set([...families.values()].flatMap((f) => f.samples.map((s) => s.name)));
  const namesIn = (text) => new Set(text.match(/\bumbel_[a-z0-9_]+/g));

  test('the dashboard uses names that exist', async () => {
    const dashboard = JSON.parse(await readFile(here('etc/grafana/umbel.json'), 'utf8'));
    const expressions = dashboard.panels.flatMap((p) => p.targets ?? []).map((t) => t.expr);
    assert.ok(expressions.length > 30);
    const known = samples();
    for (const expression of expressions)
      for (const name of namesIn(expression)) assert.ok(known.has(name), `${name} in ${expression}`);
    const ids = dashboard.panels.map((p) => p.id);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('the alert rules use names that exist', async () => {
    const text = await readFile(here('etc/prometheus/umbel.rules.yml'), 'utf8');
    const alerts = text.split(/^ {6}- alert: /m).slice(1);
    assert.ok(alerts.length > 10);
    const known = samples();
    for (const alert of alerts) {
      assert.match(alert, /^Umbel[A-Za-z]+\n {8}expr: .+\n/);
      assert.match(alert, /\n {8}labels:\n {10}severity: (critical|warning|info)\n {8}annotations:\n {10}summary: ".+"\n {10}description: ".+"\n/);
      const expression = alert.slice(alert.indexOf('expr:'), alert.indexOf('labels:'));
      assert.match(expression, /umbel/);
      for (const name of namesIn(expression)) assert.ok(known.has(name), `${name} in ${expression}`);
    }
    assert.equal(new Set(alerts.map((a) => a.split('\n')[0])).size, alerts.length);
  });

  test('promtool agrees', { skip: !promtool && 'no promtool' }, async () => {
    const rules = await run(promtool, ['check', 'rules', here('etc/prometheus/umbel.rules.yml')]);
    assert.equal(rules.code, 0, rules.stdout + rules.stderr);
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-promtool-'));
    try {
      const file = path.join(dir, 'metrics');
      await writeFile(file, (await get(stack, '/metrics')).text);
      const checked = await run('/bin/sh', ['-c', '"$0" check metrics < "$1"', promtool, file]);
      assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('health', () => {
  test('running: live and ready, as text and as JSON; during a drain live and not ready', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, metrics: true, model: 'mock:tokens=400:pace=10' });
    try {
      assert.deepEqual(await get(stack, '/healthz/live').then(({ status, text }) => [status, text]), [200, 'live\n']);
      assert.deepEqual(await get(stack, '/healthz/ready').then(({ status, text }) => [status, text]), [200, 'ready\n']);
      const json = await get(stack, '/healthz/ready?format=json');
      assert.equal(json.headers.get('content-type'), 'application/json');
      assert.deepEqual(JSON.parse(json.text), { ready: true, reasons: [] });
      assert.deepEqual(JSON.parse((await get(stack, '/healthz/live?format=json')).text), { live: true, reasons: [] });
      const client = protocols.Bmob.asks(stack, 'long');
      await until('text', () => client.text);
      stack.daemon.kill('SIGTERM');
      const draining = await until('not ready', async () => {
        const answer = await get(stack, '/healthz/ready');
        return answer.status === 503 && answer;
      });
      assert.match(draining.text, /^core: takes no questions: it starts or drains\n/);
      assert.equal((await get(stack, '/healthz/live')).status, 200);
      assert.equal(valueOf(await scrape(stack), 'umbel_accepting'), 0);
      await until('the answer to its end', () => client.done);
      client.leave();
      assert.equal((await stack.daemon.exited).code, 0);
    } finally {
      await stack.stop();
    }
  });

  test('the core stopped: not live once its beat is old, and live again', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, metrics: true });
    try {
      const { pid } = await host(stack, 'metrics');
      process.kill(stack.daemon.pid, 'SIGSTOP');
      const dead = await until('not live', async () => {
        const answer = await get(stack, '/healthz/live');
        return answer.status === 503 && answer;
      });
      assert.match(dead.text, /^core: no sign of life for ([5-9]|\d\d+) s\n$/);
      const ready = await get(stack, '/healthz/ready?format=json');
      assert.equal(ready.status, 503);
      assert.equal(JSON.parse(ready.text).ready, false);
      assert.ok(valueOf(await scrape(stack), 'umbel_silent_seconds') >= 5);
      process.kill(stack.daemon.pid, 'SIGCONT');
      await until('live again', async () => (await get(stack, '/healthz/live')).status === 200);
      assert.equal((await host(stack, 'metrics')).pid, pid, 'the metrics host has lived on');
    } finally {
      process.kill(stack.daemon.pid, 'SIGCONT');
      await stack.stop();
    }
  });

  test('every breaker open: not ready, until the service answers again', async () => {
    const stack = await startStack({ transports: { api: transports.api }, metrics: true });
    try {
      const broken = await until('not ready', async () => {
        await askApi(stack, 'x', 'mock:status=500');
        const answer = await get(stack, '/healthz/ready');
        return answer.status === 503 && answer;
      });
      assert.equal(broken.text, 'upstreams: the breakers of all 1 are open\n');
      assert.equal((await get(stack, '/healthz/live')).status, 200);
      await until('ready again', async () => {
        await askApi(stack, 'x');
        return (await get(stack, '/healthz/ready')).status === 200;
      });
      await until('closed on the page', async () => valueOf(await scrape(stack), 'umbel_upstream_breaker_open', { upstream: 'demo' }) === 0);
    } finally {
      await stack.stop();
    }
  });

  test('a transport held: not ready, the other goes on, and ready after host restart', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob, wx: transports.wx }, metrics: true });
    try {
      let state;
      for (let killed = 0; killed < 12 && state !== 'held'; killed++) {
        const one = await until('running or held', async () => {
          const h = await host(stack, 'wx');
          return ['running', 'held'].includes(h.state) && h;
        });
        state = one.state;
        if (state === 'held') break;
        process.kill(one.pid, 'SIGKILL');
        await until('the death to be noticed', async () => (await host(stack, 'wx')).restarts > killed);
      }
      const down = await until('not ready', async () => {
        const answer = await get(stack, '/healthz/ready');
        return answer.status === 503 && answer;
      });
      assert.match(down.text, /^transport wx: no worker runs \((held|backoff|starting)\)\n$/);
      const families = await scrape(stack);
      if (state === 'held') assert.equal(valueOf(families, 'umbel_host_held', { transport: 'wx', worker: '0' }), 1);
      assert.equal(valueOf(families, 'umbel_host_up', { transport: 'bmob', worker: '0' }), 1);
      await askBmob(stack, 'q');
      assert.equal((await stack.ctl('host', 'restart', 'wx')).code, 0);
      await until('ready again', async () => (await get(stack, '/healthz/ready')).status === 200);
    } finally {
      await stack.stop();
    }
  });
});

describe('metrics harm nobody', () => {
  test('64 connections; one more is refused, and served once another has gone', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, metrics: true });
    const open = [];
    const ask = async () => {
      const one = await rawConnect(stack.ports.metrics, 'GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n');
      await until('an answer or the end', () => one.closed || one.bytes.length);
      return one;
    };
    try {
      for (let i = 0; i < 64; i++) {
        const one = await ask();
        open.push(one);
        assert.equal((await one.whole())[0].status, 200, `connection ${i + 1}`);
      }
      const refused = await ask();
      open.push(refused);
      assert.doesNotMatch(refused.bytes.toString(), /^HTTP\/1\.1 200/);
      await until('its end', () => refused.closed);
      open[0].end();
      await until('room', async () => {
        const one = await ask();
        one.end();
        return /^HTTP\/1\.1 200/.test(one.bytes.toString());
      });
    } finally {
      for (const one of open) one.end();
      await stack.stop();
    }
  });

  test('their host killed: answers go on, it comes back, and it does not count for ready', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, metrics: true, model: 'mock:tokens=200:pace=5' });
    try {
      const client = protocols.Bmob.asks(stack, 'q');
      await until('text', () => client.text);
      const { pid } = await host(stack, 'metrics');
      process.kill(pid, 'SIGKILL');
      await until('it to run again', async () => {
        const h = await host(stack, 'metrics');
        return h.pid !== pid && h.state === 'running';
      });
      assert.equal((await get(stack, '/healthz/ready')).status, 200);
      await until('the whole answer', () => client.done);
      assert.equal(client.error, null);
      client.leave();
    } finally {
      await stack.stop();
    }
  });

  test('their address is taken: the daemon serves, says so, and metrics come when it is free', async () => {
    const squatter = createServer((socket) => socket.destroy());
    squatter.listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address();
    const dirless = await startStack({ transports: { bmob: transports.bmob }, metrics: true, wait: false, metricsPort: port });
    try {
      await until('the transport to run', async () => (await host(dirless, 'bmob'))?.state === 'running');
      await askBmob(dirless, 'q');
      assert.match(dirless.daemon.lines, /metrics: cannot listen on 127\.0\.0\.1:\d+.*everything else runs/);
      assert.notEqual((await host(dirless, 'metrics')).state, 'running');
      squatter.close();
      await once(squatter, 'close');
      await until('metrics to run', async () => (await host(dirless, 'metrics')).state === 'running');
      assert.equal((await get(dirless, '/healthz/live')).status, 200);
    } finally {
      squatter.close();
      await dirless.stop();
    }
  });

  test('the check of a file names them; their name is nobody else\'s', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-check-'));
    const text = `upstream demo { base_url = "http://127.0.0.1:1/v1" }
app shop { upstreams = { "demo" } model = "demo-1" keys = { "0123456789abcdef" } }
metrics { listen = "127.0.0.1:9464" }
transport bmob { plugin = ws-bmob listen = { "127.0.0.1:8801" } apps = { "shop" } }
`;
    const check = async (content) => {
      await writeFile(path.join(dir, 'umbel.conf'), content, { mode: 0o600 });
      return run(bin('umbeld'), ['--check', '-c', path.join(dir, 'umbel.conf')]);
    };
    try {
      const good = await check(text);
      assert.equal(good.code, 0, good.stderr);
      assert.match(good.stdout, /1 upstreams, 1 apps, 1 transports, metrics on 127\.0\.0\.1:9464$/m);
      const bad = await check(text.replace('transport bmob', 'transport metrics'));
      assert.equal(bad.code, 2);
      assert.match(bad.stderr, /umbel\.conf:4: transport metrics has the name that metrics \{ \} is served under, expected .*, write /);
      const without = await check(text.replace('transport bmob', 'transport metrics').replace(/^metrics.*\n/m, ''));
      assert.equal(without.code, 2, 'also while there is no such section');
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

// What the integration tests share: a mock LLM and a real umbeld with a configuration made for the test, on free ports, in a folder
// of its own.  Everything a test starts is ended by stop(), also when the test fails.
import { spawn, execFile } from 'node:child_process';
import { mkdtemp, writeFile, rm, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const BIN = path.resolve(process.env.UMBEL_BIN ?? path.join(here, '../../build/dev/bin'));
export const KEY = '0123456789abcdef';

export const bin = (name) => path.join(BIN, name);

/** Waits until probe() answers something true; fails with what it last said.  For conditions, never for time. */
export async function until(what, probe, { timeout = 30000, every = 10 } = {}) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${what}; last: ${last?.stack ?? last}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

const portsGiven = new Set();

/** A port nobody listens on now, and that was not given before: the kernel may offer the same one twice. */
export async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  if (portsGiven.has(port)) return freePort();
  portsGiven.add(port);
  return port;
}

/** Runs a program to its end: { code, stdout, stderr }. */
export function run(file, args, options = {}) {
  return new Promise((resolve) => {
    execFile(file, args, { maxBuffer: 64 << 20, timeout: 120000, ...options }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? -1) : 0, signal: error?.signal, stdout, stderr }));
  });
}

class Process {
  constructor(file, args, options = {}) {
    this.lines = '';
    this.child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.child.stdout.on('data', (data) => (this.stdout = (this.stdout ?? '') + data));
    this.child.stderr.on('data', (data) => (this.lines += data));
    this.exited = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => resolve((this.end = { code, signal })));
      this.child.on('error', (error) => resolve((this.end = { code: -1, error: String(error) })));
    });
  }
  get pid() {
    return this.child.pid;
  }
  kill(signal) {
    if (!this.end) this.child.kill(signal);
  }
}

export async function startMock(args = []) {
  const mock = new Process(bin('umbel-mock-llm'), ['--listen', '127.0.0.1:0', ...args]);
  await until('the mock LLM', () => {
    if (mock.end) throw new Error(`the mock ended: ${JSON.stringify(mock.end)} ${mock.lines}`);
    return /listening on (\S+)/.exec(mock.stdout ?? '');
  });
  mock.address = /listening on (\S+)/.exec(mock.stdout)[1];
  mock.url = `http://${mock.address}`;
  /** The service's own record, of one exact model name or of all. */
  mock.requests = async (model) =>
    (await fetch(`${mock.url}/mock/requests${model ? `?model=${encodeURIComponent(model)}` : ''}`)).json();
  /** What was asked of the service, one record a request; name: the part of the model before the first colon. */
  mock.asked = async (name) =>
    (await (await fetch(`${mock.url}/mock/requests`)).json()).requests.filter((r) => !name || r.model?.split(':')[0] === name);
  mock.text = async (model, prompt) =>
    (await fetch(`${mock.url}/mock/text?model=${encodeURIComponent(model)}&prompt=${encodeURIComponent(prompt)}`)).text();
  mock.stop = async () => {
    mock.kill('SIGTERM');
    return mock.exited;
  };
  return mock;
}

const quote = (text) => `"${String(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
const value = (v) => (Array.isArray(v) ? `{ ${v.map(quote).join(', ')} }` : typeof v === 'string' ? quote(v) : String(v));
const section = (head, options) =>
  `${head} {\n${Object.entries(options)
    .map(([k, v]) => (typeof v === 'object' && !Array.isArray(v) ? section(k, v) : `  ${k} = ${value(v)}\n`))
    .join('')}}\n`;

/**
 * A mock, a daemon and its transports.
 *   transports: { bmob: { plugin: 'ws-bmob', ...options } }   ports are chosen; stack.ports.bmob tells
 *   upstream, app, core, log: further options of these sections; model: the app's (a mock-llm model specification)
 *   playground: its options (listen is chosen): serve the page too, on ports.playground
 *   stateDir: where the history is kept, if not in the stack's own folder
 *   metrics: serve them too, on ports.metrics (metricsPort, or a free one)
 */
export async function startStack({ transports, upstreams = {}, upstream = {}, app = {}, core = {}, log = {}, model = 'mock:tokens=20:pace=1', mock: given, apps = {}, mockArgs = [], env = {}, wait = true, metrics = false, metricsPort, stateDir, playground } = {}) {
  const mock = given ?? (await startMock(mockArgs));
  const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-test-'));
  const ports = {};
  let text = `state_dir = "${stateDir ?? dir}"\n` + section('log', { level: 'debug', ...log });
  text += section('core', { ring_slots: 4096, journal_mb: 16, ...core });
  text += section('upstream demo', { base_url: `${mock.url}/v1`, models: ['*'], ...upstream });
  for (const [name, options] of Object.entries(upstreams)) text += section(`upstream ${name}`, options);
  text += section('app shop', { upstreams: ['demo'], model, keys: [KEY], ...app });
  for (const [name, options] of Object.entries(apps)) text += section(`app ${name}`, { upstreams: ['demo'], model, ...options });
  for (const [name, options] of Object.entries(transports)) {
    ports[name] = await freePort();
    const common = { connect_rate: 100000, listen: [`127.0.0.1:${ports[name]}`], ...(options.anonymous_app ? {} : { apps: ['shop', ...Object.keys(apps)] }) };
    text += section(`transport ${name}`, { plugin: options.plugin, ...common, ...Object.fromEntries(Object.entries(options).filter(([k]) => k !== 'plugin')) });
  }
  if (metrics) text += section('metrics', { listen: `127.0.0.1:${(ports.metrics = metricsPort ?? (await freePort()))}` });
  if (playground) text += section('playground', { listen: `127.0.0.1:${(ports.playground = await freePort())}`, ...playground });
  const config = path.join(dir, 'umbel.conf');
  await writeFile(config, text, { mode: 0o600 });
  const stack = { mock, dir, ports, config, key: KEY };
  stack.boot = async () => {
    stack.daemon = new Process(bin('umbeld'), ['-c', config, '--runtime-dir', dir], { env: { ...process.env, ...env } });
    if (wait)
      await until('all hosts to run', async () => {
        if (stack.daemon.end) throw new Error(`umbeld ended: ${JSON.stringify(stack.daemon.end)}\n${stack.daemon.lines}`);
        const hosts = await stack.list('host list', 'hosts');
        // After a kill -9 hosts of the killed one may live a moment longer than it takes the next one to start: those are not meant.
        const own = (await readFile(`/proc/${stack.daemon.pid}/task/${stack.daemon.pid}/children`, 'utf8')).trim().split(' ').map(Number);
        return hosts.length >= Object.keys(transports).length && hosts.every((h) => h.state === 'running' && own.includes(h.pid));
      });
  };
  stack.ctl = (...args) => run(bin('umbelctl'), ['-s', dir, ...args]);
  stack.list = async (command) => {
    const { code, stdout, stderr } = await stack.ctl(...command.split(' '), '--json');
    if (code !== 0) throw new Error(`umbelctl ${command}: ${code} ${stderr}`);
    const document = JSON.parse(stdout);
    return Array.isArray(document) ? document : Object.values(document).find(Array.isArray);
  };
  stack.counter = async (name) => {
    const { stdout } = await stack.ctl('counters', name, '--json');
    return JSON.parse(stdout);
  };
  stack.stop = async () => {
    stack.daemon?.kill('SIGTERM');
    const late = setTimeout(() => stack.daemon?.kill('SIGKILL'), 60000);
    const end = await stack.daemon?.exited;
    clearTimeout(late);
    if (!given) await mock.stop();
    await rm(dir, { recursive: true, force: true });
    const bad = /ERROR: (Address|Leak|Undefined|Thread)Sanitizer|runtime error:/.exec(stack.daemon?.lines ?? '');
    if (bad) throw new Error(`a sanitizer spoke:\n${stack.daemon.lines.slice(bad.index, bad.index + 6000)}`);
    return end;
  };
  try {
    await stack.boot();
  } catch (error) {
    await stack.stop().catch(() => {});
    throw error;
  }
  return stack;
}

export { readFile };

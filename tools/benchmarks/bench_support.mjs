// What the benchmarks that measure servers share: processes pinned to a processor each, their processor time and memory, peers installed from
// Debian and made ready, medians with their spread, and the words at the end.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdirSync, existsSync } from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { bin, freePort, until, KEY, startStack } from '../../tests/integration/support.mjs';

export { freePort, KEY, until };
export const SERVER_CPU = 0, LOAD_CPU = Math.min(1, os.cpus().length - 1);
export const here = path.dirname(new URL(import.meta.url).pathname);

const read = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** A process and all its descendants. */
export function tree(pid) {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim();
  return [pid, ...(children ? children.split(/\s+/).flatMap((child) => tree(Number(child))) : [])];
}

/** Processor time of a whole process tree, seconds, from the scheduler's own nanoseconds. */
export function cpu(pid) {
  let ns = 0;
  for (const each of tree(pid)) {
    let tasks = [];
    try {
      tasks = readdirSync(`/proc/${each}/task`);
    } catch {}
    for (const task of tasks) ns += Number(read(`/proc/${each}/task/${task}/schedstat`).split(' ')[0] || 0);
  }
  return ns / 1e9;
}

/** User-space memory of a process tree that is its own, bytes. */
export function memory(pid) {
  let kb = 0;
  for (const each of tree(pid)) {
    const text = read(`/proc/${each}/smaps_rollup`);
    for (const name of ['Private_Dirty', 'Private_Clean', 'Swap']) kb += Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  }
  return kb * 1024;
}

/** The kernel's memory for sockets, bytes: /proc/net/sockstat counts pages of data; the slabs are the sockets themselves. */
export function kernelMemory() {
  const pages = Number(/TCP:.* mem (\d+)/.exec(read('/proc/net/sockstat'))?.[1] ?? 0);
  let slabs = 0;
  for (const line of read('/proc/slabinfo').split('\n')) {
    const [name, , count, size] = line.split(/\s+/);
    if (/^(TCP|sock_inode_cache|dentry|filp|eventpoll_epi|eventpoll_pwq|request_sock_TCP|tw_sock_TCP)$/.test(name)) slabs += Number(count) * Number(size);
  }
  return pages * 4096 + slabs;
}

/** Nails every thread of a tree to one processor; new ones inherit it. */
export function pin(pid, processor) {
  for (const each of tree(pid)) execFileSync('taskset', ['-a', '-p', '-c', String(processor), String(each)], { stdio: 'ignore' });
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
export const spread = (values) => ({ median: median(values), least: Math.min(...values), most: Math.max(...values) });

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export function start(file, args, options = {}) {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  child.words = '';
  child.stdout.on('data', (data) => (child.words += data));
  child.stderr.on('data', (data) => (child.words += data));
  running.add(child);
  child.on('exit', () => running.delete(child));
  return child;
}

export async function end(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), 10000);
  await gone;
  clearTimeout(late);
}

/** The load rig on its own processor: resolves to { go() -> result, stop() } once every reader is connected. */
export async function rig(options) {
  const args = Object.entries(options).flatMap(([name, value]) => (value === true ? [`--${name}`] : value === undefined ? [] : [`--${name}`, String(value)]));
  const child = spawn('taskset', ['-c', String(LOAD_CPU), bin('umbel-bench-load'), ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  running.add(child);
  child.on('exit', () => running.delete(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== 'ready') throw new Error(`the rig could not connect its readers: ${first.value ?? 'see above'}`);
  return {
    pid: child.pid,
    async go() {
      child.stdin.write('go\n');
      const { value } = await lines.next();
      await end(child);
      return JSON.parse(value);
    },
    stop: () => end(child),
  };
}

// ---- servers: each { name, pid, port, sourcePort, rig options, stop() } ----

export async function umbel({ transports, sourcePort, journal = 256, env = {}, core = {}, app = {} }) {
  const stack = await startStack({
    transports, mock: { url: `http://127.0.0.1:${sourcePort}` }, model: 'load', env,
    core: { journal_mb: journal, ring_slots: 65536, ...core }, upstream: { max_concurrent: 65536, queue: 65536 },
    app: { history: 'off', ...app }, log: { level: 'warn' },
  });
  pin(stack.daemon.pid, SERVER_CPU);
  return { pid: stack.daemon.pid, stack, stop: () => stack.stop() };
}

/** nginx of Debian in a folder of its own, one worker, on the server's processor.  body: what stands in http { }. */
export async function nginx(body, port, modules = []) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'umbel-bench-nginx-'));
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(path.join(dir, name));
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n.replace('client_', '')};`).join(' ');
  writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 200000; pid ${dir}/pid;
${modules.map((m) => `load_module /usr/lib/nginx/modules/${m};`).join('\n')}
error_log ${dir}/error.log; events { worker_connections 100000; multi_accept on; }
http { access_log off; ${temp} tcp_nodelay on; keepalive_requests 1000000; ${body} }\n`);
  const child = start('taskset', ['-c', String(SERVER_CPU), 'nginx', '-p', dir, '-c', path.join(dir, 'nginx.conf')]);
  await answers(port, child);
  return { pid: child.pid, stop: async () => { await end(child); rmSync(dir, { recursive: true, force: true }); } };
}

export async function haproxy(port, upstreamPort) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'umbel-bench-haproxy-'));
  writeFileSync(path.join(dir, 'haproxy.cfg'), `global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 120s
  timeout server 120s
  option http-no-delay
frontend in
  bind 127.0.0.1:${port} backlog 4096
  default_backend out
backend out
  server one 127.0.0.1:${upstreamPort} maxconn 9000\n`);
  const child = start('taskset', ['-c', String(SERVER_CPU), 'haproxy', '-db', '-f', path.join(dir, 'haproxy.cfg')]);
  await answers(port, child);
  return { pid: child.pid, stop: async () => { await end(child); rmSync(dir, { recursive: true, force: true }); } };
}

export async function nodeBroadcast(port, sourcePort) {
  const child = start('taskset', ['-c', String(SERVER_CPU), process.execPath, path.join(here, 'peer_ws.mjs'), String(port), String(sourcePort)]);
  await answers(port, child);
  return { pid: child.pid, stop: () => end(child) };
}

export async function floor(port, sourcePort) {
  const child = start('taskset', ['-c', String(SERVER_CPU), bin('umbel-bench-floor'), String(port), String(sourcePort)]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  if (child.exitCode !== null) throw new Error(`bench-floor ended: ${child.words}`);
  return { pid: child.pid, stop: () => end(child) };
}

async function answers(port, child) {
  const net = await import('node:net');
  await until(`port ${port}`, () => new Promise((resolve, reject) => {
    if (child.exitCode !== null) reject(new Error(child.words));
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }));
}

export function needs(programs) {
  const missing = programs.filter((p) => !['/usr/sbin', '/usr/bin', '/sbin', '/usr/lib/nginx/modules'].some((d) => existsSync(path.join(d, p))));
  if (missing.length) throw new Error(`not installed: ${missing.join(', ')}`);
}

/** One run against a server: what arrived, and what it cost the whole process tree. */
export async function measure(server, options, settle = 300) {
  const load = await rig(options);
  await new Promise((resolve) => setTimeout(resolve, settle));
  const before = cpu(server.pid), began = process.hrtime.bigint();
  const result = await load.go();
  const wall = Number(process.hrtime.bigint() - began) / 1e9;
  result.server_cpu_s = cpu(server.pid) - before;
  result.per_cpu_s = result.good / result.server_cpu_s;
  result.us_per_token = (result.server_cpu_s / result.good) * 1e6;
  result.server_busy = result.server_cpu_s / wall;
  result.rig_busy = result.rig_cpu_s / result.seconds;
  result.void = result.lost + result.twice + result.strange > 0;
  // With as-fast-as-possible sources: if the rig had no time left and the server had, the number says something about the rig.
  result.rig_limited = result.rig_busy > 0.95 && result.server_busy < 0.9;
  return result;
}

/** A B A B: every server once, then all again.  servers: { name: async () => result }. */
export async function alternate(servers, repeat, note = () => {}) {
  const samples = Object.fromEntries(Object.keys(servers).map((name) => [name, []]));
  for (let turn = 0; turn < repeat; turn++)
    for (const [name, once_] of Object.entries(servers)) {
      const result = await once_();
      samples[name].push(result);
      note(name, turn, result);
    }
  return samples;
}

export const thousands = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : n >= 1e3 ? `${(n / 1e3).toFixed(0)} k` : n.toFixed(0));
export const millis = (us) => (us / 1000).toFixed(us < 10000 ? 2 : 0);

export function summary(samples) {
  return Object.fromEntries(Object.entries(samples).map(([name, runs]) => [name, {
    per_cpu_s: spread(runs.map((r) => r.per_cpu_s)), us_per_token: spread(runs.map((r) => r.us_per_token)),
    p50_us: median(runs.map((r) => r.p50_us)), p99_us: median(runs.map((r) => r.p99_us)), p99_spread_us: spread(runs.map((r) => r.p99_us)),
    early_p99_us: median(runs.map((r) => r.early_p99_us)), late_p99_us: median(runs.map((r) => r.late_p99_us)), skipped: Math.max(...runs.map((r) => r.skipped)), server_busy: median(runs.map((r) => r.server_busy)),
    rig_busy: median(runs.map((r) => r.rig_busy)), seconds: median(runs.map((r) => r.seconds)),
    void: runs.filter((r) => r.void).length, rig_limited: runs.filter((r) => r.rig_limited).length, runs: runs.length,
  }]));
}

/** Keeps every raw sample: build/bench-logs/NAME-TIME.json. */
export function keep(name, document) {
  const dir = path.resolve(here, '../../build/bench-logs');
  mkdirSync(dir, { recursive: true });
  const file = path.join(dir, `${name}-${new Date().toISOString().replace(/[:.]/g, '-')}.json`);
  writeFileSync(file, JSON.stringify({ machine: { cpus: os.cpus().map((c) => c.model), kernel: os.release() }, argv: process.argv.slice(2), ...document }, null, 1));
  return path.relative(process.cwd(), file);
}

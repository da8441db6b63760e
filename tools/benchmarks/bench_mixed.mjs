// bench mixed - a day in a minute: four protocols share the answers of many sessions, 1 % of the clients do not read, 1 % leave and come back
// elsewhere, and one host is killed in the middle.  Counted: what every client got, byte for byte, and what it cost.
import { cpu, keep, memory, pin, SERVER_CPU } from './bench_support.mjs';
import { options } from './options.mjs';
import { startMock, startStack, until } from '../../tests/integration/support.mjs';
import { protocols, transports } from '../../tests/integration/clients.mjs';

const { clients, seconds, seed, json } = options('mixed', {
  clients: [2000, 'on four protocols'],
  seconds: [30, 'that an answer takes, about'],
  seed: [1, 'of who is slow, who leaves and comes back', 0],
  json: [false, 'the document instead of the tables'],
});
let state = seed >>> 0;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const names = ['Bmob', 'Wxapp', 'H5', 'ChatGpt'], SESSIONS = 50, PACE = 20;
const tokens = Math.round((seconds * 1000) / PACE);
const MODEL = `mixed:tokens=${tokens}:pace=${PACE}:first=8000`;

const mock = await startMock(['--benchmark']);
const stack = await startStack({ transports: Object.fromEntries(['bmob', 'wx', 'cgws'].map((n) => [n, transports[n]])), mock, model: MODEL, log: { level: 'warn' },
  core: { journal_mb: 256, ring_slots: 65536 }, app: { history: 'off', orphan_grace_ms: 60000 } });
pin(stack.daemon.pid, SERVER_CPU);
try {
  const all = [];
  for (let i = 0; i < clients; i++) {
    const name = names[i % names.length], session = `s${i % SESSIONS}`;
    all.push({ name, session, parts: [protocols[name].watches(stack, session)], slow: random() < 0.01, leaves: random() < 0.01 });
    if (i % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await until('all to be connected', async () => (await stack.list('host list', 'hosts')).reduce((n, h) => n + (h.clients ?? 0), 0) >= clients, { timeout: 120000, every: 200 });
  const began = Date.now(), used = cpu(stack.daemon.pid), before = memory(stack.daemon.pid);
  const asked = Array.from({ length: SESSIONS }, (_, i) => protocols.Bmob.asks(stack, `question ${i}`, `s${i}`));
  for (const c of all) if (c.slow) (c.parts[0].ws?._socket ?? c.parts[0].request?.socket)?.pause();
  const last = (c) => c.parts.at(-1);
  let killed = false, kills = 0, moves = 0, most = before;
  while (Date.now() - began < (seconds + 60) * 1000) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const at = Date.now() - began;
    most = Math.max(most, memory(stack.daemon.pid));
    if (!killed && at > 8000 + seconds * 500) {
      const host = (await stack.list('host list', 'hosts')).find((h) => h.plugin === 'ws-bmob');
      process.kill(host.pid, 'SIGKILL');
      killed = true;
      kills++;
    }
    for (const c of all) {
      const client = last(c), gone = (client.ws && client.ws.readyState > 1) || client.ended || client.error;
      if (client.done) continue;
      if (c.slow && at > 8000 + seconds * 700) (client.ws?._socket ?? client.request?.socket)?.resume();
      if ((gone || (c.leaves && c.parts.length === 1 && at > 8000 + random() * seconds * 900)) && client.id) {
        client.leave();
        const other = names[Math.floor(random() * names.length)];
        const next = protocols[other].resumes(stack, `${client.id}:${c.parts.reduce((n, p) => n + p.bytes, 0)}`);
        next.text = '';
        c.parts.push(next);
        moves++;
      }
    }
    if (all.every((c) => last(c).done) && asked.every((a) => a.done || a.ws.readyState > 1)) break;
  }
  const truth = new Map();
  for (let i = 0; i < SESSIONS; i++) truth.set(`s${i}`, await mock.text(MODEL, `question ${i}`));
  const whole = (c) => c.parts.map((p) => p.text).join('');
  const exact = all.filter((c) => last(c).done && whole(c) === truth.get(c.session)).length;
  const wall = (Date.now() - began) / 1000, used_s = cpu(stack.daemon.pid) - used;
  const lags = (await stack.list('host list', 'hosts')).map((h) => ({ name: h.name, restarts: h.restarts }));
  const report = { clients, sessions: SESSIONS, tokens, seconds: wall, seed, exact, moves, hosts_killed: kills, server_cpu_s: used_s, deliveries: clients * tokens,
    per_cpu_s: (clients * tokens) / used_s, memory_before: before, memory_most: most, hosts: lags };
  if (json) console.log(JSON.stringify(report));
  else {
    console.log(`${clients} clients on four protocols in ${SESSIONS} sessions, ${tokens} tokens each at ${1000 / PACE}/s, seed ${seed}`);
    console.log(`  exact to the byte: ${exact} of ${clients};  moved or came back: ${moves};  hosts killed: ${kills}`);
    console.log(`  ${(report.per_cpu_s / 1000).toFixed(0)} k deliveries per server-cpu-s (${used_s.toFixed(1)} s in ${wall.toFixed(0)} s);  memory ${(before >> 20)} MiB, at most ${(most >> 20)} MiB`);
    console.log(`raw samples: ${keep('mixed', { report })}`);
  }
  for (const c of all) last(c).leave();
  for (const a of asked) a.leave();
  process.exitCode = exact === clients ? 0 : 1;
} finally {
  await stack.stop();
  await mock.stop();
}

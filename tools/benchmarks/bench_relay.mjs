// bench relay - every client its own answer: what a token costs on its way through, and how much later it comes than straight from the service.
//
// Paced answers speak one after the other, evenly over the pace, as services that know nothing of each other do (spread); or all at the same
// moment, the hardest burst (together).  In the first --settle ms all ask at once: p50, p99 and the ratio are of what was made later, "p99 of the
// start" of what was made in them; processor time is of the whole run.
//
// "added p99" is a server's p99 less that of the service itself, over the same of nginx; it says nothing (-) where nginx adds less than the
// histogram's own fault. "late": how long after its time the rig's service made 99 of 100 tokens, which no server can help.
//
// Before an unpaced run every server has two that are not measured: a server that has run for a while has its memory, and finds
// connections to the service.
import { alternate, freePort, haproxy, keep, KEY, measure, millis, needs, nginx, rig, summary, umbel } from './bench_support.mjs';
import { options } from './options.mjs';

const { streams, pace: paces, phase: phases, repeat, seconds, burst, settle, json } = options('relay', {
  streams: [[50, 200, 1000], 'answers at once'],
  pace: [[0, 20], 'ms from token to token; 0 = as fast as possible', 0],
  phase: [['spread', 'together'], 'when the answers of a paced run speak', ['spread', 'together']],
  repeat: [3, 'times around all servers'],
  seconds: [5, 'of a paced run'],
  burst: [400000, 'tokens in all of a run without pace'],
  settle: [1000, 'ms at the start of a paced run whose times are told apart', 0],
  json: [false, 'the document instead of the tables'],
});

const ANSWER_MAX = 20000; // tokens of one answer: 2 MB, more than any service gives

const body = JSON.stringify({ model: 'load', stream: true, messages: [{ role: 'user', content: 'x' }] });
const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function run(make, common) {
  const sourcePort = await freePort();
  const server = await make(sourcePort, common);
  try {
    const load = { ...common, wire: 'sse', request, 'request-at-go': true, port: server.port ?? sourcePort, source: 'openai', 'source-port': sourcePort };
    for (let i = 0; i < 2 && !common['pace-us']; i++) await (await rig(load)).go();
    return await measure(server, load, 500);
  } finally {
    await server.stop();
  }
}

const makers = {
  async umbel(sourcePort, { clients, tokens }) {
    const journal = Math.max(64, Math.ceil((clients * (tokens * 125 + 8192)) / 2 ** 20)); // MiB: the default, or what these answers need
    const server = await umbel({ transports: { t: { plugin: 'openai-api', max_connections: 60000 } }, sourcePort, journal });
    return Object.assign(server, { port: server.stack.ports.t });
  },
  async nginx(sourcePort) {
    const port = await freePort();
    const server = await nginx(`upstream up { server 127.0.0.1:${sourcePort}; keepalive 5000; } server { listen 127.0.0.1:${port} backlog=4096;
      location / { proxy_pass http://up; proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 120s; } }`, port);
    return Object.assign(server, { port });
  },
  async haproxy(sourcePort) {
    const port = await freePort();
    return Object.assign(await haproxy(port, sourcePort), { port });
  },
  direct: async () => ({ pid: process.pid, stop: async () => {} }), // the service itself: latency only
};

needs(['nginx', 'haproxy', 'taskset']);
if (paces.some((pace) => pace) && settle >= seconds * 1000) throw new Error('--settle: ms, less than --seconds');
const cells = [];
for (const count of streams)
  for (const [pace, phase] of paces.flatMap((pace) => (pace ? phases.map((phase) => [pace, phase]) : [[0]]))) {
    const tokens = pace ? Math.round((seconds * 1000) / pace) : Math.min(ANSWER_MAX, Math.max(50, Math.round(burst / count)));
    const common = { clients: count, tokens, 'limit-s': 180, 'pace-us': pace * 1000, spread: phase === 'spread' || undefined, 'settle-ms': pace ? settle : 0 };
    const samples = await alternate(Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, () => run(make, common)])), repeat,
      (name, turn, r) => json || console.error(`  ${count} streams, ${pace ? `${pace} ms ${phase}` : 'no pace'}, ${turn + 1}/${repeat} ${name}: ${r.us_per_token.toFixed(2)} us a token${r.void ? ' VOID' : ''}`));
    const cell = { streams: count, pace_ms: pace, phase, tokens, summary: summary(samples), samples };
    cells.push(cell);
    if (json) continue;
    const own = cell.summary.direct, nginxCost = cell.summary.nginx.us_per_token.median, added = (s) => s.p99_us - own.p99_us;
    const ratio = (s) => (added(cell.summary.nginx) > 0.12 * cell.summary.nginx.p99_us ? (added(s) / added(cell.summary.nginx)).toFixed(2) : '-');
    console.log(`\n${count} answers at once, ${pace ? `a token every ${pace} ms, ${phase === 'spread' ? 'each in its own time' : 'all together'}; times after the first ${settle} ms` : 'as fast as possible'}, ${tokens} tokens of 100 bytes each`);
    console.log('  server     server CPU us a token (least..most)   of nginx   server busy  rig busy   p50 ms   p99 ms (least..most)      added p99 of nginx\'s   p99 ms of the start   late');
    for (const [name, s] of Object.entries(cell.summary)) {
      const server = s !== own, p99 = s.p99_spread_us;
      console.log([`  ${name.padEnd(8)}`, (server ? `${s.us_per_token.median.toFixed(2).padStart(8)} (${s.us_per_token.least.toFixed(2)}..${s.us_per_token.most.toFixed(2)})` : '       -').padEnd(37),
        (server ? (s.us_per_token.median / nginxCost).toFixed(2) : '-').padStart(6), (server ? `${(s.server_busy * 100).toFixed(0)} %` : '-').padStart(11), `${(s.rig_busy * 100).toFixed(0)} %`.padStart(8),
        millis(s.p50_us).padStart(7), `${millis(s.p99_us).padStart(7)} (${millis(p99.least)}..${millis(p99.most)})`.padEnd(25), (pace && server ? ratio(s) : '').padStart(10),
        (pace ? millis(s.early_p99_us) : '').padStart(17), (pace ? millis(s.late_p99_us) : '').padStart(12), s.skipped ? `${s.skipped} skipped` : '', s.void ? `VOID: ${s.void} of ${s.runs}` : '', s.rig_limited ? 'rig-limited' : ''].join('  ').trimEnd());
    }
  }
const file = keep('relay', { cells });
if (json) console.log(JSON.stringify({ cells: cells.map(({ samples, ...cell }) => cell) }));
else console.log(`\nraw samples: ${file}`);
process.exitCode = cells.some((c) => c.summary.umbel.void) ? 1 : 0;

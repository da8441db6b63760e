// bench fanout - one answer to many readers: deliveries per server processor-second, and how late they come.
import { alternate, floor, freePort, keep, KEY, measure, millis, needs, nginx, nodeBroadcast, summary, thousands, umbel } from './bench_support.mjs';
import { options } from './options.mjs';

const { clients, rate: rates, wire: wires, repeat, seconds, burst, json } = options('fanout', {
  clients: [[1000, 10000], 'readers'],
  rate: [[20, 100, 0], 'tokens a second; 0 = as fast as the service gives', 0],
  wire: [['ws'], 'how they read: ws, sse, chunk', ['ws', 'sse', 'chunk']],
  repeat: [3, 'times around all servers'],
  seconds: [5, 'of a paced run'],
  burst: [1000000, 'deliveries in all of a run without pace'],
  json: [false, 'the document instead of the tables'],
});
const upgrade = (path) => `GET ${path} HTTP/1.1\r\nHost: load\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const get = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: load\r\n${more}\r\n`;

const question = JSON.stringify({ messages: [{ role: 'user', content: 'x' }], session: 'all' });
const umbelOptions = {
  ws: { request: upgrade(`/1/ai/${KEY}?session=all&watch=1`), ask: upgrade(`/1/ai/${KEY}`), 'ask-then': question },
  sse: { request: get(`/chat/stream?is_wxapp=0&token=${KEY}&watch=1&session=all`), ask: get(`/chat/stream?is_wxapp=0&token=${KEY}&session=all&prompt=x`) },
  chunk: { request: get(`/chat/stream?is_wxapp=1&token=${KEY}&watch=1&session=all`), ask: get(`/chat/stream?is_wxapp=1&token=${KEY}&session=all&prompt=x`) },
};

async function runUmbel(wire, common) {
  const sourcePort = await freePort();
  const transport = wire === 'ws' ? { t: { plugin: 'ws-bmob', max_connections: 60000 } } : { t: { plugin: 'http-chunked-wxapp', max_stream_ms: 0, max_connections: 60000 } };
  const server = await umbel({ transports: transport, sourcePort });
  try {
    return await measure(server, { ...common, ...umbelOptions[wire], wire, port: server.stack.ports.t, source: 'openai', 'source-port': sourcePort }, 1000);
  } finally {
    await server.stop();
  }
}

async function runNchan(wire, common) {
  const port = await freePort();
  const server = await nginx(`nchan_max_reserved_memory 512M; server { listen 127.0.0.1:${port} backlog=4096;
    location = /sub { nchan_subscriber ${wire === 'ws' ? 'websocket' : 'eventsource'}; nchan_channel_id all; }
    location = /pub { nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 100000; nchan_message_timeout 5m; } }`, port, ['ngx_nchan_module.so']);
  try {
    const request = wire === 'ws' ? upgrade('/sub') : get('/sub', 'Accept: text/event-stream\r\n');
    return await measure(server, { ...common, wire, port, request, source: 'post', 'source-port': port, 'source-path': '/pub' }, 500);
  } finally {
    await server.stop();
  }
}

async function runLines(make, common) {
  const port = await freePort(), sourcePort = await freePort();
  const server = await make(port, sourcePort);
  try {
    return await measure(server, { ...common, wire: 'ws', port, request: upgrade('/'), source: 'lines', 'source-port': sourcePort });
  } finally {
    await server.stop();
  }
}

needs(['nginx', 'ngx_nchan_module.so', 'taskset']);
const cells = [];
for (const wire of wires)
  for (const count of clients)
    for (const rate of rates) {
      const tokens = rate ? rate * seconds : Math.max(100, Math.round(burst / count));
      const common = { clients: count, tokens, 'limit-s': 120, 'pace-us': rate ? Math.round(1e6 / rate) : 0 };
      const servers = { umbel: () => runUmbel(wire, common), 'nginx+nchan': () => runNchan(wire === 'chunk' ? 'sse' : wire, common) };
      if (wire === 'ws') {
        servers['bare send loop'] = () => runLines(floor, common);
        servers['node ws'] = () => runLines(nodeBroadcast, common);
      }
      const samples = await alternate(servers, repeat, (name, turn, r) =>
        json || console.error(`  ${wire} ${count} at ${rate || 'full speed'} ${turn + 1}/${repeat} ${name}: ${thousands(r.per_cpu_s)}/cpu-s${r.void ? ' VOID' : ''}`));
      const cell = { wire, clients: count, rate, tokens, summary: summary(samples), samples };
      cells.push(cell);
      if (json) continue;
      console.log(`\n${count} readers, ${wire}, ${rate ? `${rate} tokens/s` : 'as fast as possible'}, ${tokens} tokens of 100 bytes`);
      console.log('  server            deliveries/server-cpu-s (least..most)   of umbel   server busy  rig busy   p50 ms   p99 ms');
      for (const [name, s] of Object.entries(cell.summary))
        console.log(`  ${name.padEnd(16)}  ${thousands(s.per_cpu_s.median).padStart(8)} (${thousands(s.per_cpu_s.least)}..${thousands(s.per_cpu_s.most)})`.padEnd(58) +
          `${(s.per_cpu_s.median / cell.summary.umbel.per_cpu_s.median).toFixed(2).padStart(8)}   ${(s.server_busy * 100).toFixed(0).padStart(8)} %   ${(s.rig_busy * 100).toFixed(0).padStart(6)} %  ${millis(s.p50_us).padStart(7)}  ${millis(s.p99_us).padStart(7)}` +
          `${s.void ? `   VOID: ${s.void} of ${s.runs} runs lost, doubled or reordered` : ''}${s.rig_limited ? '   rig-limited' : ''}`);
    }
const file = keep('fanout', { cells });
if (json) console.log(JSON.stringify({ cells: cells.map(({ samples, ...cell }) => cell) }));
else console.log(`\nraw samples: ${file}`);
process.exitCode = cells.some((c) => c.summary.umbel.void) ? 1 : 0;

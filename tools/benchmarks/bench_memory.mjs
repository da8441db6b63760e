// bench memory - user-space bytes of an idle client and of a live stream, the kernel's share beside it.
import { cpu, floor, freePort, keep, KEY, kernelMemory, memory, needs, nginx, nodeBroadcast, rig, umbel } from './bench_support.mjs';
import { options } from './options.mjs';

const { clients: counts, streams, json } = options('memory', {
  clients: [[2000, 10000], 'idle clients'],
  streams: [1000, 'live answers'],
  json: [false, 'the document instead of the tables'],
});
const upgrade = (path) => `GET ${path} HTTP/1.1\r\nHost: load\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until the process tree is still and its memory has settled. */
async function settled(pid) {
  for (let last = -1, at = memory(pid), used = cpu(pid); ; ) {
    await pause(500);
    const now = memory(pid), time = cpu(pid);
    if (Math.abs(now - at) < 4096 * 4 && Math.abs(at - last) < 4096 * 16 && time - used < 0.05) return now;
    [last, at, used] = [at, now, time];
  }
}

async function idle(make, count, options) {
  const server = await make();
  try {
    const before = await settled(server.pid), kernelBefore = kernelMemory();
    const load = await rig({ clients: count, tokens: 1, wire: 'ws', port: server.port, source: 'openai', 'source-port': await freePort(), ...options(server) });
    const after = await settled(server.pid), kernelAfter = kernelMemory();
    await load.stop();
    return { user: (after - before) / count, kernel: (kernelAfter - kernelBefore) / count };
  } finally {
    await server.stop();
  }
}

async function live() {
  const sourcePort = await freePort();
  const server = await umbel({ transports: { t: { plugin: 'openai-api', max_connections: 60000 } }, sourcePort, journal: 1024 });
  try {
    const body = JSON.stringify({ model: 'load', stream: true, messages: [{ role: 'user', content: 'x' }] });
    const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const before = await settled(server.pid);
    const load = await rig({ clients: streams, tokens: 40, wire: 'sse', request, 'request-at-go': true, port: server.stack.ports.t, source: 'openai', 'source-port': sourcePort, 'pace-us': 500000 });
    const run = load.go();
    let most = 0;
    for (let i = 0; i < 30; i++) {
      await pause(500);
      most = Math.max(most, memory(server.pid));
    }
    await run;
    return { user: (most - before) / streams };
  } finally {
    await server.stop();
  }
}

needs(['nginx', 'ngx_nchan_module.so']);
const onPort = async (make) => { const port = await freePort(); return Object.assign(await make(port), { port }); };
const makers = {
  umbel: [async () => { const s = await umbel({ transports: { t: { plugin: 'ws-bmob', max_connections: 60000 } }, sourcePort: await freePort() }); return Object.assign(s, { port: s.stack.ports.t }); },
    () => ({ request: upgrade(`/1/ai/${KEY}?session=idle&watch=1`) })],
  'nginx+nchan': [() => onPort((port) => nginx(`server { listen 127.0.0.1:${port} backlog=4096; location = /sub { nchan_subscriber websocket; nchan_channel_id all; } }`, port, ['ngx_nchan_module.so'])),
    () => ({ request: upgrade('/sub') })],
  'node ws': [() => onPort(async (port) => nodeBroadcast(port, await freePort())), () => ({ request: upgrade('/') })],
  'bare loop': [() => onPort(async (port) => floor(port, await freePort())), () => ({ request: upgrade('/') })],
};
const rows = [];
for (const count of counts)
  for (const [name, [make, options]] of Object.entries(makers)) {
    const { user, kernel } = await idle(make, count, options);
    rows.push({ server: name, clients: count, user_bytes: user, kernel_bytes: kernel });
    if (!json) console.log(`${String(count).padStart(6)} idle WebSocket clients  ${name.padEnd(12)} ${(user / 1024).toFixed(2).padStart(7)} KiB user space   ${(kernel / 1024).toFixed(2).padStart(7)} KiB kernel (both ends) a client`);
  }
const stream = await live();
if (json) console.log(JSON.stringify({ rows, live_stream_user_bytes: stream.user }));
else {
  console.log(`${String(streams).padStart(6)} live answers, one reader each, umbel: ${(stream.user / 1024).toFixed(1)} KiB a stream at the most (core and host together)`);
  console.log(`raw samples: ${keep('memory', { rows, stream })}`);
}

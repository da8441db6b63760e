// One address for all transports, as the reverse proxy of the guides gives them, whose connections can be cut.  It cuts bodies into pieces of twenty bytes, as a
// proxy may: frames, events and characters come in parts.
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';

/** In pieces of twenty bytes, each in a turn of its own: node joins what is written in one. */
async function recut(from, to) {
  for await (const bytes of from)
    for (let i = 0; i < bytes.length; i += 20) {
      to.write(bytes.subarray(i, i + 20));
      await new Promise(setImmediate);
    }
  to.end();
}

/** ways: [prefix of the path, port], the first that fits. */
export async function startRouter(ways) {
  const open = new Set();
  const portOf = (url) => ways.find(([prefix]) => url.startsWith(prefix))?.[1];
  const server = http.createServer((request, response) => {
    const port = portOf(request.url);
    if (!port) return response.writeHead(404).end();
    const onward = http.request({ host: '127.0.0.1', port, path: request.url, method: request.method, headers: request.headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      recut(answer, response).catch(() => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
  });
  server.on('upgrade', (request, near, head) => {
    const port = portOf(request.url);
    if (!port) return near.destroy();
    const far = net.connect(port, '127.0.0.1', () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      far.write(`${lines.join('\r\n')}\r\n\r\n`);
      far.write(head);
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', () => { near.destroy(); far.destroy(); });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return {
    port,
    /** The published addresses of a text or a program, as they are here. */
    here: (text) => text.replaceAll('https://ai.example.com', `http://127.0.0.1:${port}`).replaceAll('wss://ai.example.com', `ws://127.0.0.1:${port}`),
    cut: () => open.forEach((socket) => socket.destroy()),
    async close() {
      server.close();
      open.forEach((socket) => socket.destroy());
    },
  };
}

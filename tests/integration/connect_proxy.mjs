// An HTTP proxy that knows CONNECT and nothing else, for tests: it really tunnels.
import { createServer } from 'node:http';
import { once } from 'node:events';
import net from 'node:net';

/**
 * login: 'user:password' that it demands; refuse: a status for everybody; mute: takes the request and says nothing; garbage: speaks something
 * else; names: where a host really is, { 'model.test': '127.0.0.1' }.  Returns { port, url, asked: ['host:port', ...], logins: [...], stop }.
 */
export async function startProxy({ login, refuse, mute, garbage, names = {} } = {}) {
  const asked = [], logins = [], sockets = new Set();
  const server = createServer((request, response) => response.writeHead(405).end());
  server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))));
  server.on('connect', (request, socket, head) => {
    const authorization = request.headers['proxy-authorization'];
    asked.push(request.url);
    if (authorization) logins.push(Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString());
    socket.on('error', () => {});
    if (mute) return;
    if (garbage) return void socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    if (refuse) return void socket.end(`HTTP/1.1 ${refuse} No\r\nContent-Length: 0\r\n\r\n`);
    if (login && authorization !== `Basic ${Buffer.from(login).toString('base64')}`)
      return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\nContent-Length: 5\r\n\r\nlogin');
    const { hostname, port } = new URL(`http://${request.url}`);
    const host = hostname.replace(/^\[|\]$/g, '');
    const out = net.connect({ port: Number(port || 80), host: names[host] ?? host, noDelay: true });
    sockets.add(out.on('close', () => sockets.delete(out)));
    out.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'));
    out.on('connect', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length) out.write(head);
      socket.pipe(out).pipe(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return {
    port, asked, logins, sockets,
    url: `http://${login ? `${login}@` : ''}127.0.0.1:${port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

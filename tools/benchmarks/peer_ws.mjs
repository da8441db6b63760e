// The relay most people would write: node and the package ws, every token sent to everybody.  peer_ws.mjs PORT SOURCE_PORT
import { createRequire } from 'node:module';
import net from 'node:net';
const { WebSocketServer } = createRequire(new URL('../../tests/integration/package.json', import.meta.url))('ws');

const SIZE = 100, [port, sourcePort] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ port, host: '127.0.0.1', perMessageDeflate: false, backlog: 4096 });
net.createServer((source) => {
  let rest = Buffer.alloc(0);
  source.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (; rest.length >= SIZE; rest = rest.subarray(SIZE)) {
      const token = rest.toString('latin1', 0, SIZE);
      for (const client of server.clients) client.send(token);
    }
  });
}).listen(sourcePort, '127.0.0.1');

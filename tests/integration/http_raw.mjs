// A raw HTTP client for the tests: one socket, every byte with the time it came, chunked bodies taken apart without joining or cutting.
import net from 'node:net';
import { once } from 'node:events';

/** Sends text (string or Buffer) and collects what comes until the peer closes, until(client) holds, or destroy(). */
export async function rawConnect(port, text = '') {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const client = { socket, bytes: Buffer.alloc(0), arrivals: [], closed: false };
  socket.on('error', (error) => { client.error = error; });
  socket.on('data', (data) => {
    client.arrivals.push({ at: performance.now(), from: client.bytes.length, size: data.length });
    client.bytes = Buffer.concat([client.bytes, data]);
    client.wake?.();
  });
  for (const event of ['end', 'close']) socket.on(event, () => { client.closed = true; client.wake?.(); });
  client.until = async (holds, ms = 30000) => {
    const end = Date.now() + ms;
    while (!holds(client)) {
      if (client.closed) throw new Error(`closed after ${JSON.stringify(client.bytes.toString('latin1').slice(-300))}`);
      if (Date.now() > end) throw new Error(`waited ${ms} ms; got ${JSON.stringify(client.bytes.toString('latin1').slice(-300))}`);
      await new Promise((resolve) => { client.wake = resolve; setTimeout(resolve, 200); });
    }
    return client;
  };
  client.whole = async (count = 1) => {
    await client.until((c) => responses(c.bytes).length >= count);
    return responses(client.bytes);
  };
  client.end = () => socket.destroy();
  await once(socket, 'connect');
  if (text) socket.write(text);
  return client;
}

const CRLF2 = '\r\n\r\n';

/** The responses that are whole in bytes: { line, status, headers: [[name, value]], head, chunks: [{ data, from, to }], body, end }. */
export function responses(bytes) {
  const list = [];
  let at = 0;
  while (at < bytes.length) {
    const one = response(bytes, at);
    if (!one?.whole) break;
    list.push(one);
    at = one.to;
  }
  return list;
}

/** The response that begins at byte `at`, as far as it has come; null without a whole head. */
export function response(bytes, at = 0) {
  const end = bytes.indexOf(CRLF2, at);
  if (end < 0) return null;
  const [line, ...fields] = bytes.subarray(at, end).toString('latin1').split('\r\n');
  const headers = fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]);
  const get = (name) => headers.filter(([key]) => key === name).map(([, value]) => value);
  const one = { line, status: Number(line.split(' ')[1]), headers, get, chunks: [], whole: false, from: at, body: Buffer.alloc(0) };
  let place = end + 4;
  if (get('transfer-encoding').length) {
    for (;;) {
      const eol = bytes.indexOf('\r\n', place);
      if (eol < 0) return one;
      const digits = bytes.subarray(place, eol).toString('latin1');
      if (!/^[0-9a-f]+$/.test(digits)) throw new Error(`bad chunk size ${JSON.stringify(digits)}`);
      const size = parseInt(digits, 16);
      if (eol + 2 + size + 2 > bytes.length) return one;
      if (bytes.subarray(eol + 2 + size, eol + 4 + size).toString('latin1') !== '\r\n') throw new Error('a chunk does not end in CR LF');
      if (size === 0) {
        one.whole = true;
        one.to = eol + 4;
        one.end = { from: place };
        return one;
      }
      const data = bytes.subarray(eol + 2, eol + 2 + size);
      one.chunks.push({ data, digits, from: place, to: eol + 4 + size });
      one.body = Buffer.concat([one.body, data]);
      place = eol + 4 + size;
    }
  }
  const size = one.status === 204 ? 0 : Number(get('content-length')[0] ?? NaN);
  if (Number.isNaN(size)) {
    one.body = bytes.subarray(place);
    return one;
  }
  if (bytes.length < place + size) return one;
  one.body = bytes.subarray(place, place + size);
  one.whole = true;
  one.to = place + size;
  return one;
}

/** When the byte at this place arrived. */
export const arrivalOf = (client, place) => client.arrivals.find((a) => place < a.from + a.size)?.at;

export function get(path, { headers = '', method = 'GET', version = '1.1' } = {}) {
  return `${method} ${path} HTTP/${version}\r\nHost: x\r\n${headers}\r\n`;
}

export function post(path, body, { type = 'application/json', headers = '' } = {}) {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n${headers}Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

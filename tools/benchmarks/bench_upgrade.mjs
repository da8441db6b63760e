// bench upgrade - a transport's plugin is replaced while its clients are in the middle of answers and new connections keep coming, on each
// protocol in turn.  Counted: every client's text byte for byte, refused connections, and the gaps between two pieces before and during it.
// Exit 1 when a byte was lost or doubled, or a connection refused.
import net from 'node:net';
import { options } from './options.mjs';
import WebSocket from '../../tests/integration/node_modules/ws/wrapper.mjs';

const NAMES = ['ws-bmob', 'mini', 'H5', 'openai-api', 'ws-chatgpt'];
const asked = options('upgrade', {
  clients: [1000, 'of each protocol'],
  sessions: [20, 'answers that they read, at most one a client'],
  only: [NAMES, 'these protocols', NAMES],
  json: [false, 'the document instead of the table'],
});
const { newer, restore } = await import('../../tests/integration/upgrade_support.mjs'); // before the others: it says where the programs are
const { keep, KEY, until } = await import('./bench_support.mjs');
const { startMock, startStack } = await import('../../tests/integration/support.mjs');
const { Api, Bmob, ChatGpt, H5, transports, Wxapp } = await import('../../tests/integration/clients.mjs');

const { clients, json, only } = asked, sessions = Math.min(clients, asked.sessions);
const PACE = 20, TOKENS = 800, IDLE = 100, DRAIN = 20000, QUIET = 4000;
const MODEL = `upgrade:text=mixed:tokens=${TOKENS}:pace=${PACE}:first=500:cut=event`;
const name = (i) => `s${i % sessions}`;
const query = (fields) => `/chat/stream?${new URLSearchParams({ token: KEY, watch: 1, ...fields })}`;
const protocols = {
  'ws-bmob': { transport: 'bmob', reads: Bmob, ws: true, path: (i) => `/1/ai/${KEY}?session=${name(i)}&watch=1`, idle: () => `/1/ai/${KEY}` },
  mini: { transport: 'wx', reads: Wxapp, path: (i) => query({ is_wxapp: 1, session: name(i) }) },
  H5: { transport: 'wx', reads: H5, path: (i) => query({ is_wxapp: 0, session: name(i) }) },
  'openai-api': { transport: 'api', reads: Api, path: (i) => `/v1/sessions/${name(i)}/stream` },
  'ws-chatgpt': { transport: 'cgws', reads: ChatGpt, ws: true, path: () => '/', first: (i) => ({ seq: 's', data: { session: name(i), watch: true } }), idle: () => '/' },
};

/** The head of an HTTP response cut off. */
const body = (bytes) => bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);

function* chunks(bytes) {
  for (let at = 0; at < bytes.length; ) {
    const line = bytes.indexOf('\r\n', at), size = parseInt(bytes.subarray(at, line).toString(), 16);
    if (!(size > 0)) return;
    yield bytes.subarray(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

function* frames(bytes) {
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = bytes[at + 1] & 127, head = short < 126 ? 2 : short === 126 ? 4 : 10;
    const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    if ((bytes[at] & 15) === 1) yield bytes.subarray(at + head, at + head + size);
    at += head + size;
  }
}

/** A text frame as clients must send it, with the mask 0. */
function frame(text) {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
  head[0] = 0x81;
  head[1] = 0x80 | Math.min(payload.length, 126);
  if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** A client that only notes when something came and keeps it: it is read afterwards, so that reading costs no time while it counts. */
function reader(way, port, i, note) {
  const it = { raw: [], last: 0, ended: false, error: null };
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  const socket = net.connect(port, '127.0.0.1', () =>
    socket.write(`GET ${way.path(i)} HTTP/1.1\r\nHost: 127.0.0.1\r\n${way.ws ? upgrade : `Connection: close\r\nAuthorization: Bearer ${KEY}\r\n`}\r\n`));
  socket.on('data', (data) => {
    const now = performance.now(), first = it.raw.length === 0;
    it.raw.push(data);
    if (first && way.first) socket.write(frame(JSON.stringify(way.first(i))));
    if (it.ended) return;
    if (it.last) note(now - it.last, now);
    if (!first) it.last = now;
    if (way.ws) it.ended = data.includes('"finish_reason":"stop"') || data.includes('"finish_reason": "stop"');
  });
  socket.on('end', () => {
    if (way.ws && !it.ended) it.error ??= new Error('ended in the middle');
    it.ended = true;
  });
  socket.on('error', (error) => (it.error ??= error));
  it.leave = () => socket.destroy();
  it.read = () => {
    const client = new way.reads(), bytes = body(Buffer.concat(it.raw));
    for (const part of way.ws ? frames(bytes) : chunks(bytes)) way.ws ? client.frame(JSON.parse(part)) : client.take(part);
    return client.text;
  };
  return it;
}

/** New connections all the while, each with a request of its own: counted are those refused, and those never answered. */
function weather(port) {
  const it = { answered: 0, refused: 0, unanswered: 0, stopped: false };
  const one = () => {
    if (it.stopped) return;
    let got = false, refused = false;
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /nothing HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n'));
    socket.on('data', () => (got = true)).on('error', () => (refused = !got)).on('close', () => {
      if (got) it.answered++;
      else if (refused) it.refused++;
      else it.unanswered++;
      setTimeout(one, 5);
    });
  };
  for (let i = 0; i < 4; i++) one();
  return it;
}

const alive = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Bytes of the truth that are not in the text, and bytes of the text that are too many, around the first place where they part. */
function difference(text, truth) {
  const a = Buffer.from(text), b = Buffer.from(truth), most = Math.min(a.length, b.length);
  let head = 0, end = 0;
  while (head < most && a[head] === b[head]) head++;
  while (end < most - head && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return { lost: b.length - head - end, doubled: a.length - head - end };
}

const shape = (gaps) => {
  const sorted = Float64Array.from(gaps).sort(), at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
  return { pieces: sorted.length, p50_ms: at(0.5), p99_ms: at(0.99), most_ms: at(1) };
};

async function measure(way, mock) {
  const used = { [way.transport]: { ...transports[way.transport], drain_ms: DRAIN }, ask: { plugin: 'ws-bmob' } };
  const stack = await startStack({ transports: used, mock, model: MODEL, log: { level: 'warn' }, core: { journal_mb: 256, ring_slots: 65536 },
    app: { history: 'off', orphan_grace_ms: 60000 } });
  const gaps = { before: [], during: [] };
  let from = Infinity, gone = Infinity, storm;
  const all = [], idle = [];
  try {
    const port = stack.ports[way.transport];
    const note = (gap, now) => (now - gap < from ? now < from ? gaps.before : gaps.during : now - gap < gone ? gaps.during : gaps.before).push(gap);
    for (let i = 0; i < clients; i++) {
      all.push(reader(way, port, i, note));
      if (i % 50 === 49) await until('some to be connected', async () => (await stack.list('host list', 'hosts')).find((h) => h.transport === way.transport).clients > i - 200, { every: 20 });
    }
    let codes = 0;
    for (let i = 0; way.idle && i < IDLE; i++) {
      const ws = new WebSocket(`ws://127.0.0.1:${port}${way.idle()}`, { perMessageDeflate: false });
      ws.on('close', (code) => (codes += code === 1001)).on('error', () => {});
      idle.push(ws);
    }
    const wanted = clients + idle.length;
    await until('all to be connected', async () => (await stack.list('host list', 'hosts')).find((h) => h.transport === way.transport).clients >= wanted, { timeout: 60000 });
    const [{ pid: old }] = (await stack.list('host list', 'hosts')).filter((h) => h.transport === way.transport);
    const asks = Array.from({ length: sessions }, (_, i) =>
      new Bmob().connect(`ws://127.0.0.1:${stack.ports.ask}/1/ai/${KEY}`, { messages: [{ role: 'user', content: name(i) }], session: name(i) }));
    await until('all to be in the middle', () => all.every((c) => c.raw.length > 3 || c.error), { timeout: 60000 });
    storm = weather(port);
    await new Promise((resolve) => setTimeout(resolve, QUIET)); // the same load without an upgrade, to compare with
    newer(transports[way.transport].plugin);
    from = performance.now();
    const { code, stdout, stderr } = await stack.ctl('plugin', 'upgrade', way.transport);
    const decided = performance.now() - from;
    if (code !== 0) throw new Error(`the upgrade failed: ${stdout}${stderr}`);
    const middle = all.filter((c) => !c.ended).length;
    await until('all answers to end', () => all.every((c) => c.ended || c.error), { timeout: 120000 });
    for (const c of all) if (way.ws && c.ended) c.leave();
    await until('the old process to end', () => !alive(old), { timeout: 60000 });
    gone = performance.now();
    storm.stopped = true;
    const truth = new Map();
    for (let i = 0; i < sessions; i++) truth.set(name(i), await mock.text(MODEL, name(i)));
    const report = { clients, exact: 0, lost: 0, doubled: 0, errors: 0, middle, connections: storm.answered, refused: storm.refused, unanswered: storm.unanswered,
      before: shape(gaps.before), during: shape(gaps.during), decided_s: decided / 1000, old_gone_s: (gone - from) / 1000, idle: idle.length, idle_1001: codes };
    all.forEach((client, i) => {
      const { lost, doubled } = difference(client.read(), truth.get(name(i)));
      report.lost += lost;
      report.doubled += doubled;
      report.errors += client.error ? 1 : 0;
      report.exact += lost === 0 && doubled === 0 && !client.error ? 1 : 0;
    });
    asks.forEach((a) => a.leave());
    return report;
  } finally {
    if (storm) storm.stopped = true;
    all.forEach((c) => c.leave());
    idle.forEach((ws) => ws.terminate());
    restore(transports[way.transport].plugin);
    await stack.stop();
  }
}

const mock = await startMock(['--benchmark']);
const results = {}, ms = (value) => value.toFixed(1).padStart(7);
try {
  if (!json) {
    console.log(`${clients} clients in ${sessions} answers at ${1000 / PACE} pieces/s, the plugin replaced in their middle, new connections all the while`);
    console.log('protocol     exact       lost  doubled  connections (refused, unanswered)   gap ms before: p50     p99    most   during: p50     p99    most   old gone   1001');
  }
  for (const [which, way] of Object.entries(protocols)) {
    if (!only.includes(which)) continue;
    const r = (results[which] = await measure(way, mock));
    if (json) continue;
    console.log(`${which.padEnd(11)} ${String(r.exact).padStart(5)}/${String(clients).padEnd(5)} ${String(r.lost).padStart(4)} ${String(r.doubled).padStart(8)}  ${String(r.connections).padStart(8)} (${r.refused}, ${r.unanswered})`.padEnd(72) +
      `${ms(r.before.p50_ms)} ${ms(r.before.p99_ms)} ${ms(r.before.most_ms)}        ${ms(r.during.p50_ms)} ${ms(r.during.p99_ms)} ${ms(r.during.most_ms)}   ${r.old_gone_s.toFixed(1).padStart(6)} s   ${way.idle ? `${r.idle_1001}/${r.idle}` : '-'}`);
  }
  const bad = Object.values(results).some((r) => r.exact !== clients || r.refused > 0 || r.unanswered > 0);
  if (json) console.log(JSON.stringify({ clients, sessions, pace_ms: PACE, tokens: TOKENS, protocols: results }));
  else console.log(`raw samples: ${keep('upgrade', { results })}`);
  process.exitCode = bad ? 1 : 0;
} finally {
  await mock.stop();
}

// One strict client a protocol.  A *take* is what one connection has been given of one answer: text from a position on, how it ended, and
// everything that must not be: bytes after the end, a second end, a position that jumps.  The clients of tests/integration are as lenient as
// published ones are; these are not.
import http from 'node:http';
import { createRequire } from 'node:module';

const WebSocket = createRequire(new URL('../integration/package.json', import.meta.url))('ws'); // its packages are installed there

const WORDS = ['The model service failed, try again later.', 'Too many requests, try again later.', 'You exceeded your current quota.', 'Incorrect API key provided.',
  'Invalid request: no such answer.', 'Invalid request: no such position in this answer.', 'There is no such answer.'];

/** Where a protocol tells errors as text: the text and the words at its end, or null. */
export function splitWords(text, from) {
  const words = WORDS.find((w) => text.endsWith(w)) ?? /Invalid request: [^\n]*\.$/.exec(text)?.[0];
  if (!words) return { text, error: null };
  const rest = text.slice(0, -words.length);
  if (rest.endsWith('\n')) return { text: rest.slice(0, -1), error: words };
  return rest === '' || from === 0 ? { text: rest, error: words } : { text, error: null };
}

class Take {
  constructor(protocol, id, from) {
    Object.assign(this, { protocol, id, from, text: '', end: null, error: null, bad: [] });
  }
  add(text) {
    if (!text) return;
    if (this.end) this.bad.push(`text after the end: ${JSON.stringify(text.slice(0, 60))}`);
    this.text += text;
  }
  /** end: clean, error. */
  finish(end, error = null) {
    if (this.end) this.bad.push(`a second end: ${end} after ${this.end}`);
    this.end = end;
    this.error = error;
  }
  /** The connection was lost: words about a failure that had come already are no text. */
  cut() {
    if (!this.end && (this.protocol === 'Bmob' || this.protocol === 'Wxapp')) this.text = splitWords(this.text, this.from).text;
  }
  get bytes() {
    return this.from + Buffer.byteLength(this.text);
  }
  get place() {
    return `${this.id}:${this.bytes}`;
  }
}

export class Client {
  constructor(target, from = 0) {
    Object.assign(this, { target, from, take: null, takes: [], closed: false, refused: null, waiters: [], frames: 0 });
  }
  /** Calls back once there is news; wait(ms) resolves at the next news or after ms. */
  changed() {
    for (const wake of this.waiters.splice(0)) wake();
  }
  wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.waiters.push(() => (clearTimeout(timer), resolve()));
    });
  }
  takeOf(id) {
    if (this.take && (this.take.id === id || this.take.id === null)) {
      this.take.id ??= id;
      return this.take;
    }
    const known = this.takes.find((t) => t.id === id);
    if (known) return (this.take = known);
    this.take = new Take(this.constructor.name, id, this.from);
    this.from = 0; /* only the first answer of a connection may be one that goes on */
    this.takes.push(this.take);
    return this.take;
  }
  close() {
    this.closed = true;
    this.changed();
  }
}

class Ws extends Client {
  open(url, first) {
    this.ws = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: 20000 });
    this.ws.on('open', () => first && this.ws.send(JSON.stringify(first)));
    this.ws.on('message', (data) => {
      if (this.left) return;
      this.frames++;
      this.frame(JSON.parse(data));
      this.changed();
    });
    this.ws.on('error', (error) => (this.failure = error.message));
    this.ws.on('close', (code) => ((this.code = code), this.close()));
    return this;
  }
  say(message) {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(message));
  }
  pause(still) {
    if (this.ws.readyState === WebSocket.OPEN) still ? this.ws.pause() : this.ws.resume();
  }
  leave(rude = false) {
    this.left = true;
    if (rude && this.ws._socket?.resetAndDestroy) this.ws._socket.resetAndDestroy();
    else this.ws.terminate();
  }
}

export class Bmob extends Ws {
  static url = (t, query = '') => `ws://127.0.0.1:${t.ports.bmob}/1/ai/${t.key}${query}`;
  static asks = (t, q) => new Bmob(t).open(Bmob.url(t), { messages: [{ role: 'user', content: q.prompt }], session: q.session, model: q.model });
  static watches = (t, session) => new Bmob(t).open(Bmob.url(t, `?session=${session}&watch=1`));
  static resumes = (t, place) => new Bmob(t, Number(place.split(':')[1])).open(Bmob.url(t), { resume: place });
  stop() {
    if (this.take?.id) this.say({ stop: this.take.id });
  }
  frame(frame) {
    const take = this.takeOf(frame.id), { delta, finish_reason } = frame.choices[0];
    take.add(delta.content);
    if (finish_reason === '') return;
    const { text, error } = splitWords(take.text, take.from);
    take.text = text;
    take.finish(error ? 'error' : 'clean', error);
  }
}

export class ChatGpt extends Ws {
  static url = (t) => `ws://127.0.0.1:${t.ports.cgws}/?token=${t.key}`;
  static asks = (t, q) => new ChatGpt(t).open(ChatGpt.url(t), { seq: 'q', data: { messages: [{ role: 'user', content: q.prompt }], session: q.session, model: q.model } });
  static watches = (t, session) => new ChatGpt(t).open(ChatGpt.url(t), { seq: 's', data: { session, watch: true } });
  static resumes = (t, place) => new ChatGpt(t, Number(place.split(':')[1])).open(ChatGpt.url(t), { seq: 's', data: { resume: place } });
  stop() {
    this.say({ seq: 'x', data: { cancel: true } });
  }
  frame(frame) {
    if (frame.seq === 'x') return; /* the reply to a cancel that came too late */
    const take = this.takeOf(frame.data.id ?? this.take?.id ?? null);
    take.add(frame.data.contents);
    if (frame.data.finish_reason !== null) take.finish(frame.code ? 'error' : 'clean', frame.code ? frame.msg : null);
  }
}

class Http extends Client {
  buffer = Buffer.alloc(0);
  open(port, path, { headers = {}, method = 'GET', body } = {}) {
    this.request = http.request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      this.response = response;
      this.status = response.statusCode;
      const id = response.headers['x-umbel-stream'];
      if (id) this.takeOf(id);
      response.on('data', (data) => {
        if (this.left) return;
        this.frames++;
        if (this.status !== 200) this.body = (this.body ?? '') + data;
        else this.parse(data);
        this.changed();
      });
      response.on('error', () => {});
      response.on('end', () => {
        if (this.status !== 200 && !this.left) this.refuse(this.body ?? '');
      });
      response.on('close', () => this.close());
    });
    this.request.on('error', (error) => ((this.failure = error.message), this.response || this.close()));
    this.request.end(body);
    return this;
  }
  refuse(body) {
    this.refused = `HTTP ${this.status} ${body.slice(0, 200)}`;
    this.takeOf(this.take?.id ?? null).finish('error', this.refused);
  }
  pause(still) {
    still ? this.response?.pause() : this.response?.resume();
  }
  leave(rude = false) {
    this.left = true;
    if (rude && this.request.socket?.resetAndDestroy) this.request.socket.resetAndDestroy();
    else this.request.destroy();
  }
  parts(data, mark) {
    this.buffer = this.buffer.length ? Buffer.concat([this.buffer, data]) : data;
    const whole = [];
    for (let at; (at = this.buffer.indexOf(mark)) >= 0; this.buffer = this.buffer.subarray(at + mark.length)) whole.push(this.buffer.subarray(0, at).toString());
    return whole;
  }
}

const wxPath = (t, fields) => `/chat/stream?${new URLSearchParams({ token: t.key, ...fields })}`;

export class Wxapp extends Http {
  static asks = (t, q) => new Wxapp(t).open(t.ports.wx, wxPath(t, { is_wxapp: 1, prompt: q.prompt, session: q.session, model: q.model }));
  static watches = (t, session) => new Wxapp(t).open(t.ports.wx, wxPath(t, { is_wxapp: 1, watch: 1, session }));
  static resumes = (t, place) => new Wxapp(t, Number(place.split(':')[1])).open(t.ports.wx, wxPath(t, { is_wxapp: 1, resume: place }));
  parse(data) {
    for (const part of this.parts(data, '\r\n')) {
      const said = part.startsWith('success: ') ? JSON.parse(part.slice(9)).content : null;
      if (said === '' || part === '') continue; /* it only keeps the connection alive */
      const take = this.takeOf(this.take?.id ?? null);
      if (said) take.add(said);
      else if (part.startsWith('event: error')) take.finish('error', part.slice(part.indexOf('data: ') + 6));
      else if (part === '0') {
        if (take.end === 'error') continue;
        const { text, error } = splitWords(take.text, take.from);
        take.text = text;
        take.finish(error ? 'error' : 'clean', error);
      } else take.bad.push(`a frame that is none: ${JSON.stringify(part.slice(0, 60))}`);
    }
  }
}

class Sse extends Http {
  parse(data) {
    for (const part of this.parts(data, '\n\n')) {
      const lines = part.split('\n');
      const field = (name) => lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2)).join('\n');
      const value = field('data'), named = field('id'), place = named.startsWith('none:') ? '' : named; /* refused: there is no answer */
      if (!value) continue;
      const take = this.takeOf(place ? place.split(':')[0] : this.take?.id ?? null);
      if (field('event') === 'error') take.finish('error', value);
      else if (value === '[DONE]') take.finish('clean');
      else {
        const chunk = JSON.parse(value);
        take.id ??= chunk.id ?? null;
        if (chunk.error) take.finish('error', value);
        else take.add(chunk.choices?.[0]?.delta?.content ?? '');
      }
      if (place && Number(place.split(':')[1]) !== take.bytes) take.bad.push(`its id says ${place}, the text so far has ${take.bytes} bytes`);
    }
  }
}

export class H5 extends Sse {
  static asks = (t, q) => new H5(t).open(t.ports.wx, wxPath(t, { is_wxapp: 0, prompt: q.prompt, session: q.session, model: q.model }));
  static watches = (t, session) => new H5(t).open(t.ports.wx, wxPath(t, { is_wxapp: 0, watch: 1, session }));
  static resumes = (t, place) => new H5(t, Number(place.split(':')[1])).open(t.ports.wx, wxPath(t, { is_wxapp: 0, resume: place }));
}

export class Api extends Sse {
  static bearer = (t) => ({ authorization: `Bearer ${t.key}`, 'content-type': 'application/json' });
  static asks = (t, q) => new Api(t).open(t.ports.api, '/v1/chat/completions', { method: 'POST', headers: { ...Api.bearer(t), 'x-umbel-session': q.session },
    body: JSON.stringify({ model: q.model, stream: true, messages: [{ role: 'user', content: q.prompt }], session: q.session }) });
  static watches = (t, session) => new Api(t).open(t.ports.api, `/v1/sessions/${session}/stream`, { headers: Api.bearer(t) });
  static resumes = (t, place) => {
    const [id, n] = place.split(':');
    return new Api(t, Number(n)).open(t.ports.api, `/v1/streams/${id}?from=${n}`, { headers: Api.bearer(t) });
  };
  stop() {
    if (!this.take?.id) return;
    http.request({ host: '127.0.0.1', port: this.target.ports.api, path: `/v1/streams/${this.take.id}`, method: 'DELETE', headers: Api.bearer(this.target), agent: false },
      (response) => response.resume()).on('error', () => {}).end();
  }
}

export const PROTOCOLS = { Bmob, ChatGpt, Wxapp, H5, Api };
export const TRANSPORTS = (models) => ({
  bmob: { plugin: 'ws-bmob' },
  wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0 },
  cgws: { plugin: 'ws-chatgpt', models },
  api: { plugin: 'openai-api' },
});

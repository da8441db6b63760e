// One client class a protocol, with one face: what text it has, of which answer, whether it ended, and how to go on elsewhere.
import http from 'node:http';
import WebSocket from 'ws';
import { KEY } from './support.mjs';

class Client {
  text = '';
  id = null;
  done = false;
  error = null;
  get bytes() {
    return Buffer.byteLength(this.text);
  }
  get place() {
    return `${this.id}:${this.bytes}`;
  }
}

class WsClient extends Client {
  connect(url, first) {
    this.ws = new WebSocket(url, { perMessageDeflate: false });
    this.opened = new Promise((resolve, reject) => this.ws.on('open', resolve).on('error', reject));
    this.opened.catch((error) => (this.error = error));
    this.ws.on('message', (data) => !this.left && this.frame(JSON.parse(data)));
    if (first) this.opened.then(() => this.ws.send(JSON.stringify(first))).catch(() => {});
    return this;
  }
  leave() {
    this.left = true;
    this.ws.terminate();
  }
}

export class Bmob extends WsClient {
  static asks = (stack, content, session) => new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content }], session });
  static watches = (stack, session) => new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}?session=${session}&watch=1`);
  static resumes = (stack, place) => new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { resume: place });
  frame(frame) {
    if (this.done) return;
    this.id = frame.id;
    this.text += frame.choices[0].delta.content;
    this.done = frame.choices[0].finish_reason !== '';
  }
}

export class ChatGpt extends WsClient {
  static watches = (stack, session) => new ChatGpt().connect(`ws://127.0.0.1:${stack.ports.cgws}/`, { seq: 's', data: { session, watch: true } });
  static resumes = (stack, place) => new ChatGpt().connect(`ws://127.0.0.1:${stack.ports.cgws}/`, { seq: 's', data: { resume: place } });
  frame(frame) {
    if (this.done) return;
    if (frame.code) this.error = new Error(frame.msg);
    this.id = frame.data.id ?? this.id;
    this.text += frame.data.contents;
    this.done = frame.data.finish_reason !== null;
    this.finish = frame.data.finish_reason;
  }
}

class HttpClient extends Client {
  buffer = Buffer.alloc(0);
  connect(port, path, headers = {}) {
    this.request = http.get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      this.status = response.statusCode;
      this.id = response.headers['x-umbel-stream'] ?? null;
      response.on('data', (data) => !this.left && this.take(data));
      response.on('error', () => {});
      response.on('end', () => (this.ended = true));
    });
    this.request.on('error', (error) => (this.error ??= error));
    return this;
  }
  leave() {
    this.left = true;
    this.request.destroy();
  }
  /** Whole parts up to the mark; the rest waits: bytes may be cut anywhere. */
  parts(data, mark) {
    this.buffer = Buffer.concat([this.buffer, data]);
    const whole = [];
    for (let at; (at = this.buffer.indexOf(mark)) >= 0; this.buffer = this.buffer.subarray(at + mark.length)) whole.push(this.buffer.subarray(0, at).toString());
    return whole;
  }
}

export class Wxapp extends HttpClient {
  static watches = (stack, session) => new Wxapp().connect(stack.ports.wx, `/chat/stream?is_wxapp=1&token=${KEY}&watch=1&session=${session}`);
  static resumes = (stack, place) => new Wxapp().connect(stack.ports.wx, `/chat/stream?is_wxapp=1&token=${KEY}&resume=${encodeURIComponent(place)}`);
  take(data) {
    for (const part of this.parts(data, '\r\n')) {
      if (part.startsWith('success: ')) this.text += JSON.parse(part.slice(9)).content;
      else if (part === '0') this.done = true;
      else if (part.startsWith('event: error')) this.error = new Error(part);
    }
  }
}

class SseClient extends HttpClient {
  take(data) {
    for (const part of this.parts(data, '\n\n')) {
      const lines = part.split('\n');
      const value = lines.filter((l) => l.startsWith('data: ')).map((l) => l.slice(6)).join('\n');
      if (lines.includes('event: error')) this.error = new Error(value);
      else if (value === '[DONE]') this.done = true;
      else if (value) {
        const chunk = JSON.parse(value);
        if (chunk.error) this.error = new Error(value);
        this.text += chunk.choices?.[0]?.delta?.content ?? '';
        this.finish = chunk.choices?.[0]?.finish_reason ?? this.finish;
      }
    }
  }
}

export class H5 extends SseClient {
  static watches = (stack, session) => new H5().connect(stack.ports.wx, `/chat/stream?is_wxapp=0&token=${KEY}&watch=1&session=${session}`);
  static resumes = (stack, place) => new H5().connect(stack.ports.wx, `/chat/stream?is_wxapp=0&token=${KEY}&resume=${encodeURIComponent(place)}`);
}

export class Api extends SseClient {
  static watches = (stack, session) => new Api().connect(stack.ports.api, `/v1/sessions/${session}/stream`, { authorization: `Bearer ${KEY}` });
  static resumes = (stack, place) => {
    const [id, n] = place.split(':');
    return new Api().connect(stack.ports.api, `/v1/streams/${id}?from=${n}`, { authorization: `Bearer ${KEY}` });
  };
}

export const protocols = { Bmob, ChatGpt, Wxapp, H5, Api };
export const transports = {
  bmob: { plugin: 'ws-bmob' },
  wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0 },
  cgws: { plugin: 'ws-chatgpt', anonymous_app: 'shop' },
  api: { plugin: 'openai-api' },
};

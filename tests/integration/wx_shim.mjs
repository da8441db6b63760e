// wx.request and wx.connectSocket of a mini-program over node's http and ws, with the platform's habits: chunk callbacks that do not follow the
// server's writes, a text that nobody has decoded, every status in success, requests that are cut.
import http from 'node:http';
import WebSocket from 'ws';

/**
 * options: address(url) where a published address is really; recut(bytes) -> pieces; cutAfter: bytes after which the next requests are cut, one
 * number each; chunked: false behaves as clients that do not know onChunkReceived; headerName(name).
 */
export function makeWx({ address, recut = (bytes) => [bytes], cutAfter = [], chunked = true, headerName = (name) => name } = {}) {
  const wx = { requests: [], sockets: [], toasts: [], went: [] };
  wx.request = ({ url, method = 'GET', data, header = {}, enableChunked, success, fail, complete }) => {
    const body = data === undefined ? '' : JSON.stringify(data);
    const limit = method === 'POST' ? cutAfter.shift() : undefined;
    const heard = { head: [], chunk: [] };
    let over = false, seen = 0;
    const whole = [];
    const end = (callback, result) => {
      if (over) return;
      over = true;
      callback?.(result);
      complete?.(result);
    };
    const request = http.request(address(url), { method, agent: false, headers: { ...header, 'content-length': Buffer.byteLength(body) } }, (response) => {
      for (const callback of heard.head) callback({ statusCode: response.statusCode, header: Object.fromEntries(Object.entries(response.headers).map(([k, v]) => [headerName(k), v])) });
      response.on('data', (bytes) => {
        if (over) return;
        if (enableChunked && chunked) for (const piece of recut(bytes)) for (const callback of heard.chunk) callback({ data: Uint8Array.from(piece).buffer });
        else whole.push(bytes);
        seen += bytes.length;
        if (limit !== undefined && seen >= limit) {
          request.destroy();
          end(fail, { errMsg: 'request:fail timeout' });
        }
      });
      response.on('end', () => end(success, { statusCode: response.statusCode, data: Buffer.concat(whole).toString('latin1') }));
      response.on('error', () => end(fail, { errMsg: 'request:fail' }));
    });
    request.on('error', (error) => end(fail, { errMsg: `request:fail ${error.message}` }));
    request.end(body);
    wx.requests.push({ url, method, data });
    return {
      abort() {
        request.destroy();
        end(fail, { errMsg: 'request:fail abort' });
      },
      ...(enableChunked && chunked ? { onHeadersReceived: (callback) => heard.head.push(callback), onChunkReceived: (callback) => heard.chunk.push(callback) } : {}),
    };
  };
  wx.connectSocket = ({ url, header }) => {
    const socket = new WebSocket(address(url), { headers: header, perMessageDeflate: false });
    socket.on('error', () => {});
    wx.sockets.push(socket);
    return {
      onOpen: (callback) => socket.on('open', () => callback({})),
      onMessage: (callback) => socket.on('message', (text) => callback({ data: text.toString() })),
      onClose: (callback) => socket.on('close', (code) => callback({ code })),
      onError: (callback) => socket.on('error', (error) => callback({ errMsg: error.message })),
      send: ({ data }) => socket.send(data),
      close: () => socket.close(),
    };
  };
  wx.showToast = ({ title }) => wx.toasts.push(title);
  wx.navigateTo = ({ url }) => wx.went.push(url);
  return wx;
}

/** A module of a mini-program: no TextDecoder, no fetch, no Buffer, no WebSocket. */
export function loadModule(code, { wx, require, Page } = {}) {
  const module = { exports: {} };
  const absent = ['TextDecoder', 'TextEncoder', 'fetch', 'Buffer', 'WebSocket', 'EventSource', 'process', 'URL', 'URLSearchParams', 'AbortController'];
  new Function('wx', 'module', 'exports', 'require', 'Page', ...absent, code)(wx, module, module.exports, require, Page, ...absent.map(() => undefined));
  return module.exports;
}

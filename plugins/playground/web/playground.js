// One question, its one answer over every protocol that this umbel serves, side by side.  The page speaks the protocols itself; what comes from
// the model becomes text nodes and nothing else.
'use strict';

// ---- words ----
const words = {
  en: {
    playground: 'playground', tagline: 'One answer, asked once, live on every protocol.', other: '中文',
    key: 'Client key', keyHelp: 'One of the app\u2019s keys. It stays in this tab and goes to the transports only.',
    question: 'Question', placeholder: 'Why is the sky blue?', ask: 'Ask', stop: 'Stop for everybody', panes: 'Protocols',
    nFirst: 'First text', nWhole: 'Whole answer', nBytes: 'Answer', nLag: 'Greatest lag', bytes: 'Bytes', pieces: 'Pieces', versions: 'Versions', lag: 'Lag', worst: 'Worst',
    drop: 'Drop', resume: 'Resume here', resumeOn: 'Resume on \u2026', session: 'Session', app: 'of app',
    sessionHelp: 'Whoever opens this page with the same address, on another device too, watches along.',
    bmob: 'ws-bmob', wx: 'Mini-program chunked', h5: 'H5 SSE', cgws: 'ws-chatgpt', im: 'IM message',
    asks: 'asks', watches: 'watches', resumed: 'resumed', mirrors: 'mirror',
    idle: 'not connected', joining: 'connecting', ready: 'ready', live: 'live', done: 'complete', dropped: 'dropped', failed: 'failed', again: 'reconnecting', off: 'off',
    start: 'Ask something, and watch it arrive everywhere at once.', needKey: 'Type the client key, then ask.',
    noWays: 'No transport that a browser can speak to serves this app: add ws-bmob, http-chunked-wxapp or ws-chatgpt to the configuration.',
    asking: 'Asked once over {0}; {1} panes listen.', other1: 'An answer that was asked elsewhere in this session.', stopping: 'Stopping for everybody.',
    same: 'Complete: all {0} panes hold the same {1} bytes.', sameStopped: 'Stopped: all {0} panes hold the same {1} bytes.',
    part: '{0} of {1} panes are complete and equal; dropped: {2}. Resume to get the rest.', differ: 'Not equal: {0} differs from byte {1} on.',
    broken: 'The answer failed: {0}', lost: 'connection lost', one: 'Complete: {1} bytes. There is only one pane to compare.', noStop: 'Only ws-bmob and ws-chatgpt have a stop message, and neither is here.',
    bmob0: 'A WebSocket, one JSON frame for each piece.', wx0: 'What a mini-program reads: one HTTP response, one chunk for each piece.', h50: 'An EventSource: it comes back by itself where it was.',
    cgws0: 'A WebSocket for many questions, told apart by seq.', im0: 'One chat message, changed again and again as the answer grows.',
    imNone: 'No bot delivers what is asked here. Add an im-custom-message transport whose bot has mirror = true.',
    imView: 'A bot delivers this answer to Tencent IM, which no browser can read from here. With im_view = "http://\u2026", the control address of umbel-mock-tim, the message is shown as it grows.',
    nothing: 'nothing arrived', imAway: 'the view of IM messages does not answer', loadFailed: 'The list of transports cannot be read: {0}', textOf: 'Text over {0}',
  },
  zh: {
    playground: '演练场', tagline: '一个回答，只问一次，所有协议同时直播。', other: 'English',
    key: '客户端密钥', keyHelp: '应用的密钥之一。只留在本标签页，只发给各传输通道。',
    question: '问题', placeholder: '天空为什么是蓝色的？', ask: '提问', stop: '全部停止', panes: '协议',
    nFirst: '首字', nWhole: '完整回答', nBytes: '回答', nLag: '最大延迟', bytes: '字节', pieces: '片段', versions: '版本', lag: '延迟', worst: '最差',
    drop: '断开', resume: '在此续传', resumeOn: '换协议续传 \u2026', session: '会话', app: '应用',
    sessionHelp: '用同一地址打开本页的人（包括其他设备）会一同看到。',
    bmob: 'ws-bmob', wx: '小程序分块传输', h5: 'H5 SSE', cgws: 'ws-chatgpt', im: 'IM 消息',
    asks: '提问', watches: '旁观', resumed: '已续传', mirrors: '镜像',
    idle: '未连接', joining: '连接中', ready: '就绪', live: '接收中', done: '完整', dropped: '已断开', failed: '失败', again: '自动重连中', off: '未启用',
    start: '问点什么，看它同时到达每一处。', needKey: '先输入客户端密钥，再提问。',
    noWays: '没有浏览器可用的传输通道服务于此应用：请在配置中加入 ws-bmob、http-chunked-wxapp 或 ws-chatgpt。',
    asking: '经 {0} 提问一次；{1} 个窗格在听。', other1: '本会话中别处提出的问题的回答。', stopping: '正在为所有人停止。',
    same: '完整：全部 {0} 个窗格的 {1} 字节完全相同。', sameStopped: '已停止：全部 {0} 个窗格的 {1} 字节完全相同。',
    part: '{0}/{1} 个窗格完整且相同；已断开：{2}。续传即可取得其余部分。', differ: '不一致：{0} 从第 {1} 字节起不同。',
    broken: '回答失败：{0}', lost: '连接丢失', one: '完整：{1} 字节。只有一个窗格，无可比较。', noStop: '只有 ws-bmob 和 ws-chatgpt 有停止消息，此处都没有。',
    bmob0: 'WebSocket，每个片段一个 JSON 帧。', wx0: '小程序所读：一个 HTTP 响应，每个片段一个分块。', h50: 'EventSource：断线后自动从原处继续。', cgws0: '一条 WebSocket 上多个问题，以 seq 区分。', im0: '聊天中的一条消息，随回答不断更新。',
    imNone: '没有机器人转发这里的提问。请加入 im-custom-message 传输通道，并让其机器人 mirror = true。',
    imView: '机器人会把此回答送到腾讯 IM，浏览器无法从这里读取。设置 im_view = "http://\u2026"（umbel-mock-tim 的控制地址）后，可看到消息逐渐变长。',
    nothing: '没有收到内容', imAway: 'IM 消息视图没有应答', loadFailed: '无法读取传输通道列表：{0}', textOf: '{0} 的文本',
  },
};
let lang = /^zh/i.test(navigator.language) ? 'zh' : 'en';
const say = (name, ...values) => (words[lang][name] ?? name).replace(/\{(\d)\}/g, (_, i) => values[i]);
const $ = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString(lang);
const time = (ms) => (ms == null ? '–' : ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);
const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

// ---- what is here ----
let setup = { ways: [], im: {} };
let key = '';
let panes = [];
let session = new URLSearchParams(location.hash.slice(1)).get('session') ?? '';
if (!/^[A-Za-z0-9_-]{1,32}$/.test(session)) {
  session = `play-${[...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
  history.replaceState(null, '', `#session=${session}`);
}
const wayOf = { bmob: 'ws-bmob', wx: 'http-chunked-wxapp', h5: 'http-chunked-wxapp', cgws: 'ws-chatgpt' };
const way = (protocol) => setup.ways.find((w) => w.protocol === wayOf[protocol]);
const protocols = () => Object.keys(wayOf).filter(way);

// ---- the protocols: each connects for a job { ask } or { resume } or {} (watch), and tells `on`: ready, text(id, text), end, fail(why), lost ----
const enc = encodeURIComponent;

function socketLink(url, on, first, frame) {
  const socket = new WebSocket(url);
  const send = (value) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(value));
  socket.onopen = () => {
    first.forEach(send);
    on.ready();
  };
  socket.onmessage = ({ data }) => frame(JSON.parse(data));
  socket.onclose = () => on.lost();
  // Browsers complain of a socket that is closed before it was open.
  return { send, close: () => (socket.readyState === WebSocket.CONNECTING ? (socket.onopen = () => socket.close()) : socket.close()) };
}

const connect = {
  bmob(job, on) {
    const query = job.resume ? `?resume=${enc(job.resume)}` : job.ask ? '' : `?session=${session}&watch=1`;
    const first = job.ask ? [{ messages: [{ role: 'user', content: job.ask }], session }] : [];
    const link = socketLink(`${way('bmob').url}/${enc(key)}${query}`, on, first, (frame) => {
      const choice = frame.choices?.[0];
      if (!choice) return;
      if (frame.model === 'umbel') choice.delta.content && on.fail(choice.delta.content); // umbel itself speaks: a refusal
      else if (choice.finish_reason) on.end(frame.id);
      else on.text(frame.id, choice.delta.content);
    });
    return { ...link, stop: (id) => link.send({ stop: id }) };
  },

  cgws(job, on) {
    const data = job.resume ? { resume: job.resume } : job.ask ? { session, messages: [{ role: 'user', content: job.ask }] } : { session, watch: true };
    const link = socketLink(`${way('cgws').url}?token=${enc(key)}`, on, [{ seq: 'page', data }], (frame) => {
      if (frame.seq === 'stop') return;
      if (frame.code) on.fail(frame.msg);
      else if (frame.data.contents) on.text(frame.data.id, frame.data.contents);
      if (!frame.code && frame.data.finish_reason) on.end(frame.data.id);
    });
    return { ...link, stop: (id) => link.send({ seq: 'stop', data: { cancel: id } }) };
  },

  wx(job, on) {
    const abort = new AbortController();
    const { url, note } = way('wx');
    const form = { is_wxapp: 1, token: key, ...(job.resume ? { resume: job.resume } : job.ask ? { session, prompt: job.ask } : { session, watch: 1 }) };
    const read = async () => {
      const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), signal: abort.signal, credentials: 'omit', cache: 'no-store' });
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let id = response.headers.get('x-umbel-stream') ?? job.resume?.split(':')[0];
      let rest = '';
      let cut = false;
      let held = '';
      on.ready();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return on.lost();
        rest += decoder.decode(value, { stream: true });
        for (let at; (at = rest.indexOf('\r\n')) >= 0; ) {
          const part = rest.slice(0, at);
          rest = rest.slice(at + 2);
          if (part === '0') {
            if (held && !cut) on.text(id, held);
            return on.end(id, cut);
          }
          if (part.startsWith('event: error')) return on.fail(JSON.parse(part.slice(part.indexOf('data: ') + 6)).msg);
          const text = part.startsWith('success: ') ? JSON.parse(part.slice(9)).content : '';
          if (note && text === note) cut = true; // the time of this request is up, not the answer; it and the line end before it are no part of that
          else if (note && text === '\n' && !held) held = text;
          else if (text) {
            on.text(id, held + text);
            held = '';
          }
        }
      }
    };
    read().catch(() => on.lost());
    return { close: () => abort.abort() };
  },

  h5(job, on) {
    const more = job.resume ? { resume: job.resume } : job.ask ? { session, prompt: job.ask } : { session, watch: 1 };
    const source = new EventSource(`${way('h5').url}?${new URLSearchParams({ is_wxapp: 0, token: key, ...more })}`);
    const split = (event) => event.lastEventId.split(':')[0];
    source.onopen = () => on.ready();
    source.onmessage = (event) => {
      if (event.data === '[DONE]') {
        source.close();
        return on.end(split(event));
      }
      const text = JSON.parse(event.data).choices?.[0]?.delta?.content;
      if (text) on.text(split(event), text);
    };
    source.onerror = (event) => {
      if (event.data) {
        source.close();
        on.fail(JSON.parse(event.data).msg);
      } else if (source.readyState === EventSource.CLOSED) on.lost();
      else on.again(); // it comes back by itself, with Last-Event-ID
    };
    return { close: () => source.close() };
  },

  // The message as the users of umbel-mock-tim see it; begins behind the messages that are there already.
  im(job, on) {
    let gone = false;
    let shown = '';
    let seen = job.from;
    const look = async () => {
      const response = await fetch(`${setup.im.view}/mock/chat?user=${session}`, { credentials: 'omit', cache: 'no-store' });
      const all = (await response.json()).messages.filter((m) => m.flow === 'in');
      if (gone) return;
      if (seen == null) seen = job.seen(all.length);
      const list = all.slice(seen);
      const error = list.find((m) => m.src === 23);
      const text = list.filter((m) => m.src !== 23).map((m) => m.text).join('');
      on.versions(list.reduce((sum, m) => sum + m.versions, 0));
      if (text.startsWith(shown)) text !== shown && on.text(null, text.slice(shown.length));
      else on.whole(text);
      shown = text;
      if (error) return on.fail(error.text);
      if (list.length && list.every((m) => m.finished)) {
        job.seen(all.length);
        return on.end(null);
      }
      on.ready();
      setTimeout(again, turn && !turn.over ? 60 : 1000);
    };
    const again = () => !gone && look().catch(() => !gone && on.fail(say('imAway')));
    again();
    return { close: () => (gone = true) };
  },
};

// ---- one answer ----
// front: who showed which byte first, as [bytes, time]; each pane's lag is measured against it.
let turn = null;
const newTurn = (id, ask) => ({ id, ask, began: performance.now(), front: [], top: 0, first: null, last: null, over: false, stopped: false, why: null });

function noteBytes(total, now) {
  turn.first ??= now - turn.began;
  if (total > turn.top) {
    turn.top = total;
    turn.front.push([total, now]);
    return 0;
  }
  let low = 0;
  for (let high = turn.front.length - 1; low < high; ) {
    const middle = (low + high) >> 1;
    if (turn.front[middle][0] >= total) high = middle;
    else low = middle + 1;
  }
  return now - turn.front[low][1];
}

// ---- panes ----
class Pane {
  constructor(protocol, off) {
    this.home = this.protocol = protocol;
    const node = $('pane').content.cloneNode(true);
    this.node = node.firstElementChild;
    this.part = (name) => this.node.querySelector(name);
    this.paper = this.part('.text p');
    this.part('.drop').onclick = () => this.drop();
    this.part('.resume').onclick = () => this.resume(this.protocol);
    this.part('.on').onchange = ({ target }) => {
      const to = target.value;
      target.value = '';
      if (to) this.resume(to);
    };
    $('panes').append(node);
    this.off = off;
    this.state = off ? 'off' : 'idle';
    this.clear();
  }
  clear() {
    Object.assign(this, { text: '', bytes: 0, pieces: 0, lag: null, worst: null, role: null, why: null, shown: 0, failure: null });
    this.paper.replaceChildren();
    this.changed();
  }
  get open() {
    return this.state === 'joining' || this.state === 'ready' || this.state === 'live' || this.state === 'again';
  }
  /** Connects: to ask, for the rest of an answer, or to watch.  quiet: what is shown stays until something new comes. */
  join(job = {}) {
    this.link?.close();
    const ticket = (this.ticket = {});
    const mine = (action) => (...values) => ticket === this.ticket && action(...values);
    this.quiet = !!job.quiet;
    if (!job.quiet) {
      this.state = 'joining';
      this.role = job.ask ? 'asks' : job.resume ? 'resumed' : this.protocol === 'im' ? 'mirrors' : 'watches';
    }
    this.changed();
    this.ready = new Promise((resolve) => (this.isReady = resolve));
    this.link = connect[this.protocol]({ ...job, from: this.seen, seen: (count) => (this.seen = count) }, {
      ready: mine(() => {
        this.isReady();
        if (this.quiet) return;
        if (this.state !== 'live') this.state = turn && !turn.over && this.bytes ? 'live' : 'ready';
        this.changed();
      }),
      text: mine((id, text) => this.take(id, text)),
      whole: mine((text) => {
        this.clear();
        this.take(null, text);
      }),
      versions: mine((count) => {
        if (!this.quiet) this.pieces = count;
        this.changed();
      }),
      end: mine((id, cut) => this.end(id, cut)),
      fail: mine((why) => this.fail(why)),
      lost: mine(() => this.lost()),
      again: mine(() => {
        if (!this.quiet) this.state = 'again';
        this.changed();
      }),
    });
  }
  /** What it watches for has begun. */
  wake() {
    this.clear();
    this.role = this.protocol === 'im' ? 'mirrors' : 'watches';
    this.began = this.seen;
    if (!this.ticket || this.protocol !== this.home) {
      this.protocol = this.home;
      this.join();
    }
    this.quiet = false;
    if (!this.open) this.state = 'ready';
  }
  take(id, text) {
    if (!turn || (turn.over && this.role !== 'resumed') || this.quiet) {
      if (turn && (!turn.over || (id && id === turn.id))) return; // what is shown already, or a second answer at once
      elsewhere(id);
    }
    turn.id ??= id ?? null;
    if (id && turn.id !== id) return;
    const now = performance.now();
    this.text += text;
    this.bytes += bytesOf(text);
    if (this.protocol !== 'im') this.pieces++;
    this.lag = noteBytes(this.bytes, now);
    if (this.role !== 'resumed') this.worst = Math.max(this.worst ?? 0, this.lag);
    this.state = 'live';
    this.changed();
  }
  end(id, cut) {
    if (this.quiet || !turn || (!this.bytes && turn.over)) return this.protocol === 'im' ? null : this.later(50);
    if (id && turn.id && id !== turn.id) return;
    if (!this.bytes && this.role === 'watches' && turn.last == null) return this.later(0); // its time was up before anything came
    if (cut && turn.id) return this.resume(this.protocol);
    turn.last ??= performance.now() - turn.began;
    this.leave('done');
  }
  /** A watch that ended with nothing: another one. */
  later(ms) {
    const ticket = this.ticket;
    setTimeout(() => ticket === this.ticket && this.join({ quiet: this.quiet }), ms);
  }
  fail(why) {
    if (this.quiet) return;
    this.why = why;
    if (turn && !turn.over && this.protocol !== 'im') turn.why ??= why;
    if (this.role === 'asks' && !turn.top)
      for (const pane of active()) if (pane !== this && pane.open) pane.calm(); // there is nothing to wait for
    this.leave('failed');
  }
  lost() {
    this.isReady();
    if (this.quiet) return this.later(5000);
    this.why = say('lost');
    this.leave(turn && !turn.over ? 'dropped' : 'idle');
  }
  /** Goes on watching, without being waited for. */
  calm() {
    this.quiet = true;
    this.state = 'idle';
    this.changed();
  }
  /** Lets go of its connection, and is about to ask. */
  rest() {
    this.link?.close();
    this.ticket = null;
    this.quiet = false;
    this.protocol = this.home;
    this.state = 'joining';
    this.clear();
  }
  leave(state) {
    this.ticket = null;
    this.isReady?.();
    this.state = state;
    this.link?.close();
    this.changed();
    settle();
  }
  drop() {
    this.why = null;
    this.leave('dropped');
  }
  resume(protocol) {
    this.protocol = protocol;
    turn.over = false;
    if (protocol === 'im') {
      this.clear();
      this.seen = this.began;
    }
    this.join(protocol === 'im' || !turn.id ? {} : { resume: `${turn.id}:${this.bytes}` });
    outcome();
  }
  changed() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
      outcome();
    });
  }
  draw() {
    const { node, part, state } = this;
    const name = say(this.protocol);
    node.dataset.state = state;
    node.dataset.protocol = this.protocol;
    node.dataset.home = this.home;
    part('h2').textContent = name;
    part('.role').textContent = this.role ? say(this.role) : '';
    part('.state').textContent = state === 'failed' || (state === 'dropped' && this.why) ? this.why : say(state);
    if (this.off || (!this.bytes && !this.text)) {
      this.paper.className = 'hint';
      this.paper.textContent = say(this.off ?? `${this.protocol}0`);
      this.shown = 0;
    } else if (this.shown < this.text.length) {
      const box = part('.text');
      const follow = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      if (!this.shown) this.paper.replaceChildren();
      this.paper.className = '';
      this.paper.append(this.text.slice(this.shown));
      this.shown = this.text.length;
      if (follow) box.scrollTop = box.scrollHeight;
    }
    part('.text').setAttribute('aria-label', say('textOf', name));
    part('.bytes').textContent = number(this.bytes);
    part('.pieces').textContent = number(this.pieces);
    part('.facts div:nth-child(2) dt').textContent = say(this.protocol === 'im' ? 'versions' : 'pieces');
    part('.lag').textContent = time(this.lag);
    part('.worst').textContent = time(this.worst);
    const rest = state === 'dropped' || (state === 'failed' && turn?.id);
    const drop = part('.drop');
    const resume = part('.resume');
    const on = part('.on');
    drop.disabled = !this.open || !turn || turn.over;
    resume.disabled = !rest;
    on.disabled = !rest || this.home === 'im';
    drop.setAttribute('aria-label', `${say('drop')}: ${name}`);
    resume.setAttribute('aria-label', `${say('resume')}: ${name}`);
    on.setAttribute('aria-label', `${say('resumeOn')} (${name})`);
    on.hidden = this.home === 'im';
    const list = ['', ...protocols().filter((p) => p !== this.protocol)];
    if (on.dataset.list !== lang + list) {
      on.dataset.list = lang + list;
      on.replaceChildren(...list.map((p) => new Option(p ? say(p) : say('resumeOn'), p)));
    }
  }
}

// ---- the answer as a whole ----
const active = () => panes.filter((p) => !p.off);

/** Somebody else asked in this session. */
function elsewhere(id) {
  turn = newTurn(id, null);
  for (const pane of active()) pane.wake();
}

/** Once nobody reads any more the answer is over, and who has it watches for the next one. */
function settle() {
  if (!turn || turn.over) return;
  const open = active().filter((p) => p.open);
  if (open.length) {
    const mine = turn;
    clearTimeout(settle.late);
    if (open.every((p) => !p.bytes) && turn.last != null)
      settle.late = setTimeout(() => turn === mine && open.forEach((p) => p.open && !p.bytes && p.fail(say('nothing'))), 15000);
    return;
  }
  turn.over = true;
  for (const pane of active())
    if (pane.state === 'done' && pane.protocol === pane.home) pane.join({ quiet: true });
  outcome();
}

/** The byte from which two texts differ, or -1.  Where the answer failed, some protocols add a line of their own. */
function difference(text, whole, failed) {
  if (text === whole || (failed && text.startsWith(whole) && (!whole || text[whole.length] === '\n'))) return -1;
  let at = 0;
  while (at < text.length && text[at] === whole[at]) at++;
  return bytesOf(text.slice(0, at));
}

function judge() {
  const list = active();
  const done = list.filter((p) => p.state === 'done' || (p.state === 'failed' && turn.why && p.bytes));
  const dropped = list.filter((p) => !done.includes(p));
  const texts = done.map((p) => p.text);
  const whole = turn.why ? texts.reduce((a, b) => (b.length < a.length ? b : a), texts[0] ?? '') : texts[0] ?? '';
  const odd = done.find((p) => difference(p.text, whole, turn.why) >= 0);
  if (odd) return ['bad', say('differ', say(odd.protocol), number(difference(odd.text, whole, turn.why)))];
  if (turn.why) return ['bad', say('broken', turn.why)];
  if (dropped.length) return ['part', say('part', done.length, list.length, dropped.map((p) => say(p.protocol)).join(', '))];
  if (list.length === 1) return ['good', say('one', 1, number(bytesOf(whole)))];
  return ['good', say(turn.stopped ? 'sameStopped' : 'same', done.length, number(bytesOf(whole)))];
}

function outcome() {
  const box = $('outcome');
  for (const pane of panes) pane.part('.bar i').style.width = turn?.top ? `${Math.min(100, (100 * pane.bytes) / turn.top)}%` : '0';
  let state = 'idle';
  let text = say(protocols().length ? (key || setup.key ? 'start' : 'needKey') : 'noWays');
  if (setup.error) [state, text] = ['bad', say('loadFailed', setup.error)];
  else if (turn && !turn.over) {
    state = 'running';
    text = turn.stopped ? say('stopping') : turn.ask ? say('asking', say(turn.ask), active().length) : say('other1');
  } else if (turn) [state, text] = judge();
  box.dataset.state = state;
  if ($('verdict').textContent !== text) $('verdict').textContent = text; // or it would be read out again and again
  $('numbers').hidden = !turn;
  if (turn) {
    const worst = Math.max(...active().filter((p) => p.worst != null && p.protocol !== 'im').map((p) => p.worst), 0);
    $('n-first').textContent = time(turn.first);
    $('n-whole').textContent = turn.over ? time(turn.last) : '–';
    $('n-bytes').textContent = `${number(turn.top)} B`;
    $('n-lag').textContent = turn.top ? time(worst) : '–';
  }
  const running = turn && !turn.over;
  $('stop').hidden = !running;
  $('stop').disabled = !running || turn.stopped || !turn.id || !(way('bmob') || way('cgws'));
  $('stop').title = way('bmob') || way('cgws') ? '' : say('noStop');
  $('go').disabled = !!running || !protocols().length;
}

async function ask(question) {
  key = setup.key ?? $('key').value.trim();
  if (!key) return $('key').focus();
  const list = active();
  const asker = list.find((p) => p.home !== 'im');
  turn = newTurn(null, asker.home);
  const mine = turn;
  for (const pane of list) {
    if (pane !== asker) pane.wake();
    else pane.rest();
  }
  // A watcher that comes too late for a short answer would wait for the next one.
  await Promise.race([Promise.all(list.filter((p) => p !== asker).map((p) => p.ready)), new Promise((r) => setTimeout(r, 3000))]);
  if (turn !== mine) return;
  for (const pane of list) pane.began = pane.seen;
  turn.began = performance.now();
  asker.join({ ask: question });
  outcome();
}

function stop() {
  turn.stopped = true;
  const reader = active().find((p) => p.open && p.link.stop);
  if (reader) reader.link.stop(turn.id);
  else {
    const protocol = way('bmob') ? 'bmob' : 'cgws';
    const id = turn.id;
    const link = connect[protocol]({}, { ready: () => link.stop(id), text() {}, end: () => link.close(), fail() {}, lost() {} });
    setTimeout(() => link.close(), 5000);
  }
  outcome();
}

// ---- the page ----
function speak() {
  document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = say(node.dataset.t);
  $('panes').setAttribute('aria-label', say('panes'));
  $('language').textContent = say('other');
  $('language').lang = lang === 'zh' ? 'en' : 'zh';
  $('question').placeholder = say('placeholder');
  $('app').textContent = setup.app ? `\u00b7 ${say('app')} ${setup.app}` : '';
  for (const pane of panes) pane.draw();
  outcome();
}

async function begin() {
  $('session').textContent = session;
  $('language').onclick = () => {
    lang = lang === 'zh' ? 'en' : 'zh';
    speak();
  };
  $('form').onsubmit = (event) => {
    event.preventDefault();
    const question = $('question').value.trim() || say('placeholder');
    if (!turn || turn.over) ask(question);
  };
  $('stop').onclick = stop;
  document.addEventListener('keydown', (event) => event.key === 'Escape' && !$('stop').hidden && !$('stop').disabled && stop());
  try {
    const response = await fetch('/transports.json', { cache: 'no-store' });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    setup = await response.json();
  } catch (error) {
    setup.error = error.message;
  }
  key = setup.key ?? '';
  $('key-row').hidden = !!setup.key || !protocols().length;
  panes = protocols().map((p) => new Pane(p));
  if (panes.length) panes.push(new Pane('im', !setup.im.mirrors ? 'imNone' : setup.im.view ? null : 'imView'));
  speak();
  if (key) for (const pane of active()) pane.join();
  $('question').focus({ preventScroll: true });
}
begin();

// Limits and usage: refused in each protocol's own words, ended in mid-answer for all readers alike, counted across a kill, on record
// without a word of what was said.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import http from 'node:http';
import { once } from 'node:events';
import WebSocket from 'ws';
import { startStack, until, KEY } from './support.mjs';
import { protocols, transports } from './clients.mjs';
import { startIm } from './im_support.mjs';

const SECRET_PROMPT = 'why does the heron wait so long';
const keyed = { ...transports, cgws: { plugin: 'ws-chatgpt' } };
const keyOf = (app) => `key-of-${app}-0123456789`;
const read = async (response) => {
  let body = '';
  for await (const data of response) body += data;
  return body;
};

/** One question on each protocol, by key; what came: { kind, text }.  kind: '' when it was answered, else what the protocol says. */
const asks = {
  async bmob(stack, key, content) {
    const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key}`, { perMessageDeflate: false });
    const frames = [];
    ws.on('message', (data) => frames.push(JSON.parse(data)));
    await once(ws, 'open');
    ws.send(JSON.stringify({ messages: [{ role: 'user', content }] }));
    await until('the final frame', () => frames.some((f) => f.choices[0].finish_reason === 'stop'));
    ws.terminate();
    const text = frames.map((f) => f.choices[0].delta.content).join('');
    const kind = /^(Too many requests|You exceeded your current quota|Invalid request)/.exec(text)?.[1] ?? '';
    return { kind, text };
  },
  async mini(stack, key, content) {
    const body = await get(stack, `/chat/stream?is_wxapp=1&token=${key}&prompt=${encodeURIComponent(content)}`);
    const error = /^event: error\ndata: (\{.*\})\r\n$/m.exec(body);
    return error ? { kind: JSON.parse(error[1]).code, text: JSON.parse(error[1]).msg } : { kind: '', text: body };
  },
  async h5(stack, key, content) {
    const body = await get(stack, `/chat/stream?is_wxapp=0&token=${key}&prompt=${encodeURIComponent(content)}`);
    const error = /^event: error\ndata: (\{.*\})\n\n$/m.exec(body);
    return error ? { kind: JSON.parse(error[1]).code, text: JSON.parse(error[1]).msg } : { kind: '', text: body };
  },
  async api(stack, key, content, more = {}) {
    const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: '', messages: [{ role: 'user', content }], ...more }),
    });
    const body = await response.json();
    return response.ok
      ? { kind: '', text: body.choices[0].message.content, body }
      : { kind: `${response.status} ${body.error.code ?? body.error.type}`, text: body.error.message };
  },
  async chatgpt(stack, key, content) {
    const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.cgws}/?token=${key}`, { perMessageDeflate: false });
    const frames = [];
    ws.on('message', (data) => frames.push(JSON.parse(data)));
    await once(ws, 'open');
    ws.send(JSON.stringify({ seq: 'q', data: { messages: [{ role: 'user', content }] } }));
    await until('the terminal', () => frames.some((f) => f.data.finish_reason !== null));
    ws.terminate();
    const error = frames.find((f) => f.code);
    return error ? { kind: error.code, text: error.msg } : { kind: '', text: frames.map((f) => f.data.contents).join('') };
  },
};
async function get(stack, url) {
  const request = http.get({ host: '127.0.0.1', port: stack.ports.wx, path: url, agent: false });
  const [response] = await once(request, 'response');
  return read(response);
}

const counter = async (stack, name) => {
  const { code, stdout, stderr } = await stack.ctl('counters', name, '--json');
  assert.equal(code, 0, stderr);
  const found = JSON.stringify(JSON.parse(stdout)).match(new RegExp(`"name":"${name}"[^}]*?"value":(\\d+)|"${name}":(\\d+)`));
  return Number(found?.[1] ?? found?.[2]);
};
const usage = async (stack, ...args) => {
  const { code, stdout, stderr } = await stack.ctl('usage', '--json', ...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
};
const lines = async (file) => (await readFile(file, 'utf8')).split('\n').filter(Boolean).map((line) => JSON.parse(line));

describe('refusals, in each protocol\'s own form', () => {
  let stack;
  before(async () => {
    const app = (name, limits) => ({ keys: [keyOf(name)], model: 'lim:tokens=20:pace=0', ...limits });
    stack = await startStack({
      transports: keyed,
      apps: {
        busy: { ...app('busy', { limits: { concurrent: 1 } }), model: 'lim:tokens=100000:pace=20' },
        slow: app('slow', { key_limits: { requests_per_minute: 1 } }),
        daily: app('daily', { limits: { tokens_per_day: 150 } }),
        small: app('small', { key_limits: { prompt_bytes: 100 } }),
        free: app('free', {}),
      },
    });
  });
  after(() => stack?.stop());

  const expected = {
    rate: { bmob: 'Too many requests', mini: 102, h5: 102, api: '429 rate_limit_exceeded', chatgpt: 129003 },
    quota: { bmob: 'You exceeded your current quota', mini: 101, h5: 101, api: '429 insufficient_quota', chatgpt: 129003 },
    bad: { bmob: 'Invalid request', mini: 0, h5: 0, api: '400 invalid_request_error', chatgpt: 129003 },
  };
  const words = {
    rate: /^Too many requests, try again later\.$/,
    quota: /^You exceeded your current quota\.$/,
    bad: /larger than 100 bytes/,
  };
  async function all(app, kind, content) {
    for (const [name, ask] of Object.entries(asks)) {
      const { kind: got, text } = await ask(stack, keyOf(app), content);
      assert.equal(got, expected[kind][name], `${app} on ${name}: ${text}`);
      assert.match(text, words[kind], `${app} on ${name}`);
    }
  }

  test('concurrent: one answer runs, others are told; when it ends the next one is taken', async () => {
    const before = await counter(stack, 'limited_concurrent');
    const first = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${keyOf('busy')}`, { perMessageDeflate: false });
    let frames = 0;
    first.on('message', () => frames++);
    await once(first, 'open');
    first.send(JSON.stringify({ messages: [{ role: 'user', content: 'long' }] }));
    await until('the answer to begin', () => frames > 0);
    await all('busy', 'rate', 'me too');
    assert.equal(await counter(stack, 'limited_concurrent'), before + Object.keys(asks).length);
    const [running] = (await stack.list('stream list')).filter((s) => s.app === 'busy' && s.state === 'streaming');
    assert.equal((await stack.ctl('stream', 'cancel', running.id)).code, 0);
    first.terminate();
    const next = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${keyOf('busy')}`, { perMessageDeflate: false });
    let text = '';
    next.on('message', (data) => (text += JSON.parse(data).choices[0].delta.content));
    await once(next, 'open');
    next.send(JSON.stringify({ messages: [{ role: 'user', content: 'now' }] }));
    await until('the next answer to begin', () => text.length > 0);
    assert.doesNotMatch(text, /Too many/);
    next.terminate();
  });

  test('requests_per_minute: the second one within a minute is refused, whatever it comes by', async () => {
    for (const [name, ask] of Object.entries(asks)) {
      // on a machine that stands still for a minute the bucket has filled again: then that one is asked once more
      let answer;
      for (let tries = 0; tries < 5 && !(answer = await ask(stack, keyOf('slow'), 'again')).kind; tries++);
      assert.equal(answer.kind, expected.rate[name], `${name}: ${answer.text}`);
      assert.match(answer.text, words.rate);
    }
    assert.ok((await counter(stack, 'limited_rate')) >= 5);
  });

  test('tokens_per_day: asked until the day is used up, then refused everywhere', async () => {
    let answers = 0;
    let last;
    while (!(last = await asks.api(stack, keyOf('daily'), 'tea?')).kind) assert.ok(++answers < 50);
    assert.ok(answers > 0, 'the first ones were answered');
    assert.equal(last.kind, '429 insufficient_quota');
    await all('daily', 'quota', 'more?');
    const { total } = await usage(stack, '--app', 'daily');
    assert.ok(total.total_tokens >= 100 && total.total_tokens <= 150 + 60, `${total.total_tokens} tokens`);
  });

  test('prompt_bytes: a large question is a bad one', async () => {
    await all('small', 'bad', 'x'.repeat(200));
    assert.equal((await asks.api(stack, keyOf('small'), 'x')).kind, '');
    assert.equal(await counter(stack, 'limited_prompt'), Object.keys(asks).length);
  });

  // Goal: what the model reads besides the messages counts too.  Method: the longest question that passes alone, then with a parameter, then
  // a short one with tools that are longer than the rest of the room; the counter.  Catches: a limit of messages only, which tools go around.
  test('prompt_bytes: tools and other parameters count as well', async () => {
    const try_ = (size, more) => asks.api(stack, keyOf('small'), 'x'.repeat(size), more);
    let passes = 1, fails = 100, refused = await counter(stack, 'limited_prompt');
    while (fails - passes > 1) {
      const size = (passes + fails) >> 1, bad = (await try_(size)).kind !== '';
      refused += bad;
      [passes, fails] = bad ? [passes, size] : [size, fails];
    }
    assert.ok(passes > 40, `${passes} letters pass`);
    const { kind, text } = await try_(passes, { temperature: 0.5 });
    assert.equal(kind, '400 invalid_request_error');
    assert.match(text, /larger than 100 bytes/);
    assert.equal((await try_(passes - 40, { temperature: 0.5 })).kind, '');
    const tools = (size) => [{ type: 'function', function: { name: 'f'.repeat(size), parameters: {} } }];
    assert.equal((await try_(1, { tools: tools(40) })).kind, '400 invalid_request_error');
    assert.equal(await counter(stack, 'limited_prompt'), refused + 2);
  });

  test('who has no limits is not held up by those of others', async () => {
    for (const [name, ask] of Object.entries(asks)) assert.equal((await ask(stack, keyOf('free'), 'hello')).kind, '', name);
  });
});

/** One asker and a watcher on each protocol: all clients when all have ended. */
async function meet(stack, session) {
  const watchers = Object.fromEntries(Object.entries(protocols).map(([name, protocol]) => [name, protocol.watches(stack, session)]));
  await Promise.all(Object.values(watchers).map((w) => w.opened));
  await until('the watchers to be there', async () => (await stack.list('client list')).length >= Object.keys(watchers).length);
  const asker = protocols.Bmob.asks(stack, SECRET_PROMPT, session);
  const everybody = { asker, ...watchers };
  await until('all to end', () => Object.values(everybody).every((c) => c.done || c.error || c.ended), { timeout: 60000 });
  return everybody;
}

for (const io of ['auto', 'epoll'])
  describe(`in mid-answer, io = ${io}`, () => {
    test('output_tokens: all readers of all protocols get the same text and an ordinary end, "length" where it can be said', async () => {
      const model = 'cut:text=cjk:tokens=400:bytes=12:pace=2:first=5000';
      const stack = await startStack({ transports, model, core: { io }, app: { key_limits: { output_tokens: 50 } } });
      try {
        const clients = await meet(stack, 'together');
        const whole = Buffer.from(await stack.mock.text(model, SECRET_PROMPT));
        const text = clients.asker.text;
        const size = Buffer.byteLength(text);
        assert.ok(whole.subarray(0, size).equals(Buffer.from(text)), 'a beginning of what the service says');
        assert.ok(size > 200 - 4 && size <= 200, `50 tokens are 200 bytes at most, ${size} came`);
        for (const [name, client] of Object.entries(clients)) {
          assert.equal(client.error, null, name);
          assert.equal(client.text, text, name);
        }
        assert.equal(clients.Api.finish, 'length');
        assert.equal(clients.H5.finish, 'length');
        assert.equal(clients.ChatGpt.finish, 'length');
        const [stream] = await stack.list('stream list');
        assert.equal(stream.state, 'complete');
        const [asked] = await stack.mock.asked('cut');
        await until('the service to be told to stop', async () => (await stack.mock.asked('cut'))[0].end === 'client_closed');
        assert.ok(asked.tokens <= 50);
        assert.equal(await counter(stack, 'limited_output'), 1);
        for (const client of Object.values(clients)) client.leave();
      } finally {
        await stack.stop();
      }
    });

    test('tokens_per_day reached: all readers get the same text, then the quota error of their protocol', async () => {
      const stack = await startStack({ transports, model: 'day:text=ascii:tokens=400:bytes=10:pace=2:first=5000', core: { io }, app: { limits: { tokens_per_day: 120 } } });
      try {
        const clients = await meet(stack, 'together');
        const note = 'You exceeded your current quota.';
        const whole = await stack.mock.text('day:text=ascii:tokens=400:bytes=10:pace=2:first=5000', SECRET_PROMPT);
        const text = clients.Api.text;
        assert.ok(text.length > 100 && whole.startsWith(text), text);
        assert.match(clients.Api.error.message, /insufficient_quota/);
        assert.equal(clients.H5.text, text);
        assert.match(clients.H5.error.message, /"code":101/);
        assert.equal(clients.ChatGpt.text, text);
        assert.equal(clients.ChatGpt.error.message, note);
        for (const name of ['asker', 'Bmob']) assert.equal(clients[name].text, `${text}\n${note}`, name);
        assert.ok(clients.Wxapp.text.startsWith(text) && clients.Wxapp.text.includes(note), clients.Wxapp.text);
        const [stream] = await stack.list('stream list');
        assert.equal(stream.state, 'failed');
        assert.equal(await counter(stack, 'limited_day_output'), 1);
        for (const client of Object.values(clients)) client.leave();
      } finally {
        await stack.stop();
      }
    });
  });

test('output_tokens is sent to the service, unless the client asks for less', async () => {
  const stack = await startStack({ transports: { api: keyed.api }, model: 'said:text=request', app: { limits: { output_tokens: 1000 } } });
  try {
    const sent = async (more) => JSON.parse((await asks.api(stack, KEY, 'say it', more)).text);
    assert.equal((await sent({})).max_tokens, 1000);
    assert.equal((await sent({ max_tokens: 2000, seed: 7 })).max_tokens, 1000);
    assert.equal((await sent({ max_tokens: 2000, seed: 7 })).seed, 7);
    assert.equal((await sent({ max_tokens: 900 })).max_tokens, 900);
    const other = await sent({ max_completion_tokens: 5000 });
    assert.equal(other.max_completion_tokens, 1000);
    assert.equal(other.max_tokens, undefined);
  } finally {
    await stack.stop();
  }
});

test('tokens of the day survive a kill', async () => {
  const stack = await startStack({
    transports: keyed,
    model: 'kill:tokens=20:pace=0',
    app: { key_limits: { tokens_per_day: 100 }, history: 'off' },
    apps: { other: { keys: [keyOf('other')], history: 'off' } },
  });
  try {
    while (!(await asks.api(stack, KEY, 'tea?')).kind);
    assert.equal((await asks.api(stack, keyOf('other'), 'tea?')).kind, '');
    const { usage: before } = await until('all to be on disk', async () => {
      const document = await usage(stack);
      return document.usage.length === 2 && document;
    });
    const pids = async () => (await stack.list('host list')).map((h) => (h.state === 'running' ? h.pid : 0));
    const old = await pids();
    stack.daemon.kill('SIGKILL');
    await stack.daemon.exited;
    await stack.boot();
    // the stats page of the killed daemon tells of hosts that ran, until the new one has made its own
    await until('the new hosts', async () => {
      const now = await pids();
      return now.length === old.length && now.every((pid) => pid && !old.includes(pid));
    });
    assert.equal((await asks.mini(stack, KEY, 'tea?')).kind, 101);
    assert.equal((await asks.api(stack, KEY, 'tea?')).kind, '429 insufficient_quota');
    assert.equal((await asks.api(stack, keyOf('other'), 'tea?')).kind, '');
    const after = await usage(stack, '--app', 'shop');
    assert.deepEqual(after.usage, before.filter((row) => row.app === 'shop'));
  } finally {
    await stack.stop();
  }
});

test('IM: who is refused reads the busy text; in mid-answer the text so far stays and the busy text follows', async () => {
  const model = 'im:text=ascii:tokens=400:bytes=10:pace=2';
  const stack = await startIm({
    model,
    apps: { poor: { model, key_limits: { tokens_per_day: 1 } }, short: { model, limits: { tokens_per_day: 100 } } },
    bots: { poor: { app: 'poor' }, short: { app: 'short' } },
  });
  try {
    await stack.tim.write('u-1', 'hello', '@RBT#poor');
    const [only] = await stack.tim.finished('u-1', 1, { bot: '@RBT#poor' });
    assert.deepEqual([only.src, only.text], [23, 'Too many requests, try again later.']);
    await stack.tim.write('u-2', 'hello', '@RBT#short');
    const [text, error] = await stack.tim.finished('u-2', 2, { bot: '@RBT#short' });
    assert.ok(text.text.length > 100 && (await stack.mock.text(model, 'hello')).startsWith(text.text), text.text);
    assert.deepEqual([error.src, error.text], [23, 'Too many requests, try again later.']);
  } finally {
    await stack.stop();
  }
});

describe('on record', () => {
  let stack, log;
  before(async () => {
    const dir = await (await import('node:fs/promises')).mkdtemp(path.join((await import('node:os')).tmpdir(), 'umbel-access-'));
    log = path.join(dir, 'access.log');
    stack = await startStack({
      transports,
      model: 'rec:tokens=30:pace=2:first=5000',
      log: { access: log },
      apps: {
        silent: { keys: [keyOf('silent')], model: 'rec:tokens=30:pace=0:usage=no:text=ascii:bytes=8' },
        broken: { keys: [keyOf('broken')], model: 'rec:status=500' },
      },
    });
  });
  after(async () => {
    await stack?.stop();
    await (await import('node:fs/promises')).rm(path.dirname(log), { recursive: true, force: true });
  });

  test('usage is what the service reported; umbelctl sums it up by key, app, day and upstream', async () => {
    let prompt = 0;
    let completion = 0;
    const bodies = await Promise.all([0, 1, 2].map(async (i) => (await asks.api(stack, KEY, `${SECRET_PROMPT} ${i}`)).body));
    for (const body of bodies) {
      prompt += body.usage.prompt_tokens;
      completion += body.usage.completion_tokens;
    }
    const all = await usage(stack, '--app', 'shop');
    assert.equal(all.by, 'key');
    assert.deepEqual(all.usage.map(({ text_bytes, ...row }) => row), [
      { app: 'shop', key: 'key-1', answers: 3, estimated: 0, prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    ]);
    assert.equal(all.total.total_tokens, prompt + completion);
    assert.deepEqual((await usage(stack, '--by', 'app')).usage.map((r) => r.app), ['shop']);
    assert.deepEqual((await usage(stack, '--by', 'upstream')).usage.map((r) => r.upstream), ['demo']);
    const [day] = (await usage(stack, '--by', 'day', '--since', '1h')).usage;
    assert.equal(day.day_ms % 86400000, 0);
    assert.deepEqual((await usage(stack, '--key', 'nobody')).usage, []);
    const { stdout } = await stack.ctl('usage');
    assert.match(stdout, /APP +KEY +ANSWERS +PROMPT +COMPLETION +TOKENS +ESTIMATED\n/);
    assert.match(stdout, /^shop +key-1 +3 /m);
    assert.match(stdout, /^total +- +3 /m);
  });

  test('a service that reports nothing: estimated, marked so, and not told to clients', async () => {
    const { body, text } = await asks.api(stack, keyOf('silent'), 'hm?');
    assert.equal(body.usage, undefined);
    const [row] = (await usage(stack, '--app', 'silent')).usage;
    assert.equal(row.estimated, 1);
    assert.equal(row.completion_tokens, Math.ceil(Buffer.byteLength(text) / 4));
    assert.ok(row.prompt_tokens > 0);
  });

  test('an answer that never began costs nothing', async () => {
    assert.match((await asks.api(stack, keyOf('broken'), 'hm?')).kind, /^50/);
    const [row] = (await usage(stack, '--app', 'broken')).usage;
    assert.deepEqual([row.answers, row.total_tokens, row.estimated], [1, 0, 0]);
  });

  test('the access log has a line for each answer, with what is needed and nothing that was said', async () => {
    const clients = await meet(stack, 'private-session-name');
    const [stream] = await stack.list('stream list');
    const id = clients.asker.id;
    const line = await until('the line', async () => (await lines(log)).find((l) => l.stream === id));
    assert.deepEqual(Object.keys(line), [
      'asked', 'stream', 'app', 'key', 'session', 'transport', 'read_by', 'readers_peak', 'upstream', 'tries', 'continued', 'model', 'ttft_ms',
      'ttlt_ms', 'duration_ms', 'prompt_tokens', 'completion_tokens', 'estimated', 'verdict', 'finish', 'error', 'text_bytes']);
    assert.ok(stream);
    assert.ok(Math.abs(Date.parse(line.asked) - Date.now()) < 3600000);
    assert.equal(line.app, 'shop');
    assert.equal(line.key, 'key-1');
    assert.equal(line.session, true);
    assert.equal(line.transport, 'bmob');
    assert.deepEqual(line.read_by.toSorted(), ['api', 'bmob', 'cgws', 'wx']);
    assert.equal(line.readers_peak, 6);
    assert.equal(line.upstream, 'demo');
    assert.deepEqual([line.tries, line.continued, line.estimated, line.verdict, line.finish, line.error], [1, 0, false, 'complete', 'stop', '']);
    assert.ok(line.ttft_ms <= line.ttlt_ms && line.ttlt_ms <= line.duration_ms);
    assert.equal(line.text_bytes, Buffer.byteLength(clients.asker.text));
    const failed = (await lines(log)).find((l) => l.app === 'broken');
    assert.deepEqual([failed.verdict, failed.error, failed.ttft_ms, failed.ttlt_ms, failed.key], ['failed', 'upstream', null, null, 'key-1']);
    assert.ok(failed.tries > 1, 'a refusal that may pass is tried again');
    const text = await readFile(log, 'utf8');
    for (const secret of [KEY, keyOf('silent'), 'heron', 'private-session-name', clients.asker.text.slice(0, 12)])
      assert.ok(!text.includes(secret), `${secret} stands in the access log`);
    for (const client of Object.values(clients)) client.leave();
  });

  test('logrotate: after SIGHUP lines go to a new file', async () => {
    const size = (await lines(log)).length;
    await rename(log, `${log}.1`);
    stack.daemon.kill('SIGHUP');
    await until('the new file', async () => (await readFile(log, 'utf8')) === '');
    await asks.api(stack, KEY, 'after');
    await until('the line', async () => (await lines(log)).length === 1);
    assert.equal((await lines(`${log}.1`)).length, size);
  });

  test('umbelctl usage: what it does not understand is a usage error that says what to write', async () => {
    for (const [args, words] of [
      [['--since', 'yesterday'], /--since yesterday is no time[^]*1d/],
      [['--since', '0d'], /90s, 15m/],
      [['--by', 'colour'], /--by colour is none[^]*app, key, day or upstream/],
      [['--nonsense'], /./],
    ]) {
      const { code, stderr } = await stack.ctl('usage', ...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, words);
    }
    const { code } = await stack.ctl('-s', '/nonexistent', 'usage');
    assert.ok(code === 3 || code === 2);
  });
});

test('an access log that cannot be opened is said at the start', async () => {
  await assert.rejects(startStack({ transports: { api: keyed.api }, log: { access: '/nonexistent/access.log' } }), /access log \/nonexistent\/access\.log/);
});

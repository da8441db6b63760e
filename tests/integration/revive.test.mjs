// Finished answers that memory has lost are resumed from the history: after a kill of the daemon, after an upgrade of it, after linger_s.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { startStack, until, KEY } from './support.mjs';
import { Bmob, ChatGpt, Wxapp, H5, Api, protocols, transports } from './clients.mjs';

const OTHER = 'another-app-key-1';
const MODEL = 'revive:text=mixed:tokens=120:pace=0:usage=always';

const ended = (client) => client.done || client.error || client.ended;
const settle = (what, client) => until(what, () => ended(client));

/** The tail after n bytes: clients take whole characters only, so n stands between two. */
const tail = (text, n) => Buffer.from(text).subarray(n).toString();
const middle = (text) => Buffer.byteLength([...text].slice(0, [...text].length >> 1).join(''));
/** A place inside a character. */
const inside = (text) => Buffer.byteLength(text.slice(0, [...text].findIndex((c) => Buffer.byteLength(c) > 1))) + 1;

async function asked(stack, content, session, model) {
  const client = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content }], session, model });
  await settle(`the answer to ${content}`, client);
  client.leave();
  return client;
}

const value = async (stack, name) => (await stack.list('counters', 'counters')).find((c) => c.name === name)?.value ?? 0;
const written = (stack, turns) => until(`${turns} turns on the disk`, async () => (await value(stack, 'history_turns_written')) >= turns);

async function crash(stack) {
  const old = (await stack.list('host list', 'hosts')).map((h) => h.pid);
  stack.daemon.kill('SIGKILL');
  await stack.daemon.exited;
  await stack.boot();
  await until('new hosts', async () => {
    const hosts = await stack.list('host list', 'hosts');
    return hosts.length === old.length && hosts.every((h) => h.state === 'running' && !old.includes(h.pid));
  });
}

function get(stack, port, path, headers = {}) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (data) => (body += data)).on('error', reject).on('end', () => resolve({ status: response.statusCode, body }));
    }).on('error', reject);
  });
}
const api = (stack, id, from, key = KEY) => get(stack, stack.ports.api, `/v1/streams/${id}?from=${from}`, { authorization: `Bearer ${key}` });
const again = (stack, place, key = KEY) => get(stack, stack.ports.wx, `/chat/stream?is_wxapp=0&token=${key}&prompt=x`, { 'last-event-id': place });
const texts = (body) => body.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)).choices?.[0]?.delta?.content ?? '').join('');

/** The rest of an answer over every protocol, from its beginning, its middle and its end. */
async function everywhere(stack, id, text) {
  for (const [name, protocol] of Object.entries(protocols))
    for (const n of [0, middle(text), Buffer.byteLength(text)]) {
      const client = protocol.resumes(stack, `${id}:${n}`);
      await settle(`${name} from ${n}`, client);
      assert.equal(client.error, null, `${name} from ${n}`);
      assert.equal(client.text, tail(text, n), `${name} from ${n}`);
      assert.equal(client.done, true, `${name} from ${n}`);
      client.leave();
    }
}

for (const io of ['auto', 'epoll'])
  describe(`after kill -9 of the daemon, io = ${io}`, () => {
    let stack, good, hidden, long, cut, stopped, loose, tool, running, refused;
    before(async () => {
      stack = await startStack({ transports, model: MODEL, core: { io }, upstream: { models: ['*'] }, app: { history_sync_ms: 20 },
        apps: { other: { keys: [OTHER] } } });
      good = await asked(stack, 'good', 's');
      hidden = await asked(stack, 'hidden', 'h');
      long = await asked(stack, 'long', 's', 'revive-long:text=mixed:tokens=120:pace=0:finish=length');
      cut = await asked(stack, 'cut', 'c', 'revive-cut:text=mixed:tokens=60:pace=1:reset=40');
      stopped = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'stopped' }], session: 'x', model: 'revive-stop:text=mixed:tokens=4000:pace=20' });
      await until('text of it', () => stopped.text.length > 20);
      stopped.ws.send(JSON.stringify({ stop: stopped.id }));
      await settle('its end', stopped);
      stopped.leave();
      tool = await asked(stack, 'tool', 't', 'revive-tool:text=mixed:tokens=20:pace=0:tool=1');
      const body = JSON.stringify({ stream: false, messages: [{ role: 'user', content: 'no session' }] });
      loose = await new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port: stack.ports.api, path: '/v1/chat/completions', method: 'POST', agent: false,
          headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' } }, (response) => {
          let text = '';
          response.on('data', (data) => (text += data)).on('end', () => resolve(JSON.parse(text).id));
        });
        request.on('error', reject);
        request.end(body);
      });
      running = new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'running' }], session: 'r', model: 'revive-run:text=mixed:tokens=4000:pace=20' });
      await until('text of it', () => running.text.length > 20);
      await written(stack, 12);
      const whole = await api(stack, good.id, 0);
      refused = { created: JSON.parse(whole.body.split('\n').find((l) => l.startsWith('data: {')).slice(6)).created };
      await crash(stack);
    });
    after(() => stack?.stop());

    // Goal: a finished answer is served after the crash from any byte, on every protocol, as if nothing had been.
    // Method: three places on each; the model, the time and the finish as they were.  Catches: an answer that is lost, cut, doubled, or that
    // gets another end, another name or another time.
    test('each protocol, from the beginning, the middle and the end', async () => {
      assert.equal(good.text, await stack.mock.text(MODEL, 'good'));
      await everywhere(stack, good.id, good.text);
      const { status, body } = await api(stack, good.id, 0);
      assert.equal(status, 200);
      const first = JSON.parse(body.split('\n').find((l) => l.startsWith('data: {')).slice(6));
      assert.equal(first.id, good.id);
      assert.equal(first.model, MODEL);
      assert.equal(first.created, refused.created);
      assert.match(body, /"finish_reason":"stop"/);
      assert.match((await api(stack, long.id, 0)).body, /"finish_reason":"length"/);
      assert.equal(await value(stack, 'streams_revived'), 2, 'once each: then it is in memory');
    });

    test('Last-Event-ID: the missing tail, else 204', async () => {
      const n = middle(good.text);
      const rest = await again(stack, `${good.id}:${n}`);
      assert.equal(rest.status, 200);
      assert.equal(texts(rest.body), tail(good.text, n));
      assert.match(rest.body, /\[DONE\]/);
      const all = `${good.id}:${Buffer.byteLength(good.text)}`;
      for (const place of [all, `${all}:end`, `${good.id}:${inside(good.text)}`, `chatcmpl-${'0'.repeat(32)}:0`]) assert.equal((await again(stack, place)).status, 204, place);
      assert.equal((await again(stack, `${good.id}:${n}`, OTHER)).status, 204);
    });

    // Goal: how it ended is told as it was: cut, stopped.  Catches: every answer of the history told as complete.
    test('an answer that was cut, and one that was stopped, end as they did', async () => {
      const broken = Api.resumes(stack, `${cut.id}:0`);
      await settle('its end', broken);
      assert.ok(broken.error, 'an error at its end');
      assert.equal(broken.done, false);
      assert.ok(broken.text.length > 0 && cut.text.startsWith(broken.text), 'the text before the break');
      const mini = Wxapp.resumes(stack, `${cut.id}:0`);
      await settle('its end', mini);
      assert.ok(mini.text.startsWith(broken.text) && mini.text.length > broken.text.length && mini.done, 'the reason as a line, as its protocol has it');
      const short = ChatGpt.resumes(stack, `${stopped.id}:0`);
      await settle('its end', short);
      assert.ok(short.text.startsWith(stopped.text) && short.done);
      short.leave();
    });

    test('places that are none: past the end, inside a character', async () => {
      for (const n of [Buffer.byteLength(good.text) + 1, inside(good.text)]) {
        const { status, body } = await api(stack, good.id, n);
        assert.equal(status, 400, body);
        assert.match(body, /invalid_position/);
        const frame = Bmob.resumes(stack, `${good.id}:${n}`);
        await settle('its refusal', frame);
        assert.match(frame.text, /no such position/);
        frame.leave();
      }
    });

    // Goal: who may not have it learns nothing, and nothing is served that is not whole.  Catches: a look without the app; an unfinished
    // answer, one without a session or one with tool calls told as if that were all.
    test('foreign, unknown, unfinished, without a session, with tool calls: no such answer', async () => {
      const unknown = `chatcmpl-${'1'.repeat(32)}`, nowhere = await api(stack, unknown, 0);
      assert.equal(nowhere.status, 404);
      for (const [what, id, key] of [['foreign in memory', good.id, OTHER], ['foreign on disk', hidden.id, OTHER], ['unfinished', running.id], ['without a session', loose], ['tool calls', tool.id], ['malformed', 'x'], ['in capitals', good.id.toUpperCase()]]) {
        const { status, body } = await api(stack, id, 0, key);
        assert.equal(status, 404, `${what}: ${body}`);
        assert.equal(body, nowhere.body, what);
      }
      assert.equal(texts((await api(stack, hidden.id, 0)).body), hidden.text, 'its owner has it');
    });

    // Goal: nobody who watches takes an old answer for a new one.  Method: a watcher of the session, then a resume, then a new question.
    // Catches: a revived answer that is published.
    test('who watches the session hears nothing of it', async () => {
      const watcher = Bmob.watches(stack, 'w'), first = await asked(stack, 'watched', 'w');
      await until('the watcher to have it', () => watcher.text === first.text);
      watcher.leave();
      await written(stack, 2);
      await crash(stack);
      const late = Bmob.watches(stack, 'w');
      await late.opened;
      await everywhere(stack, first.id, first.text);
      const second = await asked(stack, 'second', 'w');
      await until('the watcher to have the new one', () => late.done);
      assert.equal(late.id, second.id);
      assert.equal(late.text, second.text);
      late.leave();
    });

    // Goal: a crowd that comes back after a crash finds each answer read back once.  Catches: one copy a client.
    test('200 at once', async () => {
      await crash(stack);
      const ids = [good, long];
      const all = Array.from({ length: 200 }, (_, i) => Object.values(protocols)[i % 5].resumes(stack, `${ids[i % 2].id}:0`));
      await until('all of them', () => all.every(ended));
      all.forEach((client, i) => {
        assert.equal(client.error, null, `client ${i}`);
        assert.equal(client.text, ids[i % 2].text, `client ${i}`);
        client.leave();
      });
      assert.equal(await value(stack, 'streams_revived'), 2);
    });

    // Goal: what was forgotten is gone: from the disk, and from memory where a resume had put it.  Catches: either of them left.
    test('session forget makes its answers unresumable', async () => {
      assert.equal((await api(stack, good.id, 0)).status, 200);
      const { code, stderr } = await stack.ctl('session', 'forget', 's', '--app', 'shop');
      assert.equal(code, 0, stderr);
      assert.equal((await api(stack, good.id, 0)).status, 404);
      assert.equal((await api(stack, long.id, 0)).status, 404);
      assert.equal((await api(stack, cut.id, 0)).status, 200, 'another session stays');
      await crash(stack);
      assert.equal((await api(stack, good.id, 0)).status, 404);
    });
  });

describe('without a crash', () => {
  // Goal: linger_s bounds memory, not the resume; what came back goes again.  Catches: an answer revived for ever.
  test('after linger_s, again and again', async () => {
    const stack = await startStack({ transports, model: MODEL, core: { linger_s: 1 }, app: { history_sync_ms: 20 } });
    try {
      const answer = await asked(stack, 'linger', 's');
      for (let evicted = 1; evicted <= 2; evicted++) {
        await until('it to be forgotten', async () => (await value(stack, 'journal_evicted')) >= evicted);
        const client = H5.resumes(stack, `${answer.id}:0`);
        await settle('it', client);
        assert.equal(client.text, answer.text);
        await until('its count', async () => (await value(stack, 'streams_revived')) === evicted);
      }
    } finally {
      await stack.stop();
    }
  });

  // Goal: no room in the journal is "busy" for a resume as for a question, in each protocol's form, and over when there is room.
  // Method: a journal of 1 MiB full of answers that run and stall; a finished answer that only the history has; then all leave.
  // Catches: "no such answer" for want of room, after which a client throws its place away; half an answer; room that never comes back.
  test('while the journal is full: busy, counted; afterwards the answer', async () => {
    const stack = await startStack({ transports, model: MODEL, core: { journal_mb: 1, linger_s: 1 }, upstream: { max_concurrent: 2000 },
      app: { history_sync_ms: 20, orphan_grace_ms: 50 } });
    try {
      const answer = await asked(stack, 'full', 's'), running = [];
      await until('it to be forgotten', async () => (await value(stack, 'journal_evicted')) >= 1);
      const run = (i, model) => running.push(new Bmob().connect(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { messages: [{ role: 'user', content: 'q' }], session: `run-${i}`, model }));
      for (let i = 0; i < 25; i++) run(i, 'fill:text=ascii:bytes=1000:tokens=40:pace=0:stall=30');
      await until('them to stall', () => running.every((c) => c.bytes >= 30000));
      while ((await value(stack, 'streams_refused')) === 0) {
        run(running.length, 'fill:text=ascii:tokens=4:pace=0:stall=2');
        await until('it to run, or its refusal', () => running.at(-1).bytes > 0);
        assert.ok(running.length < 1100);
      }
      const full = await value(stack, 'journal_full');
      const busy = { Bmob: /^Too many requests, try again later\.$/, ChatGpt: /Too many requests/, Wxapp: /"code":102/, H5: /"code":102/ };
      for (const [name, words] of Object.entries(busy)) {
        const client = protocols[name].resumes(stack, `${answer.id}:0`);
        await settle(`the refusal of ${name}`, client);
        assert.match(client.error?.message ?? client.text, words, name);
        client.leave();
      }
      const { status, body } = await api(stack, answer.id, 0);
      assert.equal(status, 503, body);
      assert.match(body, /overloaded/);
      assert.equal(await value(stack, 'journal_full'), full + 5);
      assert.equal(await value(stack, 'streams_revived'), 0);
      for (const client of running) client.leave();
      await until('room', async () => (await api(stack, answer.id, 0)).status === 200);
      await everywhere(stack, answer.id, answer.text);
    } finally {
      await stack.stop();
    }
  });

  test('after umbelctl core upgrade', async () => {
    const stack = await startStack({ transports, model: MODEL, app: { history_sync_ms: 20 } });
    try {
      const answer = await asked(stack, 'upgrade', 's');
      const [{ pid }] = await stack.list('host list', 'hosts');
      const { code, stderr } = await stack.ctl('core', 'upgrade', '--wait', '5');
      assert.equal(code, 0, stderr);
      await until('new processes', async () => {
        const hosts = await stack.list('host list', 'hosts');
        return hosts.length === 4 && hosts.every((h) => h.state === 'running' && h.pid !== pid);
      });
      await everywhere(stack, answer.id, answer.text);
    } finally {
      await stack.stop();
    }
  });

  test('an app that keeps no history has nothing to resume after a crash', async () => {
    const stack = await startStack({ transports, model: MODEL, app: { history: 'off' } });
    try {
      const answer = await asked(stack, 'off', 's');
      await crash(stack);
      assert.equal((await api(stack, answer.id, 0)).status, 404);
    } finally {
      await stack.stop();
    }
  });
});

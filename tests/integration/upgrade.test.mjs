// New processes take the place of a transport's while clients are there: no answer is interrupted, no byte lost or doubled, no
// connection refused; a bad new plugin changes nothing.
// sanitizers: no (hosts are watched for seconds in each case: too slow there)
import { test, describe, before, after, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import WebSocket from 'ws';
import { newer, restore, bad, newHost } from './upgrade_support.mjs';

const { startStack, until, KEY } = await import('./support.mjs');
const { Bmob, ChatGpt, Wxapp, H5, Api, transports } = await import('./clients.mjs');
const { startIm, noViolations } = await import('./im_support.mjs');

const MODEL = 'up:text=mixed:tokens=250:pace=25'; // six seconds: over the five in which a new process is watched
const LONGER = 'up:text=mixed:tokens=400:pace=25';

class ApiAsk extends Api {
  static asks(stack, content) {
    const client = new Api();
    const body = JSON.stringify({ model: stack.model, stream: true, messages: [{ role: 'user', content }] });
    client.request = http.request({ host: '127.0.0.1', port: stack.ports.api, path: '/v1/chat/completions', method: 'POST', agent: false,
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' } }, (response) => {
      client.status = response.statusCode;
      response.on('data', (data) => client.take(data));
      response.on('error', (error) => (client.error ??= error));
      response.on('end', () => (client.ended = true));
    });
    client.request.on('error', (error) => (client.error ??= error));
    client.request.end(body);
    return client;
  }
}
const query = (fields) => `/chat/stream?${new URLSearchParams({ token: KEY, ...fields })}`;
const ways = {
  bmob: { transport: 'bmob', plugin: 'ws-bmob', ask: (stack, content) => Bmob.asks(stack, content) },
  cgws: { transport: 'cgws', plugin: 'ws-chatgpt',
    ask: (stack, content) => new ChatGpt().connect(`ws://127.0.0.1:${stack.ports.cgws}/`, { seq: 'q', data: { messages: [{ role: 'user', content }] } }) },
  mini: { transport: 'wx', plugin: 'http-chunked-wxapp', ask: (stack, content) => new Wxapp().connect(stack.ports.wx, query({ is_wxapp: 1, prompt: content })) },
  h5: { transport: 'wx', plugin: 'http-chunked-wxapp', ask: (stack, content) => new H5().connect(stack.ports.wx, query({ is_wxapp: 0, prompt: content })) },
  api: { transport: 'api', plugin: 'openai-api', ask: (stack, content) => ApiAsk.asks(stack, content) },
};

/** Connections as fast as they go: counts what came of them. */
function storm(port) {
  const it = { done: 0, bad: [], stopped: false };
  const one = () => {
    if (it.stopped) return;
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.end();
      it.done++;
    });
    socket.on('error', (error) => it.bad.push(error.code));
    socket.on('close', () => setImmediate(one));
    socket.resume();
  };
  for (let i = 0; i < 8; i++) one();
  it.stop = () => (it.stopped = true);
  return it;
}

const pids = async (stack, transport) => (await stack.list('host list', 'hosts')).filter((h) => h.transport === transport && !h.name.includes('~')).map((h) => h.pid);
const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const upgrade = (stack, name) => stack.ctl('plugin', 'upgrade', name, '--json');

/** Asks on, again and again, until told to stop: each answer must be whole. */
function visitors(stack, way) {
  const it = { served: 0, bad: [], stopped: false };
  const run = async (n) => {
    for (let i = 0; !it.stopped; i++) {
      const content = `visitor ${n}.${i}`;
      const client = way.ask(stack, content);
      await until(`the answer of ${content}`, () => client.done || client.error, { timeout: 60000 });
      if (client.error) it.bad.push(String(client.error));
      else if (client.text !== (await stack.mock.text(stack.model, content))) it.bad.push(`${content}: other text`);
      else it.served++;
      client.ws?.close();
    }
  };
  it.end = Promise.all(Array.from({ length: 3 }, (_, n) => run(n)));
  it.stop = () => {
    it.stopped = true;
    return it.end;
  };
  return it;
}

async function whole(stack, clients) {
  for (const [content, client] of clients) {
    await until(`the end of ${content}`, () => client.done || client.error, { timeout: 60000 });
    assert.equal(client.error, null, content);
    assert.equal(client.text, await stack.mock.text(stack.model, content), `each byte once: ${content}`);
  }
}

for (const io of ['auto', 'epoll'])
  describe(`with clients in the middle of answers, io = ${io}`, () => {
    let stack;
    before(async () => {
      stack = await startStack({ transports: Object.fromEntries(Object.entries(transports).map(([k, v]) => [k, { ...v, drain_ms: 12000 }])), model: MODEL, upstream: { models: [MODEL] }, core: { io } });
      stack.model = MODEL;
    });
    after(() => stack?.stop());
    afterEach(() => Object.values(ways).forEach((way) => restore(way.plugin)));

    // Goal: clients that are answered, clients that come and connections without a word notice nothing of an upgrade.
    // Method: answers that outlive the change, visitors and a storm of connections all the while.
    // Catches: a closed listening socket, an old process that stops before its answers, two processes that serve one client.
    for (const [name, way] of Object.entries(io === 'auto' ? ways : { bmob: ways.bmob }))
      test(`${name}: every answer whole, nobody refused, the old process ends`, async () => {
        const [old] = await pids(stack, way.transport);
        const clients = new Map(Array.from({ length: 8 }, (_, i) => [`${name} ${i}`, way.ask(stack, `${name} ${i}`)]));
        await until('all to be answered', () => [...clients.values()].every((c) => c.text.length > 20));
        const weather = storm(stack.ports[way.transport]), crowd = visitors(stack, way);
        newer(way.plugin);
        const { code, stdout, stderr } = await upgrade(stack, way.transport);
        assert.equal(code, 0, stderr + stdout);
        const events = JSON.parse(stdout).events.map((e) => e.event);
        assert.ok(events.includes('watching') && events.at(-1) === 'taken', stdout);
        const [fresh] = await pids(stack, way.transport);
        assert.notEqual(fresh, old);
        await whole(stack, clients);
        await crowd.stop();
        weather.stop();
        assert.deepEqual(crowd.bad, []);
        assert.ok(crowd.served > 0);
        assert.deepEqual(weather.bad, []);
        assert.ok(weather.done > 100, `${weather.done} connections`);
        for (const client of clients.values()) client.ws?.close();
        await until('the old process to end', () => !alive(old), { timeout: 30000 });
        await until('its row to go', async () => (await stack.list('host list', 'hosts')).every((h) => !h.name.includes('~')));
        const list = JSON.parse((await stack.ctl('plugin', 'list', '--json')).stdout);
        assert.equal(list.find((p) => p.name === way.plugin).version, '0.1.9');
      });
  });

describe('idle clients', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 8000 }, cgws: { plugin: 'ws-chatgpt', anonymous_app: 'shop', drain_ms: 8000 } } });
  });
  after(() => stack?.stop());

  // Goal: idle WebSockets are told 1001, one after the other.  Method: 100 of them, the times of their ends.
  // Catches: all at once (a herd), none before the deadline, another code.
  test('get 1001, spread over half of drain_ms, and can come back at once', async () => {
    const ends = [], sockets = Array.from({ length: 100 }, () => new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`));
    await Promise.all(sockets.map((ws) => new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject))));
    for (const ws of sockets) ws.on('close', (code) => ends.push([code, Date.now()]));
    assert.equal((await stack.ctl('restart', 'bmob')).code, 0);
    await until('all ends', () => ends.length === 100, { timeout: 30000 });
    assert.ok(ends.every(([code]) => code === 1001), JSON.stringify(ends.slice(0, 3)));
    assert.ok(ends.at(-1)[1] - ends[0][1] > 2000, `within ${ends.at(-1)[1] - ends[0][1]} ms`);
    const again = Bmob.asks(stack, 'again');
    await until('an answer', () => again.done || again.error);
    assert.equal(again.error, null);
    again.ws.close();
  });
});

describe('a bad new plugin changes nothing', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 10000 } }, model: 'up:text=mixed:tokens=60:pace=20' });
    stack.model = 'up:text=mixed:tokens=60:pace=20';
  });
  after(() => stack?.stop());
  afterEach(() => restore('ws-bmob'));

  // Goal: whatever is wrong with the new file, the old processes serve on and the operator is told why.
  // Method: one bad plugin a way of being bad, visitors and a storm all the while, the process number before and after.
  // Catches: stopping the old before the new has proven good; waiting for ever for one that hangs.
  for (const [how, words, served] of [
    ['refused', /ABI 2/, true],
    ['constructor', /ended without a word|signal 6|Abort/, true],
    ['open', /status 1|signal 9/, true], // 9: a sanitizer's last words take so long that it is helped to its end
    ['crash', /signal 6/, true],
    ['hang', /not ready within its time/, true],
    ['later', /signal 14/, false], // it accepts for two seconds and answers nobody: who came to it then is lost
  ])
    test(how, async () => {
      const before = await pids(stack, 'bmob');
      const mid = Bmob.asks(stack, `mid ${how}`);
      await until('it to be answered', () => mid.text.length > 5 || mid.error);
      const weather = storm(stack.ports.bmob), crowd = served ? visitors(stack, ways.bmob) : null;
      bad('ws-bmob', how);
      const { code, stdout, stderr } = await upgrade(stack, 'ws-bmob');
      assert.equal(code, 1, stdout);
      assert.match(stdout + stderr, words);
      weather.stop();
      await crowd?.stop();
      assert.deepEqual(crowd?.bad ?? [], []);
      assert.deepEqual(weather.bad.filter((code) => code === 'ECONNREFUSED'), []);
      await whole(stack, new Map([[`mid ${how}`, mid]]));
      mid.ws.close();
      assert.deepEqual(await pids(stack, 'bmob'), before, 'the same process');
      const now = Bmob.asks(stack, `after ${how}`);
      await whole(stack, new Map([[`after ${how}`, now]]));
      now.ws.close();
      await until('no other process', async () => (await stack.list('host list', 'hosts')).length === 1);
      assert.equal((await stack.list('host list', 'hosts'))[0].state, 'running');
    });
});

describe('more than one', () => {
  let stack;
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 15000, workers: 3 } }, model: LONGER });
    stack.model = LONGER;
  });
  after(() => stack?.stop());

  // Goal: a change while an earlier one still drains, with several workers, also of umbel-host itself.
  // Method: two upgrades in a row under answers that outlive both.  Catches: names and pages that collide, sockets lost with a worker.
  test('twice in a row, three workers, a new umbel-host', async () => {
    const clients = new Map(Array.from({ length: 12 }, (_, i) => [`twice ${i}`, Bmob.asks(stack, `twice ${i}`)]));
    await until('all to be answered', () => [...clients.values()].every((c) => c.text.length > 5));
    const weather = storm(stack.ports.bmob);
    newHost();
    const first = await pids(stack, 'bmob');
    assert.equal((await upgrade(stack, 'bmob')).code, 0);
    const second = await upgrade(stack, 'bmob');
    assert.equal(second.code, 0, second.stderr);
    const hosts = await stack.list('host list', 'hosts');
    assert.ok(hosts.filter((h) => h.state === 'draining').length >= 3, JSON.stringify(hosts.map((h) => [h.name, h.state])));
    assert.equal(new Set(hosts.map((h) => h.name)).size, hosts.length, 'no name twice');
    assert.equal((await pids(stack, 'bmob')).filter((pid) => first.includes(pid)).length, 0);
    await whole(stack, clients);
    weather.stop();
    assert.deepEqual(weather.bad, []);
    for (const client of clients.values()) client.ws.close();
    await until('the old ones to end', async () => (await stack.list('host list', 'hosts')).length === 3, { timeout: 40000 });
  });

  test('a second command meanwhile is refused; nothing is disturbed', async () => {
    const one = stack.ctl('restart', 'bmob');
    await until('it to be under way', async () => (await stack.list('host list', 'hosts')).length > 3);
    const two = await stack.ctl('restart', 'bmob');
    assert.equal(two.code, 1);
    assert.match(two.stderr, /already/);
    assert.equal((await one).code, 0);
    assert.equal((await stack.ctl('restart', 'nobody')).code, 1);
  });
});

describe('out of service and back', () => {
  let stack;
  const model = 'up:text=mixed:tokens=60:pace=25';
  before(async () => {
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 10000 }, api: { plugin: 'openai-api' } }, model });
    stack.model = model;
  });
  after(() => stack?.stop());

  const refused = (port) => new Promise((resolve) => net.connect(port, '127.0.0.1').on('connect', function () { this.destroy(); resolve(false); }).on('error', (e) => resolve(e.code === 'ECONNREFUSED')));

  test('drain: refuses at once, ends its answers, is drained; start: serves; others are not touched', async () => {
    const mid = Bmob.asks(stack, 'drained');
    await until('it to be answered', () => mid.text.length > 5);
    const done = stack.ctl('drain', 'bmob');
    await until('refusal', () => refused(stack.ports.bmob));
    await whole(stack, new Map([['drained', mid]]));
    assert.equal((await done).code, 0);
    const row = (await stack.list('host list', 'hosts')).find((h) => h.transport === 'bmob');
    assert.equal(row.state, 'drained');
    assert.equal((await upgrade(stack, 'bmob')).code, 1, 'drained: start it');
    assert.equal(await refused(stack.ports.api), false);
    assert.equal((await stack.ctl('start', 'bmob')).code, 0);
    await until('it to serve', async () => !(await refused(stack.ports.bmob)));
    const now = Bmob.asks(stack, 'back');
    await whole(stack, new Map([['back', now]]));
    now.ws.close();
    assert.equal((await stack.ctl('drain', 'nobody')).code, 1);
  });
});

describe('im: one process at a time', () => {
  // Goal: an upgrade in the middle of IM answers: each message finished once with the whole text, each question asked once.
  // Method: users whose answers run, users who write during the change; the service's own rules at the end.
  // Catches: both processes taking a webhook, or both sending one answer; questions asked twice.
  for (const times of [1, 3])
    test(`answers and questions during ${times} upgrade${times > 1 ? 's' : ''}`, async () => {
      const model = 'im:text=count:tokens=300:pace=25';
      const stack = await startIm({ model, app: { orphan_grace_ms: 50 }, bots: { tea: {}, chunks: { delivery: 'tim_stream' }, pieces: { delivery: 'stream' } } });
      try {
        const users = [];
        const write = async (user, bot) => {
          users.push([user, `@RBT#${bot}`]);
          const hook = await stack.tim.write(user, `question of ${user}`, `@RBT#${bot}`);
          assert.equal(hook.status, 200, JSON.stringify(hook));
        };
        for (const bot of ['tea', 'chunks', 'pieces']) for (let i = 0; i < 3; i++) await write(`${bot}-${i}`, bot);
        await until('all to have some text', async () => (await Promise.all(users.map(([u, b]) => stack.tim.answers(u, b)))).every((l) => l[0]?.text?.length > 0));
        newer('im-custom-message');
        for (let n = 0; n < times; n++) {
          const changing = upgrade(stack, 'im');
          let over = false;
          changing.then(() => (over = true));
          for (let i = 0; !over && i < 15; i++) {
            await write(`during-${n}-${i}`, 'tea');
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
          const { code, stdout, stderr } = await changing;
          assert.equal(code, 0, stdout + stderr + stack.daemon.lines.slice(-3000));
        }
        for (const [user, bot] of users) {
          if (bot === '@RBT#chunks') { // the rest follows in a new message, the service ends the one before by itself
            const truth = await stack.mock.text(model, `question of ${user}`);
            await until(`the text for ${user}`, async () => (await stack.tim.answers(user, bot)).map((m) => m.text).join('') === truth, { timeout: 60000 });
            continue;
          }
          const list = await stack.tim.finished(user, 1, { bot });
          assert.equal(list.map((m) => m.text).join(''), await stack.mock.text(model, `question of ${user}`), user);
        }
        const asked = (await stack.mock.asked('im')).length;
        assert.equal(asked, users.length, 'each question once');
        await noViolations(assert, stack.tim);
      } finally {
        restore('im-custom-message');
        await stack.stop();
      }
    });

  test('a new plugin that does not open: the old one is started again and finishes everything', async () => {
    const model = 'im:text=count:tokens=200:pace=25';
    const stack = await startIm({ model });
    try {
      await stack.tim.write('u', 'q');
      await until('some text', async () => (await stack.tim.answers('u'))[0]?.text?.length > 0);
      bad('im-custom-message', 'open');
      const { code } = await upgrade(stack, 'im');
      assert.equal(code, 1);
      const [message] = await stack.tim.finished('u');
      assert.equal(message.text, await stack.mock.text(model, 'q'));
      await noViolations(assert, stack.tim);
    } finally {
      restore('im-custom-message');
      await stack.stop();
    }
  });

  // Goal: a newcomer that opens, and dies while it is watched, is not kept: the transport is what it was, and nobody has to do anything.
  // Method: answers before it, one that runs, a plugin that ends after two seconds, an answer afterwards; the versions that run.
  // Catches: the old one gone with its file; a message that stays unfinished, is finished twice or is asked twice.
  test('a new plugin that dies while it is watched: the old one serves on and finishes everything', async () => {
    const model = 'im:text=count:tokens=180:pace=25';
    const stack = await startIm({ model });
    try {
      for (let i = 0; i < 3; i++) await stack.tim.write(`u${i}`, `q${i}`);
      await until('some text', async () => (await Promise.all([0, 1, 2].map((i) => stack.tim.answers(`u${i}`)))).every((l) => l[0]?.text?.length > 0));
      bad('im-custom-message', 'later');
      const { code, stdout, stderr } = await upgrade(stack, 'im');
      assert.equal(code, 1, stdout);
      assert.match(stdout + stderr, /signal 14/);
      for (let i = 0; i < 3; i++) {
        const [message] = await stack.tim.finished(`u${i}`);
        assert.equal(message.text, await stack.mock.text(model, `q${i}`));
      }
      await stack.tim.write('late', 'after');
      const [message] = await stack.tim.finished('late');
      assert.equal(message.text, await stack.mock.text(model, 'after'));
      const [host, ...more] = await stack.list('host list', 'hosts');
      assert.deepEqual([host.name, host.state, more], ['im.0', 'running', []]);
      const version = async () => (await stack.list('plugin list')).find((p) => p.name === 'im-custom-message').version;
      assert.equal(await version(), '0.1.0');
      process.kill(host.pid, 'SIGKILL'); // the file at its path is still the other one
      await until('it to run again', async () => (await stack.list('host list', 'hosts')).some((h) => h.state === 'running' && h.pid !== host.pid));
      await stack.tim.write('later', 'after a crash');
      assert.equal((await stack.tim.finished('later'))[0].text, await stack.mock.text(model, 'after a crash'));
      newer('im-custom-message');
      assert.equal((await upgrade(stack, 'im')).code, 0);
      assert.equal(await version(), '0.1.9');
      assert.equal((await stack.mock.asked('im')).length, 5, 'each question once');
      await noViolations(assert, stack.tim);
    } finally {
      restore('im-custom-message');
      await stack.stop();
    }
  });
});

describe('a changed configuration', () => {
  // Goal: a reload that gives a transport another address hands over, too, and two that follow each other do not meet.
  // Method: the address is changed under an answer; a second reload and an upgrade while the first is under way.
  // Catches: the old address still held, an answer cut, two hand-overs of one transport at a time.
  test('another address, a reload while processes are being replaced, SIGHUP', async () => {
    const { freePort } = await import('./support.mjs');
    const fs = await import('node:fs');
    const model = 'up:text=mixed:tokens=250:pace=30';
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 10000 } }, model });
    stack.model = model;
    try {
      const was = stack.ports.bmob, now = await freePort(), text = fs.readFileSync(stack.config, 'utf8');
      const mid = Bmob.asks(stack, 'moving');
      await until('it to be answered', () => mid.text.length > 5);
      fs.writeFileSync(stack.config, text.replace(`127.0.0.1:${was}`, `127.0.0.1:${now}`));
      const reload = stack.ctl('reload');
      await until('it to be under way', async () => (await stack.list('host list', 'hosts')).length > 1);
      assert.equal((await stack.ctl('restart', 'bmob')).code, 1, 'one at a time');
      stack.daemon.kill('SIGHUP');
      const { code, stderr } = await reload;
      assert.equal(code, 0, stderr);
      stack.ports.bmob = now;
      const fresh = Bmob.asks(stack, 'moved');
      await whole(stack, new Map([['moving', mid], ['moved', fresh]]));
      await until('the old address to refuse', () => new Promise((resolve) => net.connect(was, '127.0.0.1').on('connect', function () { this.destroy(); resolve(false); }).on('error', () => resolve(true))));
      const other = net.createServer();
      await until('the old address to be free', () => new Promise((resolve) => other.once('error', () => resolve(false)).listen(was, '127.0.0.1', () => other.close(() => resolve(true)))));
      mid.ws.close();
      fresh.ws.close();
      await until('one process', async () => (await stack.list('host list', 'hosts')).length === 1);
      assert.equal((await stack.list('host list', 'hosts'))[0].state, 'running');
    } finally {
      await stack.stop();
    }
  });
});

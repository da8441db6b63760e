// Tencent IM bots through umbeld: mock-tim is the service and the users, everything between is real.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import WebSocket from 'ws';
import { until, KEY } from './support.mjs';
import { Bmob, Wxapp } from './clients.mjs';
import { startIm, noViolations, TEA } from './im_support.mjs';

const SHORT = 'short:text=demo:pace=10';
const SLOW = 'slow:text=count:tokens=100000:pace=25';
const MIDDLE = 'middle:text=count:tokens=150:pace=20';
const LONG = 'long:text=mixed:tokens=9000:pace=0:seed=5';
const CODE_AFTER = 'broken:text=count:tokens=200:pace=20:reset=60';

const joined = (list) => list.filter((m) => m.src !== 23).map((m) => m.text).join('');
const bot = (name) => `@RBT#${name}`;

describe('one bot of each kind', () => {
  let stack, tim;
  before(async () => {
    stack = await startIm({
      model: SHORT,
      app: { orphan_grace_ms: 200 },
      apps: Object.fromEntries(Object.entries({
        slow: SLOW, middle: MIDDLE, long: LONG, broken: CODE_AFTER, refused: 'refused:status=500', empty: 'empty:text=empty',
        silent: 'silent:stall=first', echo: 'echo:text=echo',
      }).map(([name, model]) => [name, { model }])),
      bots: {
        tea: {}, pieces: { delivery: 'stream' }, chunks: { delivery: 'tim_stream' }, plain: { delivery: 'text' },
        slow: { app: 'slow' }, middle: { app: 'middle' }, long: { app: 'long' }, longpieces: { app: 'long', delivery: 'stream' },
        longplain: { app: 'long', delivery: 'text' }, longchunks: { app: 'long', delivery: 'tim_stream' },
        broken: { app: 'broken' }, refused: { app: 'refused' }, empty: { app: 'empty' }, silent: { app: 'silent' }, echo: { app: 'echo' },
      },
    });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  for (const [name, kind] of [['tea', 'custom'], ['pieces', 'custom'], ['chunks', 'stream'], ['plain', 'text']])
    test(`${name}: the whole text, in one message that grows and ends`, async () => {
      const hook = await tim.write('u-1', 'Which tea for rain?', bot(name));
      assert.equal(hook.status, 200);
      assert.deepEqual(JSON.parse(hook.body), { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 });
      const [message, ...more] = await tim.finished('u-1', 1, { bot: bot(name) });
      assert.equal(more.length, 0);
      assert.equal(message.kind, kind);
      assert.equal(message.text, await stack.mock.text(SHORT, 'Which tea for rain?'));
      if (name !== 'plain') assert.ok(message.versions >= 2, 'it grows');
      await noViolations(assert, tim);
    });

  for (const name of ['long', 'longpieces', 'longplain', 'longchunks'])
    test(`${name}: an answer of many messages, cut at line ends, none over 11 KiB`, async () => {
      await tim.write('u-2', 'At length, please', bot(name));
      const truth = await stack.mock.text(LONG, 'At length, please');
      const list = await until('the whole text', async () => {
        const all = await tim.answers('u-2', bot(name));
        return all.every((m) => m.finished) && joined(all).length >= truth.length && all;
      }, { timeout: 60000 });
      if (!truth.includes('```') && !truth.includes('~~~')) assert.equal(joined(list), truth);
      assert.ok(name === 'longchunks' || list.length > 2);
      for (const message of name === 'longchunks' ? [] : list) {
        assert.ok(Buffer.byteLength(JSON.stringify(message.body)) <= 11 * 1024, `${Buffer.byteLength(JSON.stringify(message.body))} bytes`);
        if (message !== list.at(-1)) assert.match(message.text, /\n$/);
      }
      await noViolations(assert, tim);
    });

  test('the stop button: key of the running answer', async () => {
    await tim.write('u-3', 'go on', bot('slow'));
    await until('some text', async () => (await tim.answers('u-3', bot('slow')))[0]?.versions >= 2);
    await tim.press('u-3', { bot: bot('slow') });
    const [message, ...more] = await tim.finished('u-3', 1, { bot: bot('slow') });
    assert.equal(more.length, 0, 'no error message');
    assert.ok((await stack.mock.text(SLOW, 'go on')).startsWith(message.text));
    await noViolations(assert, tim);
  });

  for (const [what, more] of [['unknown key', { key: '1_2_3' }], ['undefined key', { key: 'undefined_undefined_1' }],
    ['by the other callback', { after: true }]])
    test(`the stop button: ${what}`, async () => {
      const user = `u-stop-${what.replaceAll(' ', '-')}`.slice(0, 30);
      await tim.write(user, 'go on', bot('slow'));
      await until('some text', async () => (await tim.answers(user, bot('slow')))[0]?.versions >= 1);
      await tim.press(user, { bot: bot('slow'), ...more });
      const list = await tim.finished(user, 1, { bot: bot('slow') });
      assert.equal(list.length, 1);
    });

  test('the stop button before the first text: one short finished message; nothing running: nothing happens', async () => {
    await tim.write('u-4', 'think', bot('silent'));
    await until('the question to be running', async () => (await stack.list('stream list')).some((s) => s.session === 'u-4'));
    await tim.press('u-4', { bot: bot('silent'), key: 'undefined_undefined_9' });
    const [message] = await tim.finished('u-4', 1, { bot: bot('silent') });
    assert.equal(message.text, 'Stopped.');
    assert.equal(message.src, 2);
    const stops = await stack.count('im_stops');
    await tim.press('u-4', { bot: bot('silent') });
    await until('the second stop', async () => (await stack.count('im_stops')) === stops + 1);
    assert.equal((await tim.answers('u-4', bot('silent'))).length, 1);
  });

  test('a question during an answer waits, and the newest wins', async () => {
    await tim.write('u-5', 'first', bot('middle'));
    await until('some text', async () => (await tim.answers('u-5', bot('middle')))[0]?.versions >= 1);
    await tim.write('u-5', 'second', bot('middle'));
    await tim.write('u-5', 'third', bot('middle'));
    const list = await tim.finished('u-5', 2, { bot: bot('middle') });
    assert.equal(list.length, 2);
    const asked = (await stack.mock.requests(MIDDLE)).requests.length;
    assert.equal(asked, 2, 'the one in between was never asked');
    assert.ok(list[1].made_ms >= list[0].last_ms, 'one after the other');
  });

  test('errors: before the text only the error message, after it the finished text and then the error', async () => {
    await tim.write('u-6', 'x', bot('refused'));
    const [only, ...none] = await tim.finished('u-6', 1, { bot: bot('refused') });
    assert.equal(none.length, 0);
    assert.equal(only.src, 23);
    assert.equal(only.text, 'The model service failed, try again later.');
    await tim.write('u-6', 'x', bot('broken'));
    const list = await tim.finished('u-6', 2, { bot: bot('broken') });
    assert.deepEqual(list.map((m) => m.src), [2, 23]);
    assert.ok(list[0].text.length > 0 && (await stack.mock.text('broken:text=count:tokens=200', 'x')).startsWith(list[0].text));
    await tim.write('u-6', 'x', bot('empty'));
    const [empty] = await tim.finished('u-6', 1, { bot: bot('empty') });
    assert.equal(empty.src, 23);
    await noViolations(assert, tim);
  });

  test('groups: the mention is not part of the question; stream mode falls back; two users at once', async () => {
    for (const [group, name] of [['@TGS#1', 'echo'], ['@TGS#2', 'pieces'], ['@TGS#3', 'chunks'], ['@TGS#4', 'plain']]) {
      await tim.post('/mock/group', { user: 'u-7', group, bot: bot(name), text: 'which tea?' });
      await tim.post('/mock/group', { user: 'u-8', group, bot: bot(name), text: 'which tea?' });
      const list = await until('both answers', async () => {
        const all = await tim.inGroup(group);
        return all.length === 2 && all.every((m) => m.finished) && all;
      });
      const truth = name === 'echo' ? 'which tea?' : await stack.mock.text(SHORT, 'which tea?');
      for (const message of list) assert.equal(message.text, truth);
    }
    await noViolations(assert, tim);
  });

  test('the session of a private chat is the user, of the first bot of an app', async () => {
    const streams = await stack.list('stream list');
    assert.ok(streams.some((s) => s.session === 'u-4' && s.app === 'silent'));
    assert.ok(streams.some((s) => s.session === 'u-1'));
    assert.ok(streams.some((s) => s.session === 'pieces:u-1'));
    assert.ok(streams.some((s) => s.session === 'group:@TGS#1'));
  });

  describe('the webhook', () => {
    const url = () => `http://127.0.0.1:${stack.ports.im}/tim/callback`;
    const sign = (token, time) => crypto.createHash('sha256').update(token + time).digest('hex');
    const body = (text, key, more = {}) => JSON.stringify({
      CallbackCommand: 'Bot.OnC2CMessage', From_Account: 'u-hook', To_Account: TEA, MsgSeq: 1, MsgRandom: 2, MsgTime: 3, MsgKey: key,
      SendMsgResult: 0, MsgBody: [{ MsgType: 'TIMTextElem', MsgContent: { Text: text } }], ...more,
    });
    const call = (data, { time = Math.floor(Date.now() / 1000), app = 1400000000, token = 'tea-token', signature = sign(token, time), path = '' } = {}) =>
      fetch(`${url()}${path}?SdkAppid=${app}&CallbackCommand=Bot.OnC2CMessage&contenttype=json&ClientIP=1.2.3.4&OptPlatform=Web&Sign=${signature}&RequestTime=${time}`,
        { method: 'POST', body: data });

    test('a wrong signature, an old one, another app: 403, and nothing is asked', async () => {
      const before = await stack.count('im_questions');
      const now = Math.floor(Date.now() / 1000);
      assert.equal((await call(body('x', 'k1'), { token: 'other' })).status, 403);
      assert.equal((await call(body('x', 'k1'), { signature: '' })).status, 403);
      assert.equal((await call(body('x', 'k1'), { time: now - 120 })).status, 403);
      assert.equal((await call(body('x', 'k1'), { time: now + 120 })).status, 403);
      assert.equal((await call(body('x', 'k1'), { app: 1400000001 })).status, 403);
      assert.equal((await call(body('x', 'k1'), { app: '1400000000x' })).status, 403);
      assert.equal((await fetch(url(), { method: 'POST', body: body('x', 'k1') })).status, 403);
      assert.equal((await call(body('x', 'k1'), { path: '/other' })).status, 404);
      assert.equal((await fetch(url())).status, 405);
      assert.equal(await stack.count('im_questions'), before);
    });

    test('a replay is harmless; bots, unsent messages, strangers and nonsense are dropped', async () => {
      const before = await stack.count('im_questions');
      const first = await tim.write('u-replay', 'once', bot('echo'));
      assert.equal(first.status, 200);
      for (let i = 0; i < 3; i++) assert.equal((await tim.post('/mock/replay')).status, 200);
      assert.equal((await tim.post('/mock/replay', { sign: '0'.repeat(64) })).status, 403);
      assert.equal((await tim.post('/mock/replay', { sdkappid: '7' })).status, 403);
      assert.equal((await call(body('x', 'k2', { From_Account: '@RBT#two' }))).status, 200);
      assert.equal((await call(body('x', 'k3', { SendMsgResult: 20010 }))).status, 200);
      assert.equal((await call(body('x', 'k4', { To_Account: '@RBT#unknown' }))).status, 200);
      assert.equal((await call(body('x', 'k5', { CallbackCommand: 'State.StateChange' }))).status, 200);
      assert.equal((await call('not json')).status, 200);
      assert.equal((await call('{"MsgBody":')).status, 200);
      const list = await tim.finished('u-replay', 1, { bot: bot('echo') });
      assert.equal(list.length, 1);
      assert.equal(await stack.count('im_questions'), before + 1);
      assert.equal(await stack.count('im_repeated'), 3);
    });

    test('a body that is too large: 413; a slow model does not slow the webhook', async () => {
      assert.equal((await call('x'.repeat(70000))).status, 413);
      const slowest = Math.max(...await Promise.all(Array.from({ length: 50 }, async (_, i) => (await tim.write(`u-slow-${i}`, 'x', bot('silent'))).ms)));
      assert.ok(slowest < 2000, `${slowest} ms`);
      for (let i = 0; i < 50; i++) await tim.press(`u-slow-${i}`, { bot: bot('silent'), key: 'undefined_undefined_1' });
      for (let i = 0; i < 50; i++) await tim.finished(`u-slow-${i}`, 1, { bot: bot('silent') });
    });
  });

  test('no secret in the log, the lists or the counters', async () => {
    const lines = stack.daemon.lines + (await stack.ctl('counters')).stdout + (await stack.ctl('host', 'list', '--json')).stdout;
    for (const secret of ['mock-tim-key', 'tea-token', 'usersig=', 'eJ']) assert.ok(!lines.includes(secret), secret);
  });
});

describe('every class of failure has its own action', { concurrency: 8 }, () => {
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MIDDLE, app: { orphan_grace_ms: 200 }, im: { snapshot_ms: 200, give_up_s: 20, call_timeout_ms: 700 }, bots: { tea: {}, pieces: { delivery: 'stream' }, chunks: { delivery: 'tim_stream' } } });
    tim = stack.tim;
  });
  after(() => stack?.stop());
  let users = 0;
  const ask = async (rule, name = 'tea') => {
    const user = `v-${++users}`;
    await tim.inject({ user, ...rule });
    await tim.write(user, 'x', bot(name));
    return user;
  };
  const truth = () => stack.mock.text(MIDDLE, 'x');

  for (const [counter, what] of [['transient', '20004'], ['transient', '91000'], ['rate', '60007'], ['rate', '22006'], ['signature', '70001'], ['conflict', '20027'],
    ['configuration', '70009'], ['relation', '20009'], ['other', '99999'], ['unclear', 'lost'], ['unclear', 'disconnect'],
    ['unclear', 'http:502'], ['unclear', 'slow:1500']])
    test(`${what} for one change of a message: it heals`, async () => {
      const before = await stack.count(`im_calls_${counter}`);
      const user = await ask({ what: [what], count: 1, command: 'openim/modify_c2c_msg' });
      const list = await tim.finished(user);
      assert.equal(list.length, 1);
      assert.equal(list[0].text, await truth());
      assert.ok((await stack.count(`im_calls_${counter}`)) >= before + 1, 'it is counted');
      await noViolations(assert, tim);
    });

  for (const what of ['20004', '60007', '70001', 'lost', 'disconnect', 'http:503', 'slow:1500'])
    test(`${what} for the first message: it comes once`, async () => {
      const user = await ask({ what: [what], count: 1, command: 'openim/sendmsg' });
      const list = await tim.finished(user);
      assert.equal(list.length, 1);
      assert.equal(list[0].text, await truth());
      await noViolations(assert, tim);
    });

  for (const what of ['20004', '70009', 'lost', 'slow:1500'])
    test(`${what} for the last change: the message is finished all the same`, async () => {
      const user = await ask({ what: [what], count: 1, final: true });
      const list = await tim.finished(user);
      assert.equal(list[0].text, await truth());
    });

  for (const name of ['pieces', 'chunks'])
    for (const what of ['lost', 'slow:1500', 'disconnect'])
      test(`${name}: ${what} in doubt: no piece stands there twice`, async () => {
        const user = `v-${++users}`;
        await tim.write(user, 'x', bot(name));
        await until('some text', async () => (await tim.answers(user, bot(name)))[0]?.versions >= 2);
        await tim.inject({ user, what: [what], count: 1 });
        const list = await until('the last message to be whole', async () => {
          const all = await tim.answers(user, bot(name));
          return all.at(-1)?.finished && all.at(-1).text === (await truth()) && all;
        }, { timeout: 30000 });
        assert.equal(list.length, name === 'pieces' ? 1 : 2);
        await noViolations(assert, tim);
      });

  test('the message is gone: its text in a new one', async () => {
    const user = await ask({ what: ['20022'], count: 1, command: 'openim/modify_c2c_msg' });
    const list = await until('the new message', async () => {
      const all = await tim.answers(user);
      return all.length === 2 && all[1].finished && all;
    });
    assert.equal(list[1].text, await truth());
  });

  test('too long: split', async () => {
    const user = await ask({ what: ['90055'], count: 1, command: 'openim/modify_c2c_msg' });
    const list = await until('the whole text', async () => {
      const all = await tim.answers(user);
      return all.every((m) => m.finished) && joined(all) === (await truth()) && all;
    });
    assert.ok(list.length >= 1);
  });

  test('content refused: the text so far is finished, then an error message, and the model is stopped', async () => {
    const user = await ask({ what: ['80001'], count: 1, command: 'openim/modify_c2c_msg' });
    const list = await tim.finished(user, 2);
    assert.deepEqual(list.map((m) => m.src), [2, 23]);
    assert.ok((await truth()).startsWith(list[0].text));
    await until('the cancel', async () => (await stack.list('stream list')).find((s) => s.session === user)?.state === 'cancelled');
  });

  for (const what of ['70009', '20003', '20010', '90048'])
    test(`${what} for the first message: no repeat, and the model is stopped`, async () => {
      const user = await ask({ what: [what] });
      await until('the cancel', async () => (await stack.list('stream list')).find((s) => s.session === user)?.state === 'cancelled');
      const stats = await tim.stats();
      assert.equal(stats.injected.filter((i) => i.user === user).length, 1);
      assert.equal((await tim.answers(user)).length, 0);
      assert.ok((await stack.count('im_answers_given_up')) >= 1);
    });

  test('a rate answer makes the interval longer and is never hurried', async () => {
    const user = await ask({ what: ['60007'], count: 3, command: 'openim/modify_c2c_msg' });
    const [message] = await tim.finished(user);
    const gaps = message.version_ms.slice(1).map((t, i) => t - message.version_ms[i]);
    assert.ok(Math.max(...gaps) >= 900, `${gaps}`);
    assert.equal(message.text, await truth());
  });
});

describe('the trial volume', () => {
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MIDDLE, im: { give_up_s: 5, drain_ms: 1000 } });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  test('the trial volume is used up: nothing more is sent, questions are dropped, the operator is told', async () => {
    await tim.inject({ what: ['60028'], count: 1, command: 'openim/modify_c2c_msg' });
    await tim.write('v-1', 'x');
    await until('the alarm', async () => /trial volume is used up/.test(stack.daemon.lines));
    const { calls } = await tim.stats();
    await tim.write('v-late', 'x');
    await until('the drop', async () => (await stack.count('im_dropped_held')) === 1);
    assert.equal((await tim.stats()).calls, calls);
    assert.equal((await tim.answers('v-1'))[0].finished, false);
  });
});

describe('a question interrupts', () => {
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MIDDLE, im: { question_during_answer: 'interrupt' } });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  test('the answer that runs is finished with what there is, the next one follows', async () => {
    await tim.write('w-1', 'first');
    await until('some text', async () => (await tim.answers('w-1'))[0]?.versions >= 2);
    await tim.write('w-1', 'second');
    const list = await tim.finished('w-1', 2);
    const truth = await stack.mock.text(MIDDLE, 'first');
    assert.ok(truth.startsWith(list[0].text) && list[0].text.length < truth.length);
    assert.equal(list[1].text, await stack.mock.text(MIDDLE, 'second'));
    await noViolations(assert, tim);
  });
});

describe('many at once', () => {
  const MODEL = 'crowd:text=count:tokens=120:pace=40';
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MODEL, timArgs: ['--rate', '400'], im: { rate: 200, give_up_s: 120 }, core: { journal_mb: 64 } });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  /** One question each; then what each user sees, once nothing is unfinished. */
  const crowd = async (prefix, count, timeout = 120000) => {
    await Promise.all(Array.from({ length: count }, (_, i) => tim.write(`${prefix}${i}`, 'x')));
    return until('every message to be finished', async () => {
      const { messages } = await tim.get('/mock/chats');
      const mine = messages.filter((m) => m.flow === 'in' && m.to.startsWith(prefix));
      const users = Map.groupBy ? Map.groupBy(mine, (m) => m.to) : mine.reduce((map, m) => map.set(m.to, [...(map.get(m.to) ?? []), m]), new Map());
      return users.size === count && mine.every((m) => m.finished) && (await stack.list('client list')).length === 0 && users;
    }, { timeout, every: 250 });
  };

  test('500 answers under 200 calls a second: every user has the exact text', async () => {
    const users = await crowd('c-', 500);
    const truth = await stack.mock.text(MODEL, 'x');
    for (const list of users.values()) assert.deepEqual(list.map((m) => m.text), [truth]);
    const stats = await noViolations(assert, tim);
    // The exact bound, in any second of the sender's clock, is test_im_pure's.  The service counts when it reads: where the machine
    // stalls, two seconds of calls reach it in one.
    if (process.env.UMBEL_SANITIZER) return;
    assert.equal(stats.limited, 0);
    assert.ok(stats.most_in_a_second <= 300, `${stats.most_in_a_second}`);
    assert.ok(stats.most_in_a_second >= 50, 'and it is used');
  });

  test('one call in ten fails, in every class: every message is finished and right', async () => {
    const classes = ['20004', '22002', '60005', '70500', '91000', '60007', '10023', '70001', '70009', '20027', '20009', '90048', '99999', 'disconnect', 'lost',
      'http:502', 'slow:6000'];
    await tim.inject({ what: classes, percent: 10, command: 'openim/modify_c2c_msg' });
    await tim.inject({ what: classes.filter((c) => !['70009', '20009', '90048'].includes(c)), percent: 10, command: 'openim/sendmsg' });
    const users = await crowd('d-', 300);
    await tim.post('/mock/calm');
    const truth = await stack.mock.text(MODEL, 'x');
    for (const list of users.values()) assert.deepEqual(list.map((m) => m.text), [truth]);
    const stats = await noViolations(assert, tim);
    const seen = new Set(stats.injected.map((i) => i.what));
    assert.deepEqual(classes.filter((c) => !seen.has(c)), [], 'each was met');
  });

  test('the service is away for a while: nothing is lost, the memory stays small', async () => {
    await Promise.all(Array.from({ length: 60 }, (_, i) => tim.write(`e-${i}`, 'x')));
    await until('some text for all', async () => (await tim.get('/mock/chats')).messages.filter((m) => m.flow === 'in' && m.to.startsWith('e-')).length === 60);
    await tim.post('/mock/outage', { seconds: 12 });
    const [host] = await stack.list('host list');
    const list = await until('all finished', async () => {
      const mine = (await tim.get('/mock/chats')).messages.filter((m) => m.flow === 'in' && m.to.startsWith('e-'));
      return mine.length === 60 && mine.every((m) => m.finished) && mine;
    }, { timeout: 90000, every: 200 });
    const truth = await stack.mock.text(MODEL, 'x');
    for (const message of list) assert.equal(message.text, truth);
    const rss = Number(/VmRSS:\s+(\d+)/.exec((await import('node:fs')).readFileSync(`/proc/${host.pid}/status`, 'utf8'))[1]);
    if (!process.env.ASAN_OPTIONS) assert.ok(rss < 200 * 1024, `${rss} KiB`);
    await noViolations(assert, tim);
  });
});

describe('one answer, several protocols', () => {
  const MODEL = 'both:text=count:tokens=150:pace=15';
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MODEL, bots: { tea: { mirror: true } }, transports: { bmob: { plugin: 'ws-bmob' } } });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  const bmob = (query) => new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}${query}`);
    const client = { ws, texts: new Map(), done: new Set() };
    ws.on('message', (data) => {
      const frame = JSON.parse(data);
      client.texts.set(frame.id, (client.texts.get(frame.id) ?? '') + frame.choices[0].delta.content);
      if (frame.choices[0].finish_reason) client.done.add(frame.id);
    });
    ws.on('open', () => resolve(client));
    ws.on('error', reject);
  });

  test('asked in IM, watched over ws-bmob', async () => {
    const watcher = await bmob('?session=m-1&watch=1');
    await tim.write('m-1', 'x');
    const [message] = await tim.finished('m-1');
    await until('the watcher\'s end', () => watcher.done.size === 1);
    const truth = await stack.mock.text(MODEL, 'x');
    assert.equal(message.text, truth);
    assert.equal([...watcher.texts.values()][0], truth);
    assert.equal((await tim.answers('m-1')).length, 1, 'not mirrored to where it was asked');
    watcher.ws.terminate();
  });

  test('asked over ws-bmob in the session of an IM user, mirrored to that user', async () => {
    const asker = await bmob('?session=m-2');
    asker.ws.send(JSON.stringify({ messages: [{ role: 'user', content: 'x' }] }));
    const [message] = await tim.finished('m-2');
    await until('the end', () => asker.done.size === 1);
    const truth = await stack.mock.text(MODEL, 'x');
    assert.equal(message.text, truth);
    assert.equal([...asker.texts.values()][0], truth);
    asker.ws.terminate();
  });

  test('both at once in one session: each answer once', async () => {
    const asker = await bmob('?session=m-3');
    const question = JSON.stringify({ messages: [{ role: 'user', content: 'x' }] });
    for (let i = 0; i < 3; i++) {
      asker.ws.send(question);
      await tim.write('m-3', 'x');
      await until('both ends', async () => asker.done.size === i + 1 && (await tim.answers('m-3')).filter((m) => m.finished).length === 2 * (i + 1));
    }
    const truth = await stack.mock.text(MODEL, 'x');
    const list = await tim.answers('m-3');
    assert.deepEqual(list.map((m) => m.text), Array(6).fill(truth));
    asker.ws.terminate();
    await noViolations(assert, tim);
  });

  test('a session that is no IM user\'s costs one call at most', async () => {
    const asker = await bmob('?session=nobody-here');
    for (let i = 0; i < 3; i++) {
      asker.ws.send(JSON.stringify({ messages: [{ role: 'user', content: 'x' }] }));
      await until('the end', () => asker.done.size === i + 1);
    }
    assert.equal((await tim.stats()).codes['20003'], 1);
    asker.ws.terminate();
  });
});

describe('violence', () => {
  const MODEL = 'kill:text=mixed:tokens=300:pace=20:seed=3';
  let stack, tim;
  before(async () => {
    stack = await startIm({ model: MODEL, bots: { tea: {}, pieces: { delivery: 'stream' } }, app: { orphan_grace_ms: 10000 } });
    tim = stack.tim;
  });
  after(() => stack?.stop());

  test('kill -9 amid answers: the next process finishes every message with the whole text, and asks what waits', async () => {
    const users = Array.from({ length: 20 }, (_, i) => `k-${i}`);
    const name = (user) => (Number(user.slice(2)) % 4 === 3 ? bot('pieces') : TEA);
    for (const user of users) await tim.write(user, 'x', name(user));
    await until('some text for all', async () => (await Promise.all(users.map((u) => tim.answers(u, name(u))))).every((l) => l[0]?.versions >= 2));
    await tim.write('k-0', 'and then?');
    await until('it waits', async () => (await stack.count('im_questions')) === 21);
    const [host] = (await stack.list('host list')).filter((h) => h.transport === 'im');
    process.kill(host.pid, 'SIGKILL');
    const truth = await stack.mock.text(MODEL, 'x');
    for (const user of users) {
      const list = await tim.finished(user, user === 'k-0' ? 2 : 1, { bot: name(user) });
      assert.equal(joined(list.slice(0, 1)), truth);
    }
    await noViolations(assert, tim);
    await until('all of them to be counted', async () => (await stack.count('im_restored')) === 21);
  });

  test('killed before the first text: the question is asked again, one answer', async () => {
    await tim.inject({ what: ['slow:1500'], count: 1, command: 'openim/sendmsg' });
    await tim.write('k-early', 'x');
    await until('the first call to be under way', async () => (await tim.stats()).injected.length === 1);
    const [host] = (await stack.list('host list')).filter((h) => h.transport === 'im');
    process.kill(host.pid, 'SIGKILL');
    const list = await tim.finished('k-early');
    assert.equal(list.length, 1, 'the same MsgSeq and MsgRandom: one message');
    assert.equal(list[0].text, await stack.mock.text(MODEL, 'x'));
    await noViolations(assert, tim);
  });

  test('SIGTERM amid an answer: it is finished, exit 0', async () => {
    await tim.write('k-term', 'x');
    await until('some text', async () => (await tim.answers('k-term'))[0]?.versions >= 1);
    stack.daemon.kill('SIGTERM');
    const end = await stack.daemon.exited;
    assert.equal(end.code, 0);
    const [message] = await tim.answers('k-term');
    assert.ok(message.finished);
    assert.equal(message.text, await stack.mock.text(MODEL, 'x'));
    await noViolations(assert, tim);
  });
});

describe('a deadline', () => {
  test('what cannot end in time is finished with a note', async () => {
    const stack = await startIm({ model: SLOW, im: { drain_ms: 2000 } });
    try {
      await stack.tim.write('x-1', 'x');
      await until('some text', async () => (await stack.tim.answers('x-1'))[0]?.versions >= 1);
      stack.daemon.kill('SIGTERM');
      assert.equal((await stack.daemon.exited).code, 0);
      const [message] = await stack.tim.answers('x-1');
      assert.ok(message.finished);
      assert.match(message.text, /\n\n\(The answer was interrupted\.\)$/);
      await noViolations(assert, stack.tim);
    } finally {
      await stack.stop();
    }
  });
});

describe('one answer everywhere', () => {
  test('asked on ws-bmob, watched by a mini-program, mirrored to the IM user: the same text', async () => {
    const it = await startIm({
      bots: { tea: { mirror: true } },
      transports: { bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 0 } },
      model: 'all:text=cjk:tokens=120:pace=10',
    });
    try {
      const watcher = Wxapp.watches(it, 'u-17');
      await until('the watcher', async () => (await it.list('client list')).length >= 2);
      const asker = Bmob.asks(it, 'which tea?', 'u-17');
      await until('all ends', () => asker.done && (watcher.done || watcher.error));
      const truth = await it.mock.text('all:text=cjk:tokens=120:pace=10', 'which tea?');
      assert.equal(asker.text, truth);
      assert.equal(watcher.text, truth);
      const [message] = await it.tim.finished('u-17');
      assert.equal(message.text, truth);
      assert.equal((await it.mock.asked('all')).length, 1);
      await noViolations(assert, it.tim);
      asker.leave();
      watcher.leave();
    } finally {
      await it.stop();
    }
  });
});

describe('operators', () => {
  test('umbelctl im setup and im check; clear findings when something is wrong', async () => {
    const it = await startIm();
    try {
      const setup = await it.ctl('im', 'setup', 'tea', 'u-17', 'u-18', '--json');
      assert.equal(setup.code, 0, setup.stderr);
      assert.equal(JSON.parse(setup.stdout).robot, TEA);
      const { calls } = await it.tim.stats();
      assert.ok(calls >= 3, 'create_robot and two friend_add');
      assert.equal((await it.ctl('im', 'setup', 'coffee')).code, 1);
      assert.equal((await it.ctl('im', 'setup')).code, 2);
      const check = await it.ctl('im', 'check');
      assert.equal(check.code, 0, check.stderr);
      assert.match(check.stdout, /credentials: good/);
      assert.match(check.stdout, /webhook: answers/);
      await it.tim.inject({ what: ['70009'], command: 'openim_robot_http_svc/create_robot', count: 1 });
      const bad = await it.ctl('im', 'check');
      assert.equal(bad.code, 1);
      assert.match(bad.stderr, /credentials: the service answered 70009/);
      assert.doesNotMatch(it.daemon.lines, /mock-tim-key/);
    } finally {
      await it.stop();
    }
  });
});

// A changed configuration under a running daemon: what is added, changed and removed takes effect, what runs is not touched, and a bad
// file changes nothing.
import { test, describe } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startStack, startMock, freePort, until, run, bin, KEY } from './support.mjs';
import { Bmob } from './clients.mjs';

const LONG = 'long:text=mixed:tokens=400:pace=1';
const MODEL = 'mock:tokens=6:pace=1';
const REFUSED = 'Incorrect API key provided.';
const NEW_KEY = 'a-key-that-came-later', BLOG_KEY = 'the-key-of-the-blog', NEWS_KEY = 'the-key-of-the-news', FIRST_KEY = 'first-of-two-keys', STAYS_KEY = 'second-of-two-keys';

const connect = (port, key, first) => new Bmob().connect(`ws://127.0.0.1:${port}/1/ai/${key}`, first);
const question = (content, model) => ({ messages: [{ role: 'user', content }], model });

/** A service in front of a mock that holds long answers back after their beginning, until release(): they run as long as a test wants. */
async function gate(mock) {
  const held = [];
  let open = false;
  const server = http.createServer((request, response) => {
    const { host, ...headers } = request.headers;
    const onward = http.request(`${mock.url}${request.url}`, { method: request.method, headers }, (answer) => {
      let bytes = 0;
      response.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] });
      answer.on('data', (chunk) => {
        response.write(chunk);
        if (open || (bytes += chunk.length) < 12000) return;
        answer.pause();
        held.push(() => answer.resume());
      });
      answer.on('end', () => response.end());
    });
    onward.on('error', () => response.destroy());
    response.on('error', () => {});
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    release() {
      open = true;
      for (const go of held.splice(0)) go();
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A stack whose service `demo` stands behind a gate. */
async function startGated(options) {
  const mock = await startMock();
  const gated = await gate(mock);
  const stack = await startStack({ mock, ...options, upstream: { base_url: `${gated.url}/v1`, ...options.upstream } });
  const stop = stack.stop;
  stack.gate = gated;
  stack.stop = async () => {
    gated.release();
    const end = await stop();
    gated.stop();
    await mock.stop();
    return end;
  };
  return stack;
}

/** Asks on a fresh connection: the whole text, or the reason for a refusal. */
async function ask(port, key, content, model) {
  const client = connect(port, key, question(content, model));
  await until('an end or a refusal', () => client.done || client.error || client.ws.readyState >= 2);
  const text = client.done ? client.text : null;
  client.leave();
  return text;
}

/** Asks again on a connection that stands. */
async function again(client, content) {
  client.text = '';
  client.done = false;
  client.ws.send(JSON.stringify(question(content)));
  await until('an end or a refusal', () => client.done || client.ws.readyState >= 2);
  return client.text;
}

async function edit(stack, change) {
  const before = await readFile(stack.config, 'utf8');
  const after = change(before);
  assert.notEqual(after, before, 'the change changes something');
  await writeFile(stack.config, after);
  return before;
}
const replace = (text, from, to) => {
  assert.ok(text.includes(from), `${from} is in ${text}`);
  return text.replace(from, to);
};
async function reload(stack) {
  const { code, stdout, stderr } = await stack.ctl('reload', '--json');
  assert.equal(code, 0, stdout + stderr);
  return JSON.parse(stdout);
}
const change = (reply, section, name) => reply.changes.find((c) => c.section === section && c.name === name);
const signalled = async (stack, words) => {
  const from = stack.daemon.lines.length;
  stack.daemon.kill('SIGHUP');
  await until(`the daemon to say ${words}`, () => words.test(stack.daemon.lines.slice(from)));
};
const counter = async (stack, name) => JSON.stringify(await stack.counter(name));

for (const io of ['auto', 'epoll'])
  describe(`everything changes under running answers, io = ${io}`, () => {
    test('umbelctl config diff and reload, then SIGHUP back', async () => {
      const second = await startMock();
      const stack = await startGated({ transports: { bmob: { plugin: 'ws-bmob' } }, core: { io }, model: MODEL, apps: { blog: { keys: [BLOG_KEY] }, twokeys: { keys: [FIRST_KEY, STAYS_KEY] } } });
      try {
        const { bmob } = stack.ports, late = await freePort();
        const shop = connect(bmob, KEY, question('shop', LONG)), blog = connect(bmob, BLOG_KEY, question('blog', LONG));
        const first = connect(bmob, FIRST_KEY, question('first')), stays = connect(bmob, STAYS_KEY, question('stays'));
        await until('text of both', () => first.done && stays.done && shop.text.length > 20 && blog.text.length > 20);
        const original = await edit(stack, (text) => {
          text = replace(text, `base_url = "${stack.gate.url}/v1"`, `base_url = "${second.url}/v1"`);
          text = replace(text, `keys = { "${KEY}" }`, `keys = { "${NEW_KEY}" }`);
          text = replace(text, `model = "${MODEL}"`, 'model = "other:tokens=7:pace=1"');
          text = text.replace(/app blog \{[^}]*\}[^}]*\}[^}]*\}\n/, '');
          text = replace(text, `"${FIRST_KEY}", "${STAYS_KEY}"`, `"${STAYS_KEY}"`);
          text = replace(text, '"shop", "blog", "twokeys"', '"shop", "news", "twokeys"');
          assert.ok(!text.includes('app blog'));
          return `${text}
upstream extra { base_url = "${stack.mock.url}/v1" models = "*" }
app news { upstreams = { "extra" } model = "${MODEL}" keys = { "${NEWS_KEY}" } }
transport late { plugin = ws-bmob listen = "127.0.0.1:${late}" apps = { "shop" } }
`;
        });

        const diff = JSON.parse((await stack.ctl('config', 'diff', '--json')).stdout);
        assert.equal(diff.restart_needed, false);
        assert.deepEqual(diff.changes.map((c) => `${c.change} ${c.section} ${c.name} ${c.applies}`).sort(), [
          'added app news live', 'added transport late live', 'added upstream extra live', 'changed app shop live',
          'changed app twokeys live', 'changed transport bmob live', 'changed upstream demo live', 'removed app blog live',
        ]);
        assert.deepEqual(change(diff, 'app', 'shop').options.find((o) => o.name === 'keys'), { name: 'keys', from: '(secret)', to: '(secret changed)', applies: 'live' });
        assert.ok(!JSON.stringify(diff).includes(NEW_KEY), 'no key is shown');
        assert.equal(await ask(bmob, KEY, 'before'), await stack.mock.text(MODEL, 'before'), 'a comparison changes nothing');

        const reply = await reload(stack);
        assert.deepEqual(reply.changes, diff.changes);
        assert.deepEqual(JSON.parse((await stack.ctl('config', 'diff', '--json')).stdout).changes, []);
        assert.ok(!shop.done && !blog.done, 'both answers still run');

        assert.equal(await ask(bmob, KEY, 'removed key'), REFUSED, 'the old key does not open it any more');
        assert.equal(await ask(bmob, NEW_KEY, 'q'), await second.text('other:tokens=7:pace=1', 'q'), 'the new key, model and service');
        assert.equal(await ask(bmob, NEWS_KEY, 'q'), await stack.mock.text(MODEL, 'q'), 'the new app over the new service');
        assert.equal(await ask(bmob, BLOG_KEY, 'q'), REFUSED, 'the app that is gone');
        await until('the new transport', async () => (await stack.list('host list')).some((h) => h.name === 'late.0' && h.state === 'running'));
        assert.equal(await ask(late, NEW_KEY, 'q'), await second.text('other:tokens=7:pace=1', 'q'), 'the new transport');

        assert.equal((await second.asked('other')).length, 2, 'it was the new service');
        await until('one row for demo: new settings, and what runs with the former ones', async () => {
          const rows = (await stack.list('upstream list')).filter((u) => u.name === 'demo');
          return rows.length === 1 && rows[0].url.startsWith(second.url) && rows[0].calls >= 7 && rows[0].active === 2;
        });
        stack.gate.release();
        await until('both ends', () => shop.done && blog.done);
        assert.equal(shop.text, await stack.mock.text(LONG, 'shop'), 'begun before, byte for byte');
        assert.equal(blog.text, await stack.mock.text(LONG, 'blog'), 'also of the app that is gone');
        assert.equal(await again(stays, 'q'), await second.text(MODEL, 'q'), 'a client whose key stays goes on, over the new service');
        assert.equal(await again(first, 'q'), REFUSED, 'the key beside it was taken away');
        const asked = (await stack.mock.asked()).length + (await second.asked()).length;
        assert.equal(await again(shop, 'with a key that is gone'), REFUSED);
        assert.equal(await again(blog, 'with an app that is gone'), REFUSED);
        assert.equal((await stack.mock.asked()).length + (await second.asked()).length, asked, 'no service was asked');
        await until('earlier settings to be gone', () => /upstream demo: the last call of its former settings has ended/.test(stack.daemon.lines));

        await writeFile(stack.config, original);
        await signalled(stack, /configuration: transport late removed/);
        assert.equal(await ask(bmob, KEY, 'q'), await stack.mock.text(MODEL, 'q'), 'as it was');
        assert.equal(await ask(bmob, BLOG_KEY, 'q'), await stack.mock.text(MODEL, 'q'), 'the app is back');
        assert.equal(await ask(bmob, NEW_KEY, 'q'), REFUSED);
        assert.equal(await again(shop, 'its key is back'), REFUSED, 'a grant of the key that was taken away stays void');
        await until('the removed transport to refuse', async () => (await ask(late, KEY, 'q')) === null);
        await until('the removed host to be gone', async () => !(await stack.list('host list')).some((h) => h.name.startsWith('late')));
        await until('one configuration', async () => /"configs_kept"[^}]*"value":1\b/.test(await counter(stack, 'configs_kept')));
        assert.match(await counter(stack, 'reloads'), /"name":"reloads"[^}]*"value":2\b/);
        for (const client of [shop, blog, first, stays]) client.leave();
      } finally {
        assert.deepEqual(await stack.stop(), { code: 0, signal: null });
        await second.stop();
      }
    });
  });

describe('a file that cannot be applied', () => {
  test('changes nothing and says why: grammar, references, a service that cannot be, an address that is taken', async () => {
    const stack = await startGated({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
    const taken = createServer();
    try {
      const good = await readFile(stack.config, 'utf8');
      taken.listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const client = connect(stack.ports.bmob, KEY, question('running', LONG));
      await until('text', () => client.text.length > 20);
      const lines = good.split('\n').length;
      const more = `app fresh { upstreams = { "demo" } model = m keys = { "${NEW_KEY}" } }\n`;
      for (const [what, text, words] of [
        ['a missing brace', `${good}${more}app x {\n`, new RegExp(`umbel\\.conf:${lines + 1}: .*section app x that begins here is not closed`)],
        ['an unknown upstream', `${good}${more}app x { upstreams = nobody model = m }\n`, /umbel\.conf:\d+: app x names unknown upstream nobody/],
        ['a bad ca_file', `${good}${more}upstream x { base_url = "https://h/v1" ca_file = "/nowhere.pem" }\n`, /umbel\.conf:\d+: upstream x: .*nowhere\.pem/],
        ['an address that is taken', `${good}${more}transport x { plugin = ws-bmob listen = "127.0.0.1:${taken.address().port}" apps = shop }\n`, /umbel\.conf:\d+: transport x: .*listen/],
      ]) {
        await writeFile(stack.config, text);
        const { code, stdout, stderr } = await stack.ctl('reload');
        assert.equal(code, 1, `${what}: ${stdout}`);
        assert.match(stderr, words, what);
        assert.match(stderr, /nothing has changed/);
        await signalled(stack, /the configuration stays as it was: .*umbel\.conf:\d+: /);
        assert.equal(await ask(stack.ports.bmob, NEW_KEY, 'q'), REFUSED, `${what}: the good part is not applied either`);
        assert.equal(await ask(stack.ports.bmob, KEY, 'q'), await stack.mock.text(MODEL, 'q'), what);
      }
      assert.match(await counter(stack, 'reloads_refused'), /"value":8\b/);
      assert.equal((await stack.ctl('config', 'check')).code, 0, 'an address is tried by a reload only');
      await writeFile(stack.config, `${good}app x {\n`);
      const checked = await stack.ctl('config', 'check');
      assert.equal(checked.code, 1);
      assert.match(checked.stderr, /umbel\.conf:\d+: .*section app x/);
      assert.ok(!client.done);
      stack.gate.release();
      await until('the end', () => client.done);
      assert.equal(client.text, await stack.mock.text(LONG, 'running'));
      client.leave();
    } finally {
      taken.close();
      assert.deepEqual(await stack.stop(), { code: 0, signal: null });
    }
  });

  // Goal: coalesce_us takes effect, and its change without a restart.  Method: the engine's own gauge; then 200 answers at full speed, round after
  // round, until it has waited for company, and the same rounds with 0.  Whether it is ever that busy is the machine's affair; that 0 ends it is not.
  test('coalesce_us is what a busy engine does, and 0 ends it at once', async () => {
    const stack = await startStack({ transports: { t: { plugin: 'openai-api' } }, model: 'mock:tokens=300:pace=0', upstream: { max_concurrent: 1000 } });
    const gauge = async (name) => (await stack.counter(name))[0].value;
    const told = async () => { // the gauges are written once a second
      for (let i = 0, turns; i < 2; i++) {
        turns = await gauge('loop_turns');
        await until('the counters of another second', async () => (await gauge('loop_turns')) > turns);
      }
    };
    const round = async () => {
      const whole = await Promise.all(Array.from({ length: 200 }, async () => {
        const answer = await fetch(`http://127.0.0.1:${stack.ports.t}/v1/chat/completions`, {
          method: 'POST', headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
          body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'q' }] }),
        });
        return (await answer.text()).endsWith('data: [DONE]\n\n');
      }));
      assert.ok(whole.every(Boolean));
      await told();
      return gauge('loop_coalesced');
    };
    try {
      await until('the default', async () => (await gauge('coalesce_us')) === 50);
      let rounds = 1;
      while ((await round()) === 0 && rounds < 3) rounds++;
      await edit(stack, (text) => replace(text, 'ring_slots = 4096', 'ring_slots = 4096 coalesce_us = 0'));
      assert.deepEqual(change(await reload(stack), 'core', '').options, [{ name: 'coalesce_us', from: '50', to: '0', applies: 'live' }]);
      await until('the change', async () => (await gauge('coalesce_us')) === 0);
      await told();
      const before = await gauge('loop_coalesced');
      for (let i = 0; i < rounds; i++) assert.equal(await round(), before);
    } finally {
      await stack.stop();
    }
  });

  test('what needs a restart is named, everything else is applied, and the next comparison says it again', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, upstream: { api_key: 'env:UMBEL_TEST_RELOAD' }, env: { UMBEL_TEST_RELOAD: 'a-secret-of-the-service' } });
    try {
      await edit(stack, (text) => replace(replace(text, 'ring_slots = 4096', 'ring_slots = 8192 linger_s = 9'), 'level = "debug"', 'level = "info" format = "json"'));
      const reply = await reload(stack);
      assert.equal(reply.restart_needed, true);
      assert.deepEqual(change(reply, 'core', '').options, [
        { name: 'ring_slots', from: '4096', to: '8192', applies: 'restart' },
        { name: 'linger_s', from: '300', to: '9', applies: 'live' },
      ]);
      assert.match(stack.daemon.lines, /core changed: ring_slots \(when the daemon starts again\), linger_s/);
      assert.match(stack.daemon.lines.trimEnd().split('\n').at(-1), /^\{.*\}$/, 'lines are JSON from here on');
      const next = JSON.parse((await stack.ctl('config', 'diff', '--json')).stdout);
      assert.deepEqual(next.changes.map((c) => c.options), [[{ name: 'ring_slots', from: '4096', to: '8192', applies: 'restart' }]]);
      assert.match((await stack.ctl('config', 'diff')).stdout, /changed +core\n +ring_slots: 4096 -> 8192 +\[needs a restart of umbeld\]/);
      assert.equal(await ask(stack.ports.bmob, KEY, 'q'), await stack.mock.text(MODEL, 'q'));
    } finally {
      await stack.stop();
    }
  });
});

describe('a transport whose processes must be replaced', () => {
  test('the running answer ends byte for byte on the old process, new clients get the new one', async () => {
    const stack = await startGated({ transports: { bmob: { plugin: 'ws-bmob', drain_ms: 600000 } }, model: MODEL });
    try {
      const client = connect(stack.ports.bmob, KEY, question('running', LONG));
      await until('text', () => client.text.length > 20);
      const [before] = await stack.list('host list');
      await edit(stack, (text) => replace(text, 'plugin = "ws-bmob"', 'plugin = "ws-bmob"\n  max_connections = 77'));
      const reply = await reload(stack);
      assert.equal(change(reply, 'transport', 'bmob').applies, 'hosts');
      const after = (await stack.list('host list')).find((h) => h.name === 'bmob.0');
      assert.notEqual(after.pid, before.pid);
      assert.equal(await ask(stack.ports.bmob, KEY, 'q'), await stack.mock.text(MODEL, 'q'));
      assert.ok(!client.done);
      stack.gate.release();
      await until('the end', () => client.done);
      assert.equal(client.text, await stack.mock.text(LONG, 'running'));
      client.leave();
      assert.deepEqual(JSON.parse((await stack.ctl('config', 'diff', '--json')).stdout).changes, []);
    } finally {
      assert.deepEqual(await stack.stop(), { code: 0, signal: null });
    }
  });

  test('an address passes from a transport to another name', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
    try {
      await edit(stack, (text) => replace(text, 'transport bmob {', 'transport renamed {'));
      await reload(stack);
      await until('the new name to answer', async () => (await ask(stack.ports.bmob, KEY, 'q')) === (await stack.mock.text(MODEL, 'q')));
      await until('the old one to be gone', async () => (await stack.list('host list')).every((h) => h.name === 'renamed.0'));
    } finally {
      assert.deepEqual(await stack.stop(), { code: 0, signal: null });
    }
  });
});

describe('umbelctl config', () => {
  test('check, doc and default need no daemon; default is good once the marked lines are written', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } } });
    try {
      const file = path.join(stack.dir, 'made.conf'), ctl = (...args) => run(bin('umbelctl'), ['-s', '/nowhere', 'config', ...args]);
      const { code, stdout } = await ctl('default');
      assert.equal(code, 0);
      await writeFile(file, stdout, { mode: 0o600 });
      const bad = await ctl('check', file, '--json');
      assert.equal(bad.code, 1);
      assert.match(JSON.parse(bad.stdout).error, /made\.conf:\d+: /);
      await writeFile(file, stdout.replace(/"EDIT: https[^"]*"/, '"http://127.0.0.1:1/v1"').replace(/EDIT: the model.*/, 'm').replace(/"env:EDIT[^"]*"/, `"${KEY}"`).replace(/"EDIT: ws-bmob"/, 'ws-bmob'));
      const good = await ctl('check', file);
      assert.deepEqual([good.code, good.stderr], [0, '']);
      assert.match(good.stdout, /made\.conf: good: 1 upstreams, 1 apps, 1 transports/);
      assert.equal((await run(bin('umbeld'), ['--check', '-c', file])).code, 0);

      assert.match((await ctl('doc', 'app.limits')).stdout, /concurrent {2}integer/);
      assert.match((await ctl('doc', 'ws-bmob')).stdout, /error_style/);
      const unknown = await ctl('doc', 'app.modle');
      assert.equal(unknown.code, 1);
      assert.match(unknown.stderr, /there is no app\.modle/);
      const all = JSON.parse((await ctl('doc', '--json')).stdout);
      assert.ok(all.some((o) => o.section === 'upstream' && o.option === 'base_url' && o.required));

      const other = JSON.parse((await stack.ctl('config', 'diff', file, '--json')).stdout);
      assert.ok(change(other, 'upstream', 'demo') && change(other, 'transport', 'bmob'));
      assert.equal((await stack.ctl('config', 'diff', '/nowhere/x.conf')).code, 1);
      assert.equal((await ctl('diff')).code, 3, 'that one asks the daemon');
      assert.equal((await ctl('check')).code, 3);
    } finally {
      await stack.stop();
    }
  });
});

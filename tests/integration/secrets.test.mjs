// Secrets stay where they belong: a daemon at its most talkative level is given secrets that can be recognised, used for good and for bad, and
// then everything it has left behind is searched for them.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import os from 'node:os';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import WebSocket from 'ws';
import { startStack, freePort, run, until, bin } from './support.mjs';

const S = {
  upstream: 'SECRET-upstream-key-9f31',
  client: 'SECRET-client-key-22ab',
  bearer: 'SECRET-service-bearer-77cd',
  token: 'SECRET-user-token-51ee',
  denied: 'SECRET-denied-token-08fa',
  unknown: 'SECRET-unknown-key-c4c4',
  im_key: 'SECRET-im-secret-key-1b1b',
  im_hook: 'SECRET-im-webhook-token-6d6d',
};
const PROMPT = 'PROMPT-nobody-else-may-read-3a7b';
const env = { S_UPSTREAM: S.upstream, S_CLIENT: S.client, S_BEARER: S.bearer, S_IM_KEY: S.im_key, S_IM_HOOK: S.im_hook };

/** Which of the secrets stand in these bytes. */
const found = (bytes, needles = Object.values(S)) => needles.filter((needle) => Buffer.from(bytes).includes(needle));

function files(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(dir, entry.name);
    return entry.isDirectory() ? files(name) : entry.isFile() ? [name] : [];
  });
}

/** Bytes of a process that can be read back now, area by area. */
function* memoryOf(pid) {
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to, name] = /^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
      if (!from || /vvar|memfd/.test(name)) continue;
      const size = Number(BigInt(`0x${to}`) - BigInt(`0x${from}`));
      const bytes = Buffer.alloc(size);
      try {
        yield { name, bytes: bytes.subarray(0, readSync(fd, bytes, 0, size, BigInt(`0x${from}`))) };
      } catch { /* a guard page */ }
    }
  } finally {
    closeSync(fd);
  }
}

describe('secrets', () => {
  let stack, service;
  const hosts = async () => (await stack.list('host list')).map((h) => h.pid);

  const askApi = async (key, model) => {
    const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: PROMPT }], model }),
    });
    return response.text();
  };
  const askWx = async (key) =>
    (await fetch(`http://127.0.0.1:${stack.ports.wx}/chat/stream?is_wxapp=1`, { method: 'POST', body: JSON.stringify({ token: key, prompt: PROMPT }), headers: { 'content-type': 'application/json' } })).text();
  const askWs = async (key) => {
    const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${key}`, { headers: { 'X-Bmob-Secret-Key': key } });
    let frames = '';
    ws.on('message', (data) => (frames += data));
    await once(ws, 'open');
    ws.send(JSON.stringify({ messages: [{ role: 'user', content: PROMPT }], session: 'room' }));
    await until('the end', () => frames.includes('"finish_reason":"stop"'));
    ws.terminate();
    return frames;
  };

  before(async () => {
    service = http.createServer(async (request, response) => {
      let body = '';
      for await (const piece of request) body += piece;
      const { credential } = JSON.parse(body);
      if (credential === S.unknown) response.writeHead(500).end(body); // says it all back
      else response.end(JSON.stringify(credential === S.token ? { allow: true, user: 'ann' } : { allow: false, code: 101, message: 'no' }));
    });
    service.listen(0, '127.0.0.1');
    await once(service, 'listening');
    const im = { sdk_app_id: 1400000000, api_base: 'http://127.0.0.1:1', secret_key: 'env:S_IM_KEY', webhook_token: 'env:S_IM_HOOK', 'bot tea': { account: '@RBT#tea', app: 'shop' } };
    stack = await startStack({
      env,
      model: 'mock:tokens=5:pace=1',
      log: { access: 'access.log' },
      upstream: { api_key: 'env:S_UPSTREAM' },
      app: { keys: ['env:S_CLIENT'], authorize: { url: `http://127.0.0.1:${service.address().port}/`, secret: 'env:S_BEARER' } },
      transports: { api: { plugin: 'openai-api' }, wx: { plugin: 'http-chunked-wxapp', gap_ms: 1, end_gap_ms: 1 }, bmob: { plugin: 'ws-bmob' }, im: { plugin: 'im-custom-message', ...im } },
    });
    for (const key of [S.client, S.token, S.denied, S.unknown]) {
      await askApi(key);
      await askWx(key);
      await askWs(key);
    }
    for (const model of ['mock:status=401', 'mock:status=500', 'mock:status=429', 'mock:garbage=1', 'mock:die_after=2']) await askApi(S.client, model);
    await fetch(`http://127.0.0.1:${stack.ports.im}/?SdkAppid=1400000000&CallbackCommand=Bot.OnC2CMessage&Sign=${S.unknown}&RequestTime=1`, { method: 'POST', body: '{}' });
    await fetch(`http://127.0.0.1:${stack.ports.api}/v1/${S.unknown}`, { headers: { authorization: `Basic ${S.unknown}` } });
    await until('the clients to be gone', async () => (await stack.list('client list')).every((c) => !['127.0.0.1'].includes(c.peer?.split(':')[0])));
  });
  after(async () => {
    await stack?.stop();
    service?.closeAllConnections();
    service?.close();
  });

  test('the answers worked, so there was something to hide', async () => {
    assert.match(await askApi(S.client), /"choices"/);
    assert.match(await askWs(S.token), /"finish_reason":"stop"/);
    assert.ok((await stack.mock.requests()).requests.length > 5);
  });

  test('not in the log, nor is what anybody asked', () => {
    assert.ok(stack.daemon.lines.length > 1000);
    assert.deepEqual(found(stack.daemon.lines, [...Object.values(S), PROMPT]), []);
  });

  test('not in any file: stats pages, access log, history', () => {
    const names = files(stack.dir).filter((name) => name !== stack.config);
    for (const wanted of ['core', 'access.log', '.db']) assert.ok(names.some((name) => name.includes(wanted)), `${wanted} is not among ${names}`);
    for (const name of names) assert.deepEqual(found(readFileSync(name)), [], name);
    for (const name of names.filter((n) => /stats|access/.test(n))) assert.deepEqual(found(readFileSync(name), [PROMPT]), [], name);
  });

  test('not in what umbelctl says', async () => {
    const commands = ['status', 'stream list', 'client list', 'host list', 'plugin list', 'upstream list', 'counters', 'ring show', 'session list', 'usage', 'usage --by app', 'config diff', 'config check', 'im check', 'upstream probe demo'];
    const other = path.join(stack.dir, 'other.conf');
    await writeFile(other, (await readFile(stack.config, 'utf8')).replace('env:S_UPSTREAM', 'env:S_CLIENT').replace('env:S_BEARER', 'env:S_IM_KEY').replace('env:S_IM_HOOK', 'env:S_CLIENT'), { mode: 0o600 });
    for (const command of [...commands, `config diff ${other}`])
      for (const form of [[], ['--json']]) {
        const { stdout, stderr } = await run(bin('umbelctl'), ['-s', stack.dir, ...command.split(' '), ...form], { env: { ...process.env, ...env } });
        assert.deepEqual(found(stdout + stderr), [], command);
      }
  });

  test('not in arguments, and not in the environment of the hosts', async () => {
    const pids = await hosts();
    assert.equal(pids.length, 4);
    for (const pid of [stack.daemon.pid, ...pids]) assert.deepEqual(found(readFileSync(`/proc/${pid}/cmdline`)), []);
    for (const pid of process.getuid() === 0 ? pids : []) assert.deepEqual(found(readFileSync(`/proc/${pid}/environ`)), []);
  });

  test('no core file is written of any process', async () => {
    for (const pid of [stack.daemon.pid, ...(await hosts())]) assert.match(readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size\s+0\s+0\s/m, `process ${pid}`);
  });

  test('a credential is wiped once its client is gone', async (t) => {
    if (process.getuid() !== 0 || /libasan|libtsan/.test(readFileSync(`/proc/${stack.daemon.pid}/maps`, 'latin1'))) return t.skip('the memory of other processes cannot be read, or is not what it is elsewhere');
    const left = [];
    let own = 0;
    // not of ws-bmob: libwebsockets keeps the last heads it has read
    for (const { name, pid } of [{ name: 'umbeld', pid: stack.daemon.pid }, ...(await stack.list('host list')).filter((h) => h.plugin !== 'ws-bmob')])
      for (const area of memoryOf(pid)) {
        own += found(area.bytes, [S.client, S.im_key]).length;
        for (const secret of found(area.bytes, [S.token, S.denied, S.unknown])) left.push(`${secret} in ${name} ${area.name}`);
      }
    assert.ok(own > 0, 'the search finds what is there');
    assert.deepEqual(left, []);
  });
});

describe('what another process of the same user can see', () => {
  test('neither memory nor environment', async (t) => {
    if (process.env.UMBEL_SANITIZER) return t.skip('the leak checker traces its own process, so others of the user can too');
    const user = process.getuid() === 0 ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'] : ['env'];
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-secrets-'));
    const port = await freePort(), file = path.join(dir, 'umbel.conf');
    await writeFile(file, `state_dir = "${dir}"\nupstream demo { base_url = "http://127.0.0.1:1/v1" api_key = "env:S_UPSTREAM" models = {"*"} }\napp shop { upstreams = {"demo"} keys = {"env:S_CLIENT"} model = "m" }\ntransport bmob { plugin = "ws-bmob" listen = {"127.0.0.1:${port}"} apps = {"shop"} }\n`, { mode: 0o600 });
    if (process.getuid() === 0) execFileSync('chown', ['-R', '65534:65534', dir]);
    let child;
    try {
      const check = await run(user[0], [...user.slice(1), bin('umbeld'), '--check', '-c', file], { env: { ...process.env, ...env } });
      if (check.code !== 0 && /Permission denied|No such file/.test(check.stderr)) return t.skip('the build tree is not readable for others');
      assert.equal(check.code, 0, check.stderr);
      child = spawn(user[0], [...user.slice(1), bin('umbeld'), '-c', file, '--runtime-dir', dir], { env: { ...process.env, ...env }, stdio: 'ignore' });
      const all = await until('its host', async () => {
        const list = JSON.parse((await run(user[0], [...user.slice(1), bin('umbelctl'), '-s', dir, 'host', 'list', '--json'])).stdout);
        return list.some((h) => h.state === 'running') && list;
      });
      for (const pid of [child.pid, ...all.map((h) => h.pid)])
        for (const what of ['environ', 'mem', 'maps']) {
          const seen = await run(user[0], [...user.slice(1), 'head', '-c', '1', `/proc/${pid}/${what}`]);
          assert.match(seen.stderr, /Permission denied|cannot open/, `${what} of ${pid}: ${seen.stdout}`);
        }
    } finally {
      if (child) {
        const end = once(child, 'exit');
        child.kill('SIGTERM');
        await end;
      }
      await rm(dir, { recursive: true, force: true });
    }
  });
});

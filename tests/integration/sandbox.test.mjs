// Least privilege: what a transport's process can no longer do, tried by a plugin that wants to (tests/support/chaos_try.c), with a daemon that
// root has started and with one of an ordinary user; and what must go on working all the same.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { NOBODY, chaos, hasSetpriv, hostOf, isRoot, isWidened, makeTree, sanitized, status } from './chaos.mjs';

const tree = makeTree();
const { startStack, until, run, bin } = await import('./support.mjs');
after(() => tree.remove());

// What each attempt must end with.  Files: Landlock or ownership (EACCES); calls: seccomp (EPERM, ENOSYS where a library then takes another
// way); ring and journal: the seals of the memory file, whoever asks.
const FILES = ['shadow', 'passwd', 'key', 'conf', 'stats', 'core_mem', 'core_environ', 'core_fd', 'create'];
const CALLS = ['mkdir', 'unlink', 'chmod', 'admin', 'bind', 'raw', 'netlink', 'execve', 'fork_bomb', 'vfork', 'ptrace', 'process_vm', 'pidfd',
  'kill_core', 'kill_all', 'tgkill_core', 'sigqueue_core', 'setown', 'setuid', 'setgroups', 'dumpable', 'outlive', 'tiocsti', 'limits',
  'limits_of_core', 'code_map', 'code_protect', 'share', 'memory_file', 'wake_block', 'datagrams', 'fast_open'];
const SEALED = { ring_map: 'EPERM', ring_protect: 'EACCES', ring_reopen: 'EPERM', ring_write: 'EPERM', ring_cut: 'EPERM',
  journal_map: 'EPERM', journal_protect: 'EACCES', journal_write: 'EPERM', journal_cut: 'EPERM' };
// What it shares with the core it cannot reach, or only to read.
const SHARED = { stats_cut: 'EINVAL', stats_grow: 'EBADF', wake_write: 'EBADF' };
const expected = { ...SEALED, ...SHARED, clone3: 'ENOSYS', io_uring: 'ENOSYS', connect: 'EPERM', udp: 'EPERM' };
for (const name of FILES) expected[name] = 'EACCES';
for (const name of CALLS) expected[name] = 'EPERM';

// A kernel without Landlock still has the rest; a sanitizer's build allows the calls that the sanitizer makes.
const SANITIZERS_OWN = ['fork_bomb', 'vfork', 'ptrace', 'process_vm', 'kill_core', 'kill_all', 'tgkill_core', 'sigqueue_core', 'dumpable', 'outlive',
  'code_protect', 'core_mem', 'core_environ', 'core_fd'];
const hasLandlock = (host) => /landlock v/.test(host.sandbox);

function keyPair(dir) {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem')], { stdio: 'ignore' });
  fs.chmodSync(path.join(dir, 'key.pem'), 0o600);
}

/** The serial number of the certificate that a port shows. */
const shown = (port) => new Promise((resolve, reject) => {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
    resolve(socket.getPeerCertificate().serialNumber);
    socket.destroy();
  });
  socket.on('error', reject);
});

function suite(user) {
  let stack, dir, victim, reached = 0;

  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-keys-'));
    keyPair(dir);
    if (user) {
      fs.chownSync(dir, user, user);
      for (const name of fs.readdirSync(dir)) fs.chownSync(path.join(dir, name), user, user);
    }
    victim = net.createServer((socket) => { reached++; socket.destroy(); }).listen(0, '127.0.0.1');
    const pem = { tls_cert: path.join(dir, 'cert.pem'), tls_key: path.join(dir, 'key.pem') };
    stack = await startStack({
      transports: { chaos: { plugin: 'chaos' }, out: { plugin: 'chaos-outbound' }, bmob: { plugin: 'ws-bmob', ...pem }, wx: { plugin: 'http-chunked-wxapp', ...pem } },
      env: { CHAOS_USER: user ? String(user) : '', SECRET_OF_THE_CORE: 'x' },
    });
  });
  after(async () => {
    const end = await stack?.stop();
    victim?.close();
    fs.rmSync(dir, { recursive: true, force: true });
    assert.deepEqual(end, { code: 0, signal: null }, 'the core was hurt');
  });

  const attempt = (name) => chaos(stack, name, `forbidden?core=${stack.daemon.pid}&port=${victim.address().port}&key=${dir}/key.pem&conf=${stack.config}` +
    `&admin=${stack.dir}/admin.sock&stats=${stack.dir}/stats/core`);

  for (const [name, may] of [['chaos', []], ['out', ['connect', 'udp']]])
    test(`${may.length ? 'a plugin that calls out' : 'a plugin'} tries each forbidden thing and fails`, async (t) => {
      // Catches: a call missing from or too many on the list, a path left open, privileges kept.
      const host = await hostOf(stack, name);
      const got = await attempt(name);
      assert.ok(got, 'the plugin did not live to tell');
      const want = { ...expected };
      for (const key of may) want[key] = 'DONE';
      const passed = isWidened(host) ? SANITIZERS_OWN : [];
      if (!hasLandlock(host)) passed.push('passwd', ...(user ? ['key', 'conf', 'stats', 'create'] : ['create']));
      for (const key of passed) {
        t.diagnostic(`${key}: ${got[key]}, not judged: ${host.sandbox}`);
        delete want[key];
        delete got[key];
      }
      assert.deepEqual(got, want);
      assert.ok(await chaos(stack, name, 'ok'), 'and goes on serving');
      assert.equal((await hostOf(stack, name)).restarts, 0);
    });

  test('the one that may not call out has reached nobody, the other one has', async () => {
    await attempt('chaos');
    const before_ = reached;
    await attempt('out');
    await until('the connection', () => reached > before_);
    assert.equal(before_, 1, 'one from the test before, by the plugin that may');
  });

  test('no privileges, no groups, no way to get any; the environment holds no secret', async (t) => {
    for (const name of ['chaos', 'out', 'bmob']) {
      const host = await hostOf(stack, name), s = status(host.pid);
      if (!user && isRoot && !/root \(/.test(host.sandbox)) {
        assert.ok(Number(s.Uid.split('\t')[0]) !== 0, s.Uid);
        assert.equal(new Set(s.Uid.split('\t')).size, 1, 'real, effective, saved: all the same');
        assert.equal(s.Groups.trim(), '');
        assert.equal(s.CapBnd, '0000000000000000');
      }
      assert.equal(s.CapPrm, '0000000000000000');
      assert.equal(s.CapEff, '0000000000000000');
      assert.equal(s.NoNewPrivs, '1');
      assert.equal(s.Seccomp, '2');
      const environment = fs.readFileSync(`/proc/${host.pid}/environ`, 'utf8');
      assert.doesNotMatch(environment, /SECRET/);
      const limits = fs.readFileSync(`/proc/${host.pid}/limits`, 'utf8');
      assert.match(limits, /Max core file size +0 +0/);
      t.diagnostic(`${name}: ${host.sandbox}`);
    }
    const core = status(stack.daemon.pid);
    assert.equal(core.NoNewPrivs, '1');
  });

  test('what no plugin has a reason for ends its process, and the core says of what', async () => {
    assert.ok(await chaos(stack, 'chaos', 'never'));
    const host = await until('its death', async () => {
      const h = await hostOf(stack, 'chaos');
      return h.restarts > 0 && h.state === 'running' && h;
    });
    assert.match(host.last_error, /signal 31/);
  });

  for (const fd of [4, 5])
    test(`a write to the ${fd === 4 ? 'ring' : 'journal'} is the end of the writer and of nothing else`, async () => {
      const at = (await hostOf(stack, 'chaos')).restarts;
      await chaos(stack, 'chaos', `poke?fd=${fd}`);
      const host = await until('its death', async () => {
        const h = await hostOf(stack, 'chaos');
        return h.restarts > at && h.state === 'running' && h;
      });
      if (!isWidened(host)) assert.match(host.last_error, /signal 11/); // a sanitizer reports and exits
    });

  test('TLS: the key is one that the process cannot open, and a reload brings the new one all the same', async () => {
    // Catches: certificates read by path, after the way there was closed.
    const first = await shown(stack.ports.bmob);
    assert.equal(await shown(stack.ports.wx), first);
    keyPair(dir);
    if (user) for (const name of fs.readdirSync(dir)) fs.chownSync(path.join(dir, name), user, user);
    stack.daemon.kill('SIGHUP');
    for (const name of ['bmob', 'wx'])
      await until(`the new certificate on ${name}`, async () => (await shown(stack.ports[name])) !== first);
    const now = await shown(stack.ports.bmob);
    fs.writeFileSync(path.join(dir, 'cert.pem'), 'no certificate\n');
    stack.daemon.kill('SIGHUP');
    await until('the refusal', () => /cannot use the TLS certificate/.test(stack.daemon.lines) && stack.daemon.lines.includes(`is ${dir}/cert.pem`));
    assert.equal(await shown(stack.ports.bmob), now, 'the old one stays');
  });
}

describe('started as we are', { skip: sanitized }, () => suite(0));
describe('started by an ordinary user', { skip: sanitized || (!isRoot || !hasSetpriv() ? 'needs root and setpriv' : false) }, () => suite(NOBODY));

describe('whom hosts run as', { skip: sanitized || (isRoot ? false : 'needs root') }, () => {
  test('a user that does not exist is refused with words', async () => {
    const stack = await startStack({ transports: { chaos: { plugin: 'chaos' } } });
    try {
      const config = path.join(stack.dir, 'other.conf');
      fs.writeFileSync(config, fs.readFileSync(stack.config, 'utf8').replace('core {', 'core {\n  host_user = "nobody-has-this-name"'));
      const other = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-other-'));
      const { code, stderr } = await run(bin('umbeld'), ['-c', config, '--runtime-dir', other]);
      fs.rmSync(other, { recursive: true, force: true });
      assert.equal(code, 1);
      assert.match(stderr, /host_user: there is no user nobody-has-this-name/);
    } finally {
      await stack.stop();
    }
  });

  test('the user that is named is the one, and a plugin it cannot read is not run as somebody else', async () => {
    const stack = await startStack({ transports: { chaos: { plugin: 'chaos' } }, core: { host_user: 'daemon' } });
    try {
      const host = await hostOf(stack, 'chaos');
      assert.match(host.sandbox, /user daemon/);
      assert.equal(status(host.pid).Uid.split('\t')[0], String(execFileSync('id', ['-u', 'daemon'])).trim());
      fs.chmodSync(tree.root, 0o700);
      process.kill(host.pid, 'SIGKILL');
      const down = await until('the failure', async () => /cannot read .*chaos\.so/.test(stack.daemon.lines));
      assert.ok(down);
    } finally {
      fs.chmodSync(tree.root, 0o755);
      await stack.stop();
    }
  });

  test('without a name: who cannot be had is done without, and the list says so', async () => {
    fs.chmodSync(tree.root, 0o700);
    const stack = await startStack({ transports: { chaos: { plugin: 'chaos' } } });
    try {
      const host = await hostOf(stack, 'chaos');
      assert.match(host.sandbox, /user root \(\w+ cannot read the plugin\)/);
      const s = status(host.pid);
      assert.equal(s.CapEff, '0000000000000004', 'reading, and nothing else');
      const got = await chaos(stack, 'chaos', `forbidden?core=${stack.daemon.pid}`);
      if (hasLandlock(host)) assert.equal(got.shadow, 'EACCES');
      assert.equal(got.execve, 'EPERM');
    } finally {
      fs.chmodSync(tree.root, 0o755);
      await stack.stop();
    }
  });
});

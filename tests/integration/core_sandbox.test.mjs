// What the daemon itself gives up (core/sandbox/sandbox_core): each forbidden thing tried in its confinement by tests/support/core_confined.c,
// each thing it needs tried too; and a running daemon that has given it up and goes on working through reloads and upgrades.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { NOBODY, hasSetpriv, isRoot, makeTree, sanitized, status } from './chaos.mjs';

const PROGRAM = path.resolve(process.env.UMBEL_BIN ?? path.join(import.meta.dirname, '../../build/dev/bin'), '../tests/umbel-core-confined');
const tree = makeTree();
const { startStack, until, run, bin, freePort } = await import('./support.mjs');
const { Bmob } = await import('./clients.mjs');
after(() => tree.remove());

const MODEL = 'mock:tokens=20:pace=1';
const REFUSED = ['ptrace', 'personality', 'keyctl', 'add_key', 'request_key', 'pidfd_getfd', 'process_vm_read', 'mknod', 'handle', 'namespace',
  'packet', 'raw', 'raw6', 'other_type', 'uevents', 'other_family', 'code_map', 'code_protect', 'limits_of_others', 'tracer', 'dumpable', 'tiocsti', 'priority',
  'scheduler', 'shared_memory', 'quota', 'hostname', 'kernel_log'];
const ABSENT = ['clone3', 'openat2'];
const DEADLY = ['acct', 'bpf', 'chroot', 'clock_settime', 'delete_module', 'finit_module', 'fsopen', 'init_module', 'kexec_load', 'mount', 'move_mount',
  'open_by_handle_at', 'open_tree', 'perf_event_open', 'pivot_root', 'process_vm_writev', 'reboot', 'setns', 'settimeofday', 'swapoff', 'swapon',
  'umount2', 'unshare', 'userfaultfd', ...(process.arch === 'x64' ? ['other_abi'] : [])];
const WORK = ['exec', 'spawn', 'thread', 'pidfd', 'host', 'files', 'descriptors', 'sockets', 'names', 'limits', 'io_uring'];
const expected = Object.fromEntries([...REFUSED.map((n) => [n, 'EPERM']), ...ABSENT.map((n) => [n, 'ENOSYS']), ...DEADLY.map((n) => [n, 'SIGSYS']),
  ...WORK.map((n) => [n, 'DONE'])]);

// What root has left of its capabilities: chown, dac_override, dac_read_search, kill, setgid, setuid, setpcap, net_bind_service, ipc_lock.
const KEPT = 0x45e7n;
const has = (pid) => BigInt(`0x${status(pid).CapEff}`);

async function attempts(mode) {
  const { code, stdout, stderr } = await run(PROGRAM, [mode]);
  assert.equal(code, 0, stderr);
  const { report, good, ...got } = JSON.parse(stdout);
  return { report, good, got };
}

describe('in the confinement of the core', { skip: sanitized }, () => {
  test('each forbidden thing fails, and what the daemon and its hosts do works', async (t) => {
    const { report, good, got } = await attempts('on');
    t.diagnostic(report);
    assert.ok(good, report);
    assert.deepEqual(got, expected);
  });

  test('without it the same things can be done', async () => {
    // Catches: attempts that fail for another reason, so that the test above could not.  What only root may do, or what a container refuses too,
    // is not judged; enough of the rest must be left.
    const { got } = await attempts('off');
    const done = Object.keys(expected).filter((name) => got[name] === 'DONE');
    for (const name of [...WORK.filter((n) => n !== 'io_uring'), 'personality', 'code_map', 'code_protect', 'dumpable', 'mknod', 'limits_of_others', 'process_vm_read'])
      assert.equal(got[name], 'DONE', name);
    assert.ok(done.length > Object.keys(expected).length / 2, `only ${done}`);
  });

  test('log: nothing is refused but what has an older way', async (t) => {
    const { report, got } = await attempts('log');
    t.diagnostic(report);
    for (const name of ['ptrace', 'personality', 'keyctl', 'process_vm_read', 'mknod', 'code_map', 'dumpable', ...DEADLY, ...WORK]) assert.equal(got[name], 'DONE', name);
  });
});

describe('a program that needs a newer list than the running one has', { skip: sanitized }, () => {
  test('says so when it is asked whether it is good, which is before an upgrade in place', async () => {
    const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL });
    try {
      const good = await run(bin('umbeld'), ['-c', stack.config, '--check']);
      assert.equal(good.code, 0, good.stderr);
      const { code, stderr } = await run(PROGRAM, ['older', bin('umbeld'), '-c', stack.config, '--check']);
      assert.equal(code, 1);
      assert.match(stderr, /system calls that the running one has given up .*restart the service/);
    } finally {
      await stack.stop();
    }
  });
});

function suite(user) {
  let stack, second;

  before(async () => {
    second = await freePort();
    stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, env: { CHAOS_USER: user ? String(user) : '' } });
  });
  after(async () => {
    const end = await stack?.stop();
    assert.deepEqual(end, { code: 0, signal: null });
  });

  async function answers(prompt) {
    const client = Bmob.asks(stack, prompt);
    await until(`the answer to ${prompt}`, () => client.done);
    assert.equal(client.text, await stack.mock.text(MODEL, prompt));
    client.leave();
  }

  const pidOf = async (name) => (await stack.list('host list')).find((h) => h.transport === name && h.state === 'running')?.pid;

  /** Every thread of the daemon. */
  function confined() {
    const { pid } = stack.daemon;
    for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
      const s = status(`${pid}/task/${thread}`);
      assert.equal(s.Seccomp, '2', s.Name);
      assert.equal(s.NoNewPrivs, '1');
      assert.equal(s.Seccomp_filters ?? '1', own, `as many filters as at the start: ${s.Name}`);
      assert.equal(BigInt(`0x${s.CapEff}`) & ~KEPT, 0n, s.CapEff);
      assert.equal(BigInt(`0x${s.CapPrm}`) & ~KEPT, 0n, s.CapPrm);
      if (!user && isRoot) assert.equal(BigInt(`0x${s.CapBnd}`) & ~KEPT, 0n, s.CapBnd);
      if (user) assert.equal(s.CapEff, '0000000000000000');
    }
    assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0/);
    assert.equal(fs.statSync(`/proc/${pid}/environ`).uid, 0, 'not dumpable: its files in /proc are root\'s');
  }
  const own = String(Number(status('self').Seccomp_filters ?? 0) + 1);

  test('each thread of the daemon has given up what it says', async (t) => {
    await answers('one');
    assert.match(stack.daemon.lines, /confined: capabilities [0-9a-f]+, seccomp$/m);
    t.diagnostic(/confined: .*/.exec(stack.daemon.lines)[0]);
    confined();
    if (!user && isRoot) assert.equal(has(stack.daemon.pid) & 0x4e0n, 0x4e0n & has('self'), 'kill, setgid, setuid and low ports are still there');
  });

  test('a host that has died is started again, as whom it was', async () => {
    const pid = await pidOf('bmob'), { Uid } = status(pid);
    process.kill(pid, 'SIGKILL');
    const again = await until('its successor', async () => {
      const now = await pidOf('bmob');
      return now && now !== pid && now;
    });
    assert.equal(status(again).Uid, Uid);
    await answers('two');
  });

  test('a reload adds a transport and its plugin, and one more upstream', async () => {
    const more = fs.readFileSync(stack.config, 'utf8') + `upstream other {\n base_url = "http://localhost:${new URL(stack.mock.url).port}/v1"\n models = { "*" }\n}\n` +
      `transport wx {\n plugin = "http-chunked-wxapp"\n listen = { "127.0.0.1:${second}" }\n apps = { "shop" }\n}\n`;
    fs.writeFileSync(stack.config, more);
    const { code, stderr } = await stack.ctl('reload');
    assert.equal(code, 0, stderr);
    await until('the new transport', () => pidOf('wx'));
    await answers('three');
    confined();
  });

  test('a plugin is upgraded, and the daemon itself, twice: no filter more, all work', async () => {
    const { code, stderr } = await stack.ctl('plugin', 'upgrade', 'bmob');
    assert.equal(code, 0, stderr);
    for (const round of [1, 2]) {
      const before_ = (stack.daemon.lines.match(/ runs, /g) ?? []).length;
      const upgrade = await stack.ctl('core', 'upgrade', '--wait', '5');
      assert.equal(upgrade.code, 0, upgrade.stderr);
      await until('the new program', () => (stack.daemon.lines.match(/ runs, /g) ?? []).length > before_ && !stack.daemon.end);
      await until('its hosts', async () => (await pidOf('bmob')) && (await pidOf('wx')));
      await answers(`upgraded ${round}`);
      confined();
    }
  });
}

describe('the daemon, started as we are', { skip: sanitized }, () => suite(0));
describe('the daemon, started by an ordinary user', { skip: sanitized || (!isRoot || !hasSetpriv() ? 'needs root and setpriv' : false) }, () => suite(NOBODY));

test('sandbox = off gives nothing up, and says so', { skip: sanitized }, async () => {
  const stack = await startStack({ transports: { bmob: { plugin: 'ws-bmob' } }, model: MODEL, core: { sandbox: 'off' } });
  try {
    const s = status(stack.daemon.pid);
    assert.equal(s.Seccomp, status('self').Seccomp);
    assert.equal(s.CapEff, status('self').CapEff);
    assert.equal(s.NoNewPrivs, '1');
    assert.match(stack.daemon.lines, /no seccomp, all capabilities kept \(sandbox = off\)/);
  } finally {
    await stack.stop();
  }
});

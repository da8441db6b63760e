// Goal: keys are minted that nobody can guess and that open an app; completion knows the commands, their options and what the daemon has, in bash
//   and in zsh.
// Method: umbelctl key mint again and again, its file in a real configuration; the completion scripts sourced by the real shells and asked as the
//   shells ask them, beside a running daemon.
// Catches: letters that are likelier than others, a key that comes twice, a file that is overwritten or readable; a script that one of the shells
//   does not understand, a list that is out of date.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startStack, run, bin, BIN } from './support.mjs';

let dir, stack;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-test-'));
});
after(async () => {
  await stack?.stop();
  await rm(dir, { recursive: true, force: true });
});
const ctl = (...args) => run(bin('umbelctl'), args);

describe('key mint', () => {
  test('keys of letters and digits, as long as their chance demands, each once, each letter as likely', async () => {
    const MINTED = 400; // so many that letters which are likelier by a quarter show
    const count = {}, keys = new Set();
    for (let i = 0; i < MINTED; i++) {
      const { code, stdout } = await ctl('key', 'mint', '--bytes', '64', '--json');
      assert.equal(code, 0);
      const { key, file } = JSON.parse(stdout);
      assert.equal(file, null);
      assert.match(key, /^[0-9A-Za-z]{86}$/); // 64 * 8 / log2(62)
      keys.add(key);
      for (const letter of key) count[letter] = (count[letter] ?? 0) + 1;
    }
    assert.equal(keys.size, MINTED);
    assert.equal(Object.keys(count).length, 62);
    const expected = (MINTED * 86) / 62, chi = Object.values(count).reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    assert.ok(chi < 140, `chi square ${chi} of 61 degrees`); // passed by chance but one time in ten million
    const { stdout } = await ctl('key', 'mint', '--prefix', 'shop-', '--json');
    assert.match(JSON.parse(stdout).key, /^shop-[0-9A-Za-z]{33}$/);
  });

  test('a file of its own that is never overwritten, and that opens an app', async () => {
    const file = path.join(dir, 'shop.key');
    const made = await ctl('key', 'mint', '--write', file);
    assert.equal(made.code, 0);
    const key = (await readFile(file, 'utf8')).trim();
    assert.ok(!made.stdout.includes(key) && made.stdout.includes(`keys = { "file:${file}" }`));
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const again = await ctl('key', 'mint', '--write', file);
    assert.deepEqual([again.code, /is there already/.test(again.stderr), (await readFile(file, 'utf8')).trim()], [1, true, key]);
    for (const bad of [['--bytes', '15'], ['--bytes', 'x'], ['--bytes', '65'], ['--prefix', 'a b'], ['--prefix', 'x'.repeat(33)]]) assert.equal((await ctl('key', 'mint', ...bad)).code, 2, bad.join(' '));
    stack = await startStack({ transports: { api: { plugin: 'openai-api' } }, app: { keys: [`file:${file}`] } });
    const status = async (bearer) => (await fetch(`http://127.0.0.1:${stack.ports.api}/v1/models`, { headers: { Authorization: `Bearer ${bearer}` } })).status;
    assert.deepEqual([await status(key), await status(`${key}x`)], [200, 401]);
  });
});

describe('manual pages', () => {
  test('they are correct mdoc and hold every command', async () => {
    const page = (name) => path.join(BIN, '../man', name);
    for (const name of ['umbeld.8', 'umbelctl.1', 'umbel.conf.5', 'umbel-plugin.7']) {
      const lint = await run('mandoc', ['-T', 'lint', '-W', 'warning', page(name)]);
      assert.deepEqual([lint.code, lint.stdout + lint.stderr], [0, ''], name);
      const shown = await run('man', ['--warnings', '-l', page(name)], { env: { ...process.env, LC_ALL: 'C.UTF-8', MANPAGER: 'cat', MANWIDTH: '200' } });
      assert.deepEqual([shown.code, shown.stderr], [0, ''], name);
    }
    const shown = (await run('mandoc', ['-T', 'utf8', '-O', 'width=200', page('umbelctl.1')])).stdout.replace(/.\x08/g, '');
    const help = (await ctl('--help')).stdout;
    let count = 0;
    for (const [, words] of help.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)) {
      assert.ok(shown.includes(`umbelctl ${words}`), words);
      count++;
    }
    assert.ok(count > 30);
  });
});

describe('completion', () => {
  const env = () => ({ ...process.env, PATH: `${BIN}:${process.env.PATH}`, UMBEL_RUNTIME_DIR: stack.dir });
  // What the shell would offer for these words, the last of which is being written.
  const asks = {
    async bash(script, words) {
      const list = ['umbelctl', ...words].map((w) => `'${w}'`).join(' ');
      const { code, stdout, stderr } = await run('bash', ['--norc', '-c', `. ${script}; compopt() { :; }; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _umbelctl; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p umbelctl`], { env: env(), cwd: dir });
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout, /complete -F _umbelctl umbelctl/);
      return stdout.split('\n').filter((line) => line && !line.startsWith('complete -F'));
    },
    async zsh(script, words) {
      const list = ['umbelctl', ...words].map((w) => `'${w}'`).join(' ');
      const { code, stdout, stderr } = await run('zsh', ['-f', '-c', `autoload -U compinit; compinit -u -D; . ${script}; compadd() { [[ $1 == -- ]] && shift; print -l -- "$@" }; _files() { print -l -- *(N) }; words=(${list}); CURRENT=${words.length + 1}; _umbelctl; (( $+_comps[umbelctl] )) || exit 9`], { env: env(), cwd: dir });
      assert.deepEqual([code, stderr], [0, '']);
      return stdout.split('\n').filter((line) => line && line.startsWith(words.at(-1))); // zsh itself does that
    },
  };
  for (const shell of ['bash', 'zsh'])
    test(`${shell}: commands, options, what the daemon has`, async () => {
      const script = path.join(dir, `completion.${shell}`);
      const made = await ctl('completion', shell);
      assert.deepEqual([made.code, made.stderr], [0, '']);
      await writeFile(script, made.stdout);
      const ask = (...words) => asks[shell](script, words);
      const help = (await ctl('--help')).stdout;
      const first = await ask('');
      for (const [, words] of help.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}/gm)) assert.ok(first.includes(words.split(' ')[0]), words);
      assert.deepEqual((await ask('strea')), ['stream']);
      assert.deepEqual((await ask('capture', 'st')).sort(), ['start', 'status', 'stop']);
      assert.deepEqual((await ask('capture', 'start', '--m')), ['--max-mb']);
      assert.deepEqual((await ask('stream', 'list', '--state', 'c')).sort(), ['cancelled', 'complete', 'connecting']);
      assert.deepEqual((await ask('--json', 'stream', 'list', '--sta')), ['--state']);
      assert.deepEqual((await ask('drain', 'a')), ['api']);
      assert.deepEqual((await ask('-s', stack.dir, 'host', 'restart', 'a')).sort(), ['api', 'api.0']);
      assert.deepEqual((await ask('-s', '/nonexistent', 'host', 'restart', 'a')), []);
      assert.deepEqual((await ask('upstream', 'probe', 'd')), ['demo']);
      assert.deepEqual((await ask('capture', 'start', '--with-request', '--u')), ['--upstream']);
      assert.deepEqual((await ask('replay', 'shop')), ['shop.key']);
      assert.deepEqual((await ask('completion', '')).filter((w) => !w.startsWith('-')).sort(), ['bash', 'zsh']);
    });

  test('other shells are told apart', async () => {
    assert.equal((await ctl('completion', 'fish')).code, 2);
    assert.equal((await ctl('completion')).code, 2);
  });
});

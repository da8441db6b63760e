// Goal: a capture holds what services sent, byte for byte, and a replay of it through the parsers says what was said then, however the bytes are
//   cut; a capture that cannot go on says so; questions and keys are not in it unless the questions were asked for.
// Method: answers good and bad of all dialects through a real daemon while a capture runs; umbelctl replay of its file; the file damaged, cut,
//   too small; filters; a cancelled answer.
// Catches: bytes lost or moved between answers, a digest that sees nothing, a parser that depends on cuts, a secret in the file, a file others
//   can read, a capture that grows without end.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile, stat, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { startStack, startMock, until, run, bin } from './support.mjs';

const SECRET = 'sk-capture-0123456789';
let mock, stack;
before(async () => {
  mock = await startMock();
  const url = `${mock.url}/v1`;
  const dialects = { claude: ['anthropic', url], llama: ['ollama', mock.url], bard: ['gemini', `${mock.url}/v1beta`], qwen: ['dashscope', mock.url] };
  stack = await startStack({
    mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstream: { api_key: 'env:CAPTURE_KEY' }, env: { CAPTURE_KEY: SECRET },
    upstreams: { ...Object.fromEntries(Object.entries(dialects).map(([name, [dialect, base_url]]) => [name, { dialect, base_url, models: ['*'] }])), dead: { base_url: 'http://127.0.0.1:9/v1', models: ['*'] } },
    apps: Object.fromEntries([...Object.keys(dialects), 'dead'].map((name) => [`of-${name}`, { upstreams: [name] }])),
  });
});
after(async () => {
  await stack?.stop();
  await mock?.stop();
});

const ctl = async (...args) => {
  const { code, stdout, stderr } = await stack.ctl(...args, '--json');
  return { code, stderr, ...(stdout ? JSON.parse(stdout) : {}) };
};
const ask = (model, app = 'shop', question = 'hello') => stack.ctl('chat', question, '--app', app, '--model', model, '--json');
const replay = async (file, ...args) => {
  const { code, stdout, stderr } = await run(bin('umbelctl'), ['replay', file, '--json', ...args]);
  return { code, stderr, ...(stdout ? JSON.parse(stdout) : {}) };
};
async function capture(options, work) {
  const started = await ctl('capture', 'start', ...options);
  assert.equal(started.code, 0, started.stderr + started.error);
  await work();
  const stopped = await ctl('capture', 'stop');
  assert.equal(stopped.code, 0, stopped.error);
  return stopped;
}

describe('captures', () => {
  let file;
  test('all dialects, all ends: identical, as they were cut and byte for byte', async () => {
    const specs = ['m:text=mixed:tokens=40:pace=0:cut=any', 'm:text=cjk:tokens=10:pace=0:reasoning=3:cut=utf8:gap=0', 'm:tool=1:pace=0', 'm:tokens=9:pace=0:close=4',
      'm:tokens=9:pace=0:errorat=3', 'm:pace=0:malformed=4', 'm:status=401', 'm:html=1', 'm:tokens=5:pace=0:http=close', 'm:tokens=5:pace=0:done=no:finish=no'];
    const texts = [];
    const { file: made, answers, ended, bytes } = await capture([], async () => {
      for (const app of ['shop', 'of-claude', 'of-llama', 'of-bard', 'of-qwen'])
        for (const spec of app === 'shop' ? specs : specs.slice(0, 5)) texts.push(JSON.parse((await ask(spec, app)).stdout || '{}').text);
    });
    file = made;
    assert.ok(answers >= 30, `${answers}`); // failing ones are tried again
    assert.equal(ended, 'stopped by an operator');
    const about = await stat(file);
    assert.deepEqual([about.mode & 0o777, about.size, path.dirname(file)], [0o600, bytes, path.join(stack.dir, 'captures')]);
    for (const cut of ['as-captured', 'every-byte']) {
      const all = await replay(file, '--cut', cut);
      assert.deepEqual([all.code, all.identical, all.different, all.unfinished, all.damage], [0, answers, 0, 0, ''], JSON.stringify(all.answers.filter((a) => a.result !== 'identical')));
      const verdicts = new Set(all.answers.map((a) => a.verdict));
      assert.deepEqual([...verdicts].sort(), ['complete', 'failed', 'truncated']);
      assert.deepEqual([...new Set(all.answers.map((a) => a.dialect))].sort(), ['anthropic', 'dashscope', 'gemini', 'ollama', 'openai']);
      const first = all.answers[0];
      assert.equal(first.text, await mock.text(specs[0], 'hello'));
      assert.match(first.stream, /^chatcmpl-[0-9a-f]{32}$/);
      assert.ok(first.usage.completion_tokens > 0 && first.first_byte_us > 0 && first.last_byte_us >= first.first_byte_us);
      assert.ok(all.answers.some((a) => a.tools.length > 0) && all.answers.some((a) => a.reasoning.startsWith('r0')));
    }
  });

  test('in words; one answer with its text', async () => {
    const one = await run(bin('umbelctl'), ['replay', file, '--answer', '1']);
    assert.equal(one.code, 0);
    assert.match(one.stdout, /^1 {2}identical {2}demo \(openai\) {2}chatcmpl-[0-9a-f]{32} {2}complete {2}\d+ bytes {2}\d+ events/);
    assert.ok(one.stdout.includes((await replay(file, '--answer', '1')).answers[0].text.split('\n')[0].replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '?').slice(0, 20)));
    assert.match(one.stdout, /\n1 answers: 1 identical, 0 different\n$/);
    assert.equal((await replay(file, '--answer', '99999')).code, 1);
    assert.equal((await replay('/nonexistent')).code, 1);
    assert.equal((await replay(file, '--cut', 'thrice')).code, 2);
  });

  test('neither the key nor the question; the question when it is asked for, never the key', async () => {
    const question = 'zebra-question-4711';
    const plain = await capture([], () => ask('m:tokens=3:pace=0', 'shop', question));
    const full = await capture(['--with-request'], () => ask('m:tokens=3:pace=0', 'shop', question));
    const [without, withIt] = [await readFile(plain.file), await readFile(full.file)];
    assert.ok(!without.includes('zebra') && !without.includes(SECRET));
    assert.ok(withIt.includes('"content":"zebra-question-4711"') && !withIt.includes(SECRET));
    assert.equal((await replay(full.file)).identical, 1);
    assert.ok(!stack.daemon.lines.includes('zebra'));
  });

  test('only one upstream, only one app; one capture at a time; nothing is recorded when it is off', async () => {
    const { file: some, answers } = await capture(['--upstream', 'claude'], async () => {
      assert.match((await ctl('capture', 'start')).error, /runs already/);
      await ask('m:tokens=3:pace=0');
      await ask('m:tokens=3:pace=0', 'of-claude');
    });
    assert.equal(answers, 1);
    assert.deepEqual((await replay(some)).answers.map((a) => [a.upstream, a.app]), [['claude', 'of-claude']]);
    const others = await capture(['--app', 'shop'], async () => {
      await ask('m:tokens=3:pace=0', 'of-claude');
      await ask('m:tokens=3:pace=0');
    });
    await ask('m:tokens=3:pace=0');
    assert.deepEqual((await replay(others.file)).answers.map((a) => a.app), ['shop']);
    for (const bad of [['--upstream', 'nobody'], ['--app', 'nobody'], ['--max-mb', '0'], ['--max-mb', 'x'], ['--for', '9'], ['--for', '25h'], ['--dir', 'relative'], ['--dir', '/nonexistent']]) {
      const refused = await ctl('capture', 'start', ...bad);
      assert.deepEqual([refused.code, refused.ok], [1, false], bad.join(' '));
    }
    assert.equal((await ctl('capture', 'stop')).code, 1);
    assert.equal((await stack.ctl('capture', 'start', '--with-request=no')).code, 2);
  });

  test('a full file ends it, and holds whole records', async () => {
    const dir = path.join(stack.dir, 'elsewhere');
    await mkdir(dir);
    await ctl('capture', 'start', '--max-mb', '1', '--dir', dir);
    const cut = (await stack.counter('captures_cut'))[0]?.value;
    await ask('m:text=ascii:bytes=1000:tokens=3000:pace=0');
    const state = await until('its end', async () => ((s) => !s.capturing && s)(await ctl('capture', 'status')));
    assert.equal(state.ended, 'the file is full');
    assert.ok((await stat(state.file)).size <= 1 << 20);
    await until('the counter', async () => (await stack.counter('captures_cut'))[0]?.value === (cut ?? 0) + 1);
    const all = await until('the file', async () => ((r) => r.stop && r)(await replay(state.file)));
    assert.deepEqual([all.code, all.unfinished, all.damage, all.stop.reason], [0, 1, '', 'the file is full']);
    assert.match(stack.daemon.lines, /capture .* ends: the file is full/);
  });

  test('its time is over', async () => {
    await ctl('capture', 'start', '--for', '1s');
    const state = await until('its end', async () => ((s) => !s.capturing && s)(await ctl('capture', 'status')));
    assert.equal(state.ended, 'its time is over');
    await until('the next may begin', async () => (await ctl('capture', 'start')).code === 0);
    assert.equal((await ctl('capture', 'stop')).code, 0);
  });

  test('a cancelled answer, one that was still running, one that never reached the service', async () => {
    const first = await capture([], async () => {
      const asked = ask('m:tokens=100000:pace=5');
      const id = await until('it to stream', async () => (await stack.list('stream list --state streaming'))[0]?.id);
      await stack.ctl('stream', 'cancel', id);
      await asked;
    });
    for (const cut of ['as-captured', 'every-byte']) {
      const { answers } = await replay(first.file, '--cut', cut);
      assert.deepEqual(answers.map((a) => [a.result, a.verdict, a.differs]), [['identical', 'cancelled', '']]);
      assert.ok(answers[0].text.length > 0);
    }
    let asked, id;
    const second = await capture([], async () => {
      asked = ask('m:tokens=100000:pace=5');
      id = await until('it to stream', async () => (await stack.list('stream list --state streaming'))[0]?.id);
    });
    await stack.ctl('stream', 'cancel', id);
    await asked;
    assert.deepEqual((await replay(second.file)).answers.map((a) => a.result), ['unfinished']);
    const third = await capture([], () => ask('m', 'of-dead'));
    const { code, answers } = await replay(third.file);
    assert.deepEqual([code, answers.length > 0, answers.every((a) => a.result === 'nothing')], [0, true, true]);
  });

  test('a changed byte is a damaged file; a changed answer is told; a cut file is read as far as it goes', async () => {
    const bytes = await readFile(file);
    const copy = path.join(stack.dir, 'copy.umbelcap');
    const whole = await replay(file);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(copy, bytes);
    const damaged = await replay(copy);
    assert.deepEqual([damaged.code, /damaged/.test(damaged.damage)], [1, true]);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(copy, bytes.subarray(0, bytes.length >> 1));
    const short = await replay(copy);
    assert.deepEqual([short.code, short.different, /ends within a record/.test(short.damage)], [0, 0, true]);
    assert.ok(short.identical > 0 && short.identical < whole.identical);
    // one letter of a text, with the sum made right again
    await writeFile(copy, resum(bytes, (record) => {
      const at = record.type === 4 ? record.payload.indexOf('"content":"') : -1;
      if (at < 0) return false;
      record.payload[at + 11] = record.payload[at + 11] === 0x41 ? 0x42 : 0x41;
      return true;
    }));
    const changed = await replay(copy);
    assert.deepEqual([changed.code, changed.different], [1, 1]);
    assert.match(changed.answers.find((a) => a.result === 'different').differs, /events/);
    await writeFile(copy, 'no capture at all');
    assert.match((await replay(copy)).stderr, /is no capture/);
  });
});

// Changes the first record that edit() takes, as docs/capture-format.md describes the file.
function resum(file, edit) {
  const bytes = Buffer.from(file);
  for (let at = 16; at + 32 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at), record = { type: bytes.readUInt32LE(at + 4), payload: bytes.subarray(at + 32, at + 32 + size) };
    if (edit(record)) {
      let sum = 0xcbf29ce484222325n;
      for (const byte of [...bytes.subarray(at, at + 24), ...record.payload]) sum = ((sum ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
      bytes.writeBigUInt64LE(sum, at + 24);
      break;
    }
    at += 32 + size;
  }
  return bytes;
}

// Goal: a real daemon asks services of every dialect and gives their clients the exact text, thinking, tool calls, counts and an honest end.
// Method: the mock model server in each dialect behind umbeld; clients over ws-bmob and the OpenAI API.
// Catches: a request that the service would refuse, a system prompt or a parameter lost, text lost or doubled, a failure told as a clean end.
// Run: UMBEL_BIN=build/dev/bin node --test tests/integration/dialects.test.mjs
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import WebSocket from 'ws';
import { startStack, startMock, until, run, bin, KEY } from './support.mjs';

const FAILED = 'The model service failed, try again later.';
const SYSTEM = 'be "kind"\nand brief';
const SECRET = 'sesame-0123456789';
const user = (content) => ({ role: 'user', content });

/** One question over ws-bmob, to its end: the text. */
async function ask(stack, model, content, more = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${stack.ports.bmob}/1/ai/${KEY}`, { perMessageDeflate: false });
  let text = '', finish;
  const lost = new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
  });
  lost.catch(() => {});
  ws.on('message', (data) => {
    const { choices } = JSON.parse(data);
    if (!choices) return;
    text += choices[0].delta.content;
    finish = choices[0].finish_reason ?? finish;
  });
  ws.on('open', () => ws.send(JSON.stringify({ model, messages: [user(content)], ...more })));
  await Promise.race([until('the end of the answer', () => finish), lost]);
  ws.terminate();
  return text;
}

const dialects = {
  openai: { path: '/v1', asked: (body) => assert.deepEqual(body.messages, [{ role: 'system', content: SYSTEM }, user('who?')]) },
  anthropic: {
    path: '/v1',
    asked: (body, model) => assert.deepEqual(body, { model, stream: true, max_tokens: 4096, system: SYSTEM, messages: [user('who?')] }),
  },
  ollama: {
    path: '',
    asked: (body, model) => assert.deepEqual(body, { model, stream: true, messages: [{ role: 'system', content: SYSTEM }, user('who?')] }),
  },
  gemini: {
    path: '/v1beta',
    asked: (body) => assert.deepEqual(body, { systemInstruction: { parts: [{ text: SYSTEM }] }, contents: [{ role: 'user', parts: [{ text: 'who?' }] }] }),
  },
  dashscope: {
    path: '/api/v1',
    asked: (body, model) =>
      assert.deepEqual(body, { model, input: { messages: [{ role: 'system', content: SYSTEM }, user('who?')] }, parameters: { result_format: 'message' } }),
  },
};

for (const [name, dialect] of Object.entries(dialects))
  describe(`dialect ${name}`, () => {
    let mock, stack, api;
    before(async () => {
      mock = await startMock(['--require-key', SECRET]);
      stack = await startStack({
        mock,
        transports: { bmob: { plugin: 'ws-bmob' }, api: { plugin: 'openai-api' } },
        upstream: { dialect: name, base_url: mock.url + dialect.path, api_key: 'env:DIALECT_KEY', idle_timeout_ms: 1500 },
        app: { system: SYSTEM, history: 'off' },
        env: { DIALECT_KEY: SECRET },
      });
      api = new OpenAI({ apiKey: KEY, baseURL: `http://127.0.0.1:${stack.ports.api}/v1`, maxRetries: 0 });
    });
    after(async () => {
      await stack?.stop();
      await mock?.stop();
    });

    for (const options of ['text=mixed:tokens=200:pace=0', 'text=emoji:cut=any:chunks=any:pace=1', 'text=cjk:cut=utf8:tokens=30:pace=0', 'text=echo:cut=byte:pace=0', 'text=mixed:http=close:pace=0',
      'text=demo:comments=2:pace=1', 'text=demo:reasoning=4:pace=1', 'text=mixed:eol=crlf:pace=0', 'text=mixed:eol=lf:eof=noeol:pace=0'])
      test(`exact text: ${options}`, async () => {
        const model = `x:${options}`;
        assert.equal(await ask(stack, model, 'Say “x”\\ "y"'), await mock.text(model, 'Say “x”\\ "y"'));
      });

    test('the system prompt reaches the service, and nothing else is asked', async () => {
      const model = 's:text=request:pace=0';
      dialect.asked(JSON.parse(await ask(stack, model, 'who?')), model);
    });

    for (const fault of ['errorat=5', 'errorat=5:errordone=1', 'endchunk=5', 'close=5', 'reset=5', 'malformed=9', 'stall=5'])
      test(`a failure in the middle is told: ${fault}`, async () => {
        const model = `f:text=ascii:tokens=20:pace=1:${fault}`;
        const text = await ask(stack, model, 'q');
        assert.ok(text.endsWith(`\n${FAILED}`), text);
        const so_far = text.slice(0, -FAILED.length - 1);
        assert.ok(so_far.length > 0 && so_far.length < (await mock.text(model, 'q')).length);
        assert.ok((await mock.text(model, 'q')).startsWith(so_far), 'the text so far is the truth');
      });

    for (const [model, expected] of [['r:status=429', 'Too many requests, try again later.'], ['r:status=401', FAILED], ['r:status=404', FAILED], ['r:status=200json', FAILED], ['r:gzip=1', FAILED], ['r:html=1', FAILED]])
      test(`before any text: ${model}`, async () => {
        assert.equal(await ask(stack, model, 'q'), expected);
      });

    test('an end without its marker is an end', async () => {
      const model = 'e:text=count:tokens=5:pace=0:done=no';
      const text = await ask(stack, model, 'q');
      if (name === 'ollama') assert.ok(text.endsWith(`\n${FAILED}`), 'its marker carries the reason');
      else assert.equal(text, await mock.text(model, 'q'));
    });

    test('thinking, tool calls, counts and limits, as the OpenAI API tells them', async () => {
      let thought = '', said = '', usage, finish;
      const options = { stream: true, stream_options: { include_usage: true }, messages: [user('hi there')] };
      for await (const chunk of await api.chat.completions.create({ model: 't:text=echo:reasoning=3:pace=0', ...options })) {
        thought += chunk.choices[0]?.delta?.reasoning_content ?? '';
        said += chunk.choices[0]?.delta?.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
      }
      assert.deepEqual([thought, said, finish], ['r0 r1 r2', 'hi there', 'stop']);
      assert.equal(usage.completion_tokens, 5);
      assert.ok(usage.prompt_tokens > 0);
      const tools = [{ type: 'function', function: { name: 'get_weather', description: 'd', parameters: { type: 'object', properties: {} } } }];
      const { choices: [choice] } = await api.chat.completions.create({ model: 't:tool=1:pace=0', messages: options.messages, tools, tool_choice: 'auto' });
      assert.equal(choice.finish_reason, 'tool_calls');
      assert.equal(choice.message.tool_calls.length, 1);
      assert.equal(choice.message.tool_calls[0].function.name, 'get_weather');
      assert.ok(choice.message.tool_calls[0].id);
      assert.deepEqual(JSON.parse(choice.message.tool_calls[0].function.arguments), { city: '杭州', unit: 'celsius' });
      const back = [user('weather?'), choice.message, { role: 'tool', tool_call_id: choice.message.tool_calls[0].id, content: '21 °C' }, user('and now?')];
      const after = await api.chat.completions.create({ model: 't:text=echo:pace=0', messages: back, tools, temperature: 0.5, top_p: 0.9, stop: ['###'] });
      assert.equal(after.choices[0].message.content, 'and now?');
      const limited = await api.chat.completions.create({ model: 't:text=count:tokens=9:pace=0', messages: options.messages, max_tokens: 4 });
      assert.deepEqual([limited.choices[0].message.content, limited.choices[0].finish_reason], ['t0 t1 t2 t3', 'length']);
    });

    if (name === 'gemini')
      test('the array form, as it streams', async () => {
        for (const options of ['text=mixed:tokens=100:cut=any:pace=1:array=1', 'text=cjk:cut=byte:tokens=10:pace=0:array=1']) {
          const model = `a:${options}`;
          assert.equal(await ask(stack, model, 'x'), await mock.text(model, 'x'));
        }
        assert.ok((await ask(stack, 'a:text=ascii:tokens=9:pace=0:array=1:errorat=4', 'x')).endsWith(`\n${FAILED}`));
        assert.equal(await ask(stack, 'a:status=200json:array=1', 'x'), FAILED);
      });
  });

describe('quirks of an upstream', () => {
  let mock;
  before(async () => {
    mock = await startMock();
  });
  after(() => mock?.stop());

  test('dashscope with incremental_output asks for deltas', async () => {
    const stack = await startStack({ mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstream: { dialect: 'dashscope', base_url: `${mock.url}/api/v1`, quirks: ['incremental_output'] } });
    try {
      const model = 'd:text=mixed:tokens=100:reasoning=2:pace=0';
      assert.equal(await ask(stack, model, 'x'), await mock.text(model, 'x'));
      assert.equal(JSON.parse(await ask(stack, 'd:text=request:pace=0', 'x')).parameters.incremental_output, true);
    } finally {
      await stack.stop();
    }
  });

  test('openai with no-done_missing and no-stream_options', async () => {
    const stack = await startStack({ mock, transports: { bmob: { plugin: 'ws-bmob' } }, upstream: { quirks: ['no-done_missing', 'no-stream_options'] } });
    try {
      assert.ok((await ask(stack, 'o:text=count:tokens=5:pace=0:done=no', 'x')).endsWith(`\n${FAILED}`));
      assert.equal(JSON.parse(await ask(stack, 'o:text=request:pace=0', 'x')).stream_options, undefined);
    } finally {
      await stack.stop();
    }
  });

  test('a wrong dialect, quirk or base_url is told with its line and what to write', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'umbel-test-'));
    const file = path.join(dir, 'umbel.conf');
    try {
      for (const [options, words] of [
        ['dialect = morse', /umbel\.conf:2: dialect = morse is unknown, expected one of openai, anthropic, ollama, gemini, dashscope/],
        ['quirks = { thinking, no-dones_missing }', /umbel\.conf:2: .*did you mean no-done_missing/],
        ['dialect = anthropic\nbase_url = "https://h.example/v1/messages"', /umbel\.conf:3: base_url .*write base_url = https:\/\/h\.example\/v1$/m],
      ]) {
        await writeFile(file, `upstream demo {\n${options}\n${options.includes('base_url') ? '' : 'base_url = "https://h.example/v1"\n'}}\n`, { mode: 0o600 });
        for (const args of [['--check', '-c', file], ['-c', file, '--runtime-dir', dir]]) {
          const { code, stderr } = await run(bin('umbeld'), args);
          assert.equal(code, 2, stderr);
          assert.match(stderr, words);
        }
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

// Goal: the mock model server speaks every dialect as its service does, and refuses what that service would refuse, because the daemon's
// tests believe it.
// Method: requests by node's own fetch, against a real server process; answers read by small readers of this file's own.
// Catches: a dialect that only our own reader understands, lost or doubled tokens, a wrong request that goes through.
// Run: UMBEL_MOCK_LLM=path/to/umbel-mock-llm node --test tests/integration/mock_dialects.test.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';

const binary = process.env.UMBEL_MOCK_LLM;
const skip = binary ? false : 'UMBEL_MOCK_LLM does not name the server binary';

// The events of a body: { event, status, data } with data parsed.
function events(text, eol) {
  if (eol === '\r\n') assert.ok(!/[^\r]\n/.test(text), 'every line ends with CR LF');
  const list = [];
  for (const block of text.split(eol + eol).slice(0, -1)) {
    const event = {};
    for (const line of block.split(eol)) {
      if (line.startsWith(':HTTP_STATUS/')) event.status = Number(line.slice(13));
      else if (line.startsWith(':')) event.comment = line;
      else if (line.startsWith('event:')) event.event = line.slice(6).trim();
      else if (line.startsWith('data:')) event.data = JSON.parse(line.slice(5));
      else assert.match(line, /^id:\d+$/);
    }
    list.push(event);
  }
  return list;
}

const anthropic = {
  path: () => '/v1/messages',
  headers: { 'anthropic-version': '2023-06-01' },
  key: (key) => ({ 'x-api-key': key }),
  body: (model, prompt, more) => ({ model, max_tokens: 100000, stream: true, messages: [{ role: 'user', content: prompt }], ...more }),
  limit: (n) => ({ max_tokens: n }),
  type: 'text/event-stream; charset=utf-8',
  read(text) {
    const list = events(text, '\n').filter((e) => e.event !== 'ping');
    const result = { text: '', thinking: '', tool: '', finish: undefined };
    let open;
    for (const { event, data } of list) {
      assert.equal(event, data.type);
      assert.ok(!result.done, 'nothing follows the end');
      if (event === 'content_block_start') {
        assert.equal(open, undefined);
        open = data.index;
        if (data.content_block.type === 'tool_use') result.name = data.content_block.name;
      } else if (event === 'content_block_delta') {
        assert.equal(data.index, open);
        if (data.delta.type === 'text_delta') result.text += data.delta.text;
        if (data.delta.type === 'thinking_delta') result.thinking += data.delta.thinking;
        if (data.delta.type === 'input_json_delta') result.tool += data.delta.partial_json;
      } else if (event === 'content_block_stop') open = undefined;
      else if (event === 'message_start') result.input = data.message.usage.input_tokens;
      else if (event === 'message_delta') [result.finish, result.output] = [data.delta.stop_reason, data.usage.output_tokens];
      else if (event === 'message_stop') result.done = true;
      else if (event === 'error') result.error = data.error.message;
      else assert.fail(event);
    }
    return result;
  },
  words: { stop: 'end_turn', length: 'max_tokens', tool: 'tool_use' },
  refused: (body) => (assert.equal(body.type, 'error'), body.error.message),
};

const ollama = {
  path: () => '/api/chat',
  headers: {},
  key: (key) => ({ authorization: `Bearer ${key}` }),
  body: (model, prompt, more) => ({ model, messages: [{ role: 'user', content: prompt }], ...more }),
  limit: (n) => ({ options: { num_predict: n } }),
  type: 'application/x-ndjson',
  read(text) {
    const result = { text: '', thinking: '', tool: '' };
    assert.ok(text.endsWith('\n'));
    for (const line of text.slice(0, -1).split('\n')) {
      const object = JSON.parse(line);
      assert.ok(!result.done, 'nothing follows the end');
      if (object.error) {
        result.error = object.error;
        continue;
      }
      result.text += object.message.content;
      result.thinking += object.message.thinking ?? '';
      for (const call of object.message.tool_calls ?? []) [result.name, result.tool] = [call.function.name, JSON.stringify(call.function.arguments)];
      if (object.done) Object.assign(result, { done: true, finish: object.done_reason, input: object.prompt_eval_count, output: object.eval_count });
    }
    return result;
  },
  words: { stop: 'stop', length: 'length', tool: 'stop' },
  refused: (body) => body.error,
};

const gemini = {
  path: (model) => `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
  headers: {},
  key: (key) => ({ 'x-goog-api-key': key }),
  body: (model, prompt, more) => ({ contents: [{ role: 'user', parts: [{ text: prompt }] }], ...more }),
  limit: (n) => ({ generationConfig: { maxOutputTokens: n } }),
  type: 'text/event-stream',
  read: (text) => gemini.collect(events(text, '\r\n').filter((e) => !e.comment).map((e) => e.data)),
  collect(objects) {
    const result = { text: '', thinking: '', tool: '', done: true };
    for (const object of objects) {
      if (object.error) {
        result.error = object.error.message;
        continue;
      }
      const [candidate] = object.candidates;
      for (const part of candidate.content.parts) {
        if (part.functionCall) [result.name, result.tool] = [part.functionCall.name, JSON.stringify(part.functionCall.args)];
        else result[part.thought ? 'thinking' : 'text'] += part.text;
      }
      result.finish = candidate.finishReason;
      result.input = object.usageMetadata.promptTokenCount;
      result.output = object.usageMetadata.candidatesTokenCount + object.usageMetadata.thoughtsTokenCount;
    }
    return result;
  },
  words: { stop: 'STOP', length: 'MAX_TOKENS', tool: 'STOP' },
  refused: (body) => (assert.ok(body.error.status), body.error.message),
};

const dashscope = {
  path: () => '/api/v1/services/aigc/text-generation/generation',
  headers: { 'x-dashscope-sse': 'enable' },
  key: (key) => ({ authorization: `Bearer ${key}` }),
  body: (model, prompt, more = {}) => ({ model, input: { messages: [{ role: 'user', content: prompt }] }, ...more, parameters: { result_format: 'message', ...more.parameters } }),
  limit: (n) => ({ parameters: { max_tokens: n } }),
  type: 'text/event-stream;charset=UTF-8',
  read: (text, deltas = false) => {
    const result = { text: '', thinking: '', tool: '', done: true };
    for (const { event, status, data, comment } of events(text, '\n')) {
      if (comment && !data) continue;
      assert.equal(event, status === 200 ? 'result' : 'error');
      if (event === 'error') {
        result.error = data.message;
        continue;
      }
      const [{ message, finish_reason }] = data.output.choices;
      const call = message.tool_calls?.[0]?.function;
      for (const [name, value] of [['text', message.content], ['thinking', message.reasoning_content], ['tool', call?.arguments ?? (deltas ? '' : result.tool)]]) {
        if (!deltas) assert.ok(value.startsWith(result[name]), 'each event repeats all before it');
        result[name] = deltas ? result[name] + value : value;
      }
      result.name = call?.name ?? result.name;
      result.finish = finish_reason === 'null' ? undefined : finish_reason;
      result.input = data.usage.input_tokens;
      result.output = data.usage.output_tokens;
    }
    return result;
  },
  words: { stop: 'stop', length: 'length', tool: 'tool_calls' },
  refused: (body) => (assert.ok(body.code), body.message),
};

describe('mock-llm dialects', { skip, concurrency: false }, () => {
  let child, base;
  before(async () => {
    child = spawn(binary, ['--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout, 'data');
    base = `http://${/^listening on (\S+)\n/.exec(line)[1]}`;
  });
  after(async () => {
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
  });
  const call = (dialect, model, prompt, more, headers = {}) =>
    fetch(base + dialect.path(model), { method: 'POST', headers: { ...dialect.headers, ...headers }, body: JSON.stringify(dialect.body(model, prompt, more)) });
  const said = async (model, prompt) => (await fetch(`${base}/mock/text?model=${encodeURIComponent(model)}&prompt=${encodeURIComponent(prompt)}`)).text();

  for (const [name, dialect] of Object.entries({ anthropic, ollama, gemini, dashscope })) {
    test(`${name}: every text, thinking, tool calls, limits, counts`, async () => {
      for (const options of ['text=mixed:tokens=80', 'text=echo', 'text=emoji:tokens=20:cut=any:chunks=any', 'text=demo:comments=3', 'text=cjk:http=close:reasoning=3', 'text=empty']) {
        const model = `d:pace=0:${options}`;
        const response = await call(dialect, model, 'Say "x"\\ 你好\n');
        assert.equal(response.status, 200);
        assert.equal(response.headers.get('content-type'), dialect.type);
        const answer = dialect.read(await response.text());
        assert.equal(answer.text, await said(model, 'Say "x"\\ 你好\n'), model);
        assert.equal(answer.thinking, options.includes('reasoning') ? 'r0 r1 r2' : '');
        assert.equal(answer.finish, dialect.words.stop);
        assert.ok(answer.done && !answer.error);
        assert.ok(answer.input > 0);
      }
      const limited = dialect.read(await (await call(dialect, 'd:text=count:tokens=9:pace=0', 'x', dialect.limit(3))).text());
      assert.deepEqual([limited.text, limited.finish, limited.output], ['t0 t1 t2', dialect.words.length, 3]);
      const tool = dialect.read(await (await call(dialect, 'd:tool=1:pace=0', 'x')).text());
      assert.deepEqual([tool.name, JSON.parse(tool.tool), tool.finish], ['get_weather', { city: '杭州', unit: 'celsius' }, dialect.words.tool]);
    });

    test(`${name}: faults and refusals`, async () => {
      const failed = dialect.read(await (await call(dialect, 'd:text=count:tokens=9:pace=0:errorat=3', 'x')).text());
      assert.equal(failed.text, 't0 t1 t2');
      assert.match(failed.error, /had an error/);
      assert.equal(failed.finish, undefined);
      await assert.rejects(async () => (await call(dialect, 'd:text=count:tokens=9:pace=0:reset=3', 'x')).text());
      await assert.rejects(async () => dialect.read(await (await call(dialect, 'd:text=count:tokens=9:pace=0:malformed=3', 'x')).text()), SyntaxError);
      for (const status of [400, 401, 404, 429, 500, 503]) {
        const response = await call(dialect, `d:status=${status}`, 'x');
        assert.equal(response.status, status);
        assert.ok(dialect.refused(await response.json()).length > 10);
      }
      const unknown = await call(dialect, 'd', 'x', { logprobs: true });
      assert.equal(unknown.status, 400);
      assert.match(dialect.refused(await unknown.json()), /unknown member: logprobs/);
      const bad = await call(dialect, 'd:nonsense=1', 'x');
      assert.equal(bad.status, 400);
      assert.match(dialect.refused(await bad.json()), /nonsense/);
    });

    test(`${name}: text=request says what was asked`, async () => {
      const model = 'd:text=request:pace=0';
      assert.deepEqual(JSON.parse(dialect.read(await (await call(dialect, model, 'x')).text()).text), dialect.body(model, 'x'));
    });
  }

  test('gemini: without alt=sse, or with array=1, one JSON array', async () => {
    for (const [model, query] of [['d:text=mixed:tokens=30:pace=0', ''], ['d:text=mixed:tokens=30:pace=0:array=1', '?alt=sse']]) {
      const response = await fetch(`${base}/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent${query}`, { method: 'POST', body: JSON.stringify(gemini.body(model, 'x')) });
      assert.equal(response.headers.get('content-type'), 'application/json; charset=UTF-8');
      const answer = gemini.collect(await response.json());
      assert.equal(answer.text, await said(model, 'x'));
      assert.equal(answer.finish, 'STOP');
    }
  });

  test('dashscope: deltas if asked for', async () => {
    const model = 'd:text=mixed:tokens=30:pace=0:reasoning=2';
    const answer = dashscope.read(await (await call(dashscope, model, 'x', { parameters: { incremental_output: true } })).text(), true);
    assert.deepEqual([answer.text, answer.thinking, answer.finish], [await said(model, 'x'), 'r0 r1', 'stop']);
  });

  test('what each service would refuse', async () => {
    const user = { role: 'user', content: 'x' };
    const refused = async (dialect, body, headers = dialect.headers) => {
      const response = await fetch(base + dialect.path('d'), { method: 'POST', headers, body: JSON.stringify(body) });
      assert.equal(response.status, 400, JSON.stringify(body));
      dialect.refused(await response.json());
    };
    await refused(anthropic, anthropic.body('d', 'x'), {});
    await refused(anthropic, { model: 'd', stream: true, messages: [user] });
    await refused(anthropic, anthropic.body('d', 'x', { stream: false }));
    await refused(anthropic, anthropic.body('d', 'x', { messages: [{ role: 'system', content: 's' }, user] }));
    await refused(anthropic, anthropic.body('d', ''));
    await refused(anthropic, anthropic.body('d', 'x', { messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] }));
    await refused(ollama, ollama.body('d', [{ type: 'text', text: 'x' }]));
    await refused(ollama, ollama.body('d', 'x', { messages: [user, { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] }] }));
    await refused(gemini, gemini.body('d', 'x', { contents: [{ role: 'assistant', parts: [{ text: 'x' }] }] }));
    await refused(gemini, gemini.body('d', 'x', { contents: [{ role: 'user', parts: [] }] }));
    await refused(gemini, gemini.body('d', 'x', { generationConfig: { max_tokens: 1 } }));
    await refused(dashscope, dashscope.body('d', 'x'), {});
    await refused(dashscope, { model: 'd', input: { messages: [user] } });
    await refused(dashscope, { model: 'd', messages: [user], parameters: { result_format: 'message' } });
  });

  test('--require-key looks where the dialect has its key', async () => {
    const keyed = spawn(binary, ['--listen', '127.0.0.1:0', '--require-key', 'sesame'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(keyed.stdout, 'data');
    const address = `http://${/^listening on (\S+)\n/.exec(line)[1]}`;
    for (const dialect of [anthropic, ollama, gemini, dashscope])
      for (const [key, status] of [['sesame', 200], ['other', 401]]) {
        const model = 'k:text=echo:pace=0';
        const response = await fetch(address + dialect.path(model), { method: 'POST', headers: { ...dialect.headers, ...dialect.key(key) }, body: JSON.stringify(dialect.body(model, 'x')) });
        assert.equal(response.status, status);
        await response.arrayBuffer();
      }
    keyed.kill('SIGTERM');
    await once(keyed, 'exit');
  });
});

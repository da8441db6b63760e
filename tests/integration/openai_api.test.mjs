// The OpenAI API of a real daemon, driven by the published openai package, fetch and EventSource.
// Run: UMBEL_BIN=build/dev/bin node --test tests/integration/openai_api.test.mjs
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { createParser } from 'eventsource-parser';
import { startStack, until, KEY } from './support.mjs';
import { rawConnect, get, post } from './http_raw.mjs';

const OTHER = 'another-key-1234';

describe('openai-api', () => {
  let stack, base, client;
  before(async () => {
    stack = await startStack({
      transports: {
        api: { plugin: 'openai-api', models: ['api:text=mixed', 'second'] },
        wx: { plugin: 'http-chunked-wxapp' },
      },
      model: 'api:text=mixed:tokens=60:pace=1',
      apps: { other: { keys: [OTHER] } },
    });
    base = `http://127.0.0.1:${stack.ports.api}/v1`;
    client = new OpenAI({ apiKey: KEY, baseURL: base, maxRetries: 0 });
  });
  after(() => stack?.stop());

  const messages = [{ role: 'user', content: 'x' }];
  const call = (path, options = {}) =>
    fetch(`${base}${path}`, { ...options, headers: { authorization: `Bearer ${KEY}`, ...options.headers } });
  const events = (text) => {
    const list = [];
    createParser({ onEvent: (event) => list.push(event.data) }).feed(text);
    return list;
  };
  const textOf = (list) => list.filter((d) => d !== '[DONE]').map((d) => JSON.parse(d).choices?.[0]?.delta?.content ?? '').join('');

  test('stream: true', async () => {
    const stream = await client.chat.completions.create({ model: 'api:text=mixed:tokens=60:pace=1', stream: true, stream_options: { include_usage: true }, messages });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '' });
    assert.equal(chunks.map((c) => c.choices[0]?.delta?.content ?? '').join(''), await stack.mock.text('api:text=mixed:tokens=60:pace=1', 'x'));
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  });

  test('stream: false; the app\'s model without model', async () => {
    const { data, response } = await client.chat.completions.create({ messages }).withResponse();
    assert.equal(data.object, 'chat.completion');
    assert.equal(data.id, response.headers.get('x-umbel-stream'));
    assert.equal(data.choices[0].message.content, await stack.mock.text('api:text=mixed:tokens=60:pace=1', 'x'));
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  });

  test('tool calls and reasoning pass through, streamed and whole', async () => {
    const tool = { model: 'tool:tool=1:pace=0', messages, tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] };
    const whole = await client.chat.completions.create(tool);
    assert.equal(whole.choices[0].finish_reason, 'tool_calls');
    assert.equal(whole.choices[0].message.content, null);
    const [made] = whole.choices[0].message.tool_calls;
    assert.ok(made.id && made.function.name);
    JSON.parse(made.function.arguments);
    let name = '', json = '', reason;
    for await (const chunk of await client.chat.completions.create({ ...tool, stream: true })) {
      const fragment = chunk.choices[0]?.delta?.tool_calls?.[0]?.function;
      name += fragment?.name ?? '';
      json += fragment?.arguments ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
    }
    assert.deepEqual([name, json, reason], [made.function.name, made.function.arguments, 'tool_calls']);
    const think = { model: 'think:reasoning=3:text=echo:pace=0', messages };
    assert.equal((await client.chat.completions.create(think)).choices[0].message.reasoning_content, 'r0 r1 r2');
    let thought = '', said = '';
    for await (const chunk of await client.chat.completions.create({ ...think, stream: true })) {
      thought += chunk.choices[0]?.delta?.reasoning_content ?? '';
      said += chunk.choices[0]?.delta?.content ?? '';
    }
    assert.deepEqual([thought, said], ['r0 r1 r2', 'x']);
  });

  test('parameters are passed on', async () => {
    const model = 'param:text=count:tokens=50:pace=0';
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 5 });
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.choices[0].message.content, 't0 t1 t2 t3 t4');
  });

  test('errors before text: status and body', async () => {
    const refused = async (call_) => {
      try {
        await call_;
      } catch (error) {
        return error;
      }
      assert.fail('it was not refused');
    };
    const bad = new OpenAI({ apiKey: 'wrong', baseURL: base, maxRetries: 0 });
    for (const stream of [true, false]) {
      const error = await refused(bad.chat.completions.create({ messages, stream }));
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.code, 'invalid_api_key');
      assert.equal((await refused(client.chat.completions.create({ model: 'e:status=500', messages, stream }))).status, 502);
      assert.equal((await refused(client.chat.completions.create({ model: 'e:status=429', messages, stream }))).status, 429);
      assert.equal((await refused(client.chat.completions.create({ model: 'e:text=count:tokens=9:pace=0:reset=0', messages, stream }))).status, 502);
      assert.equal((await refused(client.chat.completions.create({ messages: [], stream }))).status, 400);
      assert.equal((await refused(client.chat.completions.create({ messages, stream, n: 2 }))).status, 400);
    }
    assert.equal((await call('/chat/completions', { method: 'POST', body: '{' })).status, 400);
    assert.equal((await call('/chat/completions')).status, 405);
    assert.equal((await call('/nothing')).status, 404);
    assert.equal((await call('/chat/completions', { method: 'POST', body: 'x'.repeat((1 << 20) + 1) })).status, 413);
    assert.equal((await fetch(`${base}/models`)).status, 401);
    for (const status of [(await call(`/models?${'x'.repeat(17000)}`)).status]) assert.equal(status, 414);
  });

  test('a failure after text: the package throws, nothing looks like an end', async () => {
    const body = { model: 'cut:text=count:tokens=9:pace=5:reset=4', messages, stream: true };
    let text = '';
    await assert.rejects(async () => {
      for await (const chunk of await client.chat.completions.create(body)) text += chunk.choices[0]?.delta?.content ?? '';
    });
    assert.equal(text, 't0 t1 t2 t3');
    const raw = await (await call('/chat/completions', { method: 'POST', body: JSON.stringify(body) })).text();
    const list = events(raw);
    assert.ok(JSON.parse(list.at(-1)).error.message);
    assert.ok(!raw.includes('[DONE]') && !/finish_reason":"/.test(raw));
  });

  test('models', async () => {
    assert.deepEqual((await client.models.list()).data.map((m) => m.id), ['api:text=mixed', 'second']);
    assert.equal((await client.models.retrieve('second')).id, 'second');
    assert.equal((await call('/models/none')).status, 404);
  });

  test('sessions: body and header; memory', async () => {
    const model = 'mem:text=messages:pace=0:tokens=400';
    const ask = async (content, extra, headers) =>
      JSON.parse((await client.chat.completions.create({ model, messages: [{ role: 'user', content }], ...extra }, { headers })).choices[0].message.content);
    await ask('first', { session: 'm1' });
    const second = await ask('second', {}, { 'x-umbel-session': 'm1' });
    assert.deepEqual(second.filter((m) => m.role === 'user').map((m) => m.content), ['first', 'second']);
    assert.equal((await ask('alone', {})).length, 1);
  });

  test('watching a session: one answer, from its beginning, over another protocol too', async () => {
    const model = 'w:text=count:tokens=40:pace=15';
    const waiting = await call('/sessions/room%201/stream'); // resolves with the head: it is heard
    const asked = await fetch(`http://127.0.0.1:${stack.ports.wx}/chat/stream?${new URLSearchParams({ is_wxapp: 1, token: KEY, session: 'room 1', prompt: 'x', model })}`);
    const late = await call('/sessions/room%201/stream');
    const whole = await stack.mock.text(model, 'x');
    assert.equal(late.headers.get('x-umbel-stream'), asked.headers.get('x-umbel-stream'));
    for (const answer of [waiting, late]) {
      const list = events(await answer.text());
      assert.equal(textOf(list), whole);
      assert.equal(list.at(-1), '[DONE]');
    }
    await asked.text();
    assert.equal((await stack.mock.requests(model)).requests.length, 1);
  });

  test('streams: resume from any place; unknown and foreign alike; bad places', async () => {
    const model = 'r:text=echo:pace=0';
    const answer = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'tea 茶 🍵' }] });
    const whole = Buffer.from('tea 茶 🍵');
    for (let n = 0; n <= whole.length; n++) {
      const reply = await call(`/streams/${answer.id}?from=${n}`);
      const inside = n < whole.length && (whole[n] & 0xc0) === 0x80;
      assert.equal(reply.status, inside ? 400 : 200, `from ${n}`);
      const body = await reply.text();
      if (inside) {
        assert.equal(JSON.parse(body).error.code, 'invalid_position');
        continue;
      }
      assert.equal(textOf(events(body)), whole.subarray(n).toString());
      assert.equal(reply.headers.get('x-umbel-stream'), answer.id);
    }
    assert.equal((await call(`/streams/${answer.id}?from=${whole.length + 1}`)).status, 400);
    assert.equal((await call(`/streams/${answer.id}?from=x`)).status, 400);
    const unknown = await call(`/streams/chatcmpl-${'0'.repeat(32)}`);
    const foreign = await call(`/streams/${answer.id}`, { headers: { authorization: `Bearer ${OTHER}` } });
    assert.deepEqual([unknown.status, foreign.status], [404, 404]);
    assert.equal(await unknown.text(), await foreign.text());
  });

  test('DELETE stops an answer for all its readers', async () => {
    const model = 'stop:text=count:tokens=5000:pace=10';
    const asked = await call('/chat/completions', { method: 'POST', body: JSON.stringify({ model, messages, stream: true }) });
    const id = asked.headers.get('x-umbel-stream');
    for (const key of [OTHER]) assert.equal((await call(`/streams/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${key}` } })).status, 404);
    const stopped = await call(`/streams/${id}`, { method: 'DELETE' });
    assert.equal(stopped.status, 200);
    assert.equal((await stopped.json()).status, 'cancelled');
    const list = events(await asked.text());
    assert.equal(list.at(-1), '[DONE]');
    assert.equal(JSON.parse(list.at(-2)).choices[0].finish_reason, 'stop');
    await until('the service to be told', async () => (await stack.mock.requests(model)).requests[0]?.end === 'client_closed');
    assert.equal((await (await call(`/streams/${id}`, { method: 'DELETE' })).json()).status, 'cancelled', 'twice is fine');
    assert.equal((await call(`/streams/chatcmpl-${'0'.repeat(32)}`, { method: 'DELETE' })).status, 404);
  });

  // Goal: a client that goes before the first token is noticed, although no head has been sent.
  test('disconnect before the head stops the model', async () => {
    const model = 'early:stall=first';
    const body = JSON.stringify({ model, messages, stream: true });
    const socket = await rawConnect(stack.ports.api, post('/v1/chat/completions', body, { headers: `Authorization: Bearer ${KEY}\r\n` }));
    await until('the question', async () => (await stack.mock.requests(model)).requests.length);
    assert.equal(socket.bytes.length, 0);
    socket.end();
    await until('the service to be told', async () => (await stack.mock.requests(model)).requests[0]?.end === 'client_closed');
  });

  test('drain: a running answer ends whole, a waiting watch ends, then the daemon exits 0', async () => {
    const own = await startStack({ transports: { api: { plugin: 'openai-api' } }, mock: stack.mock, model: 'd:text=count:tokens=60:pace=20' });
    const auth = `Authorization: Bearer ${KEY}\r\n`;
    try {
      const watch = await rawConnect(own.ports.api, get('/v1/sessions/nobody/stream', { headers: auth }));
      const asked = await rawConnect(own.ports.api, post('/v1/chat/completions', { stream: true, messages }, { headers: auth }));
      const idle = await rawConnect(own.ports.api, get('/v1/models', { headers: auth }));
      await idle.whole();
      await watch.until((c) => c.bytes.includes('\r\n\r\n'));
      await asked.until((c) => c.bytes.includes('t1'));
      own.daemon.kill('SIGTERM');
      const [answer] = await asked.whole();
      assert.equal(textOf(events(String(answer.body))), await stack.mock.text('d:text=count:tokens=60:pace=20', 'x'));
      await until('all to be closed', () => watch.closed && asked.closed && idle.closed);
      for (const c of [watch, asked, idle]) c.end();
      assert.equal((await own.daemon.exited).code, 0);
    } finally {
      await own.stop();
    }
  });
});

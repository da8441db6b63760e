// bench startup - from the start of the process to the first byte of the first answer, with one transport and with four.
import { cpu, freePort, keep, KEY, spread } from './bench_support.mjs';
import { options } from './options.mjs';
import { startMock, startStack } from '../../tests/integration/support.mjs';

const { repeat, json } = options('startup', { repeat: [10, 'starts of each kind'], json: [false, 'the document instead of the table'] });
const all = { api: { plugin: 'openai-api' }, bmob: { plugin: 'ws-bmob' }, wx: { plugin: 'http-chunked-wxapp' }, cgws: { plugin: 'ws-chatgpt', anonymous_app: 'shop' } };
const mock = await startMock();
const results = {};
for (const [name, transports] of Object.entries({ 'one transport': { api: all.api }, 'four transports': all })) {
  const ready = [], first = [], cost = [];
  for (let i = 0; i < repeat; i++) {
    const began = performance.now();
    const stack = await startStack({ transports, mock, wait: false, model: 'first:tokens=3:pace=1' });
    const spawned = performance.now();
    try {
      for (;;) {
        try {
          const response = await fetch(`http://127.0.0.1:${stack.ports.api}/v1/chat/completions`, {
            method: 'POST', headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
            body: JSON.stringify({ model: 'x', stream: true, messages: [{ role: 'user', content: 'x' }] }),
          });
          ready.push(performance.now() - spawned);
          for await (const chunk of response.body) if (Buffer.from(chunk).includes('"content":"')) break;
          first.push(performance.now() - spawned);
          break;
        } catch (error) {
          if (performance.now() - began > 30000) throw error;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
      cost.push(cpu(stack.daemon.pid) * 1000);
    } finally {
      await stack.stop();
    }
  }
  results[name] = { answered_ms: spread(ready), first_token_ms: spread(first), cpu_ms: spread(cost) };
}
await mock.stop();
if (json) console.log(JSON.stringify(results));
else {
  for (const [name, r] of Object.entries(results))
    console.log(`${name.padEnd(16)} first token ${r.first_token_ms.median.toFixed(0)} ms after the start (${r.first_token_ms.least.toFixed(0)}..${r.first_token_ms.most.toFixed(0)}), processor time ${r.cpu_ms.median.toFixed(0)} ms`);
  console.log(`raw samples: ${keep('startup', { results })}`);
}

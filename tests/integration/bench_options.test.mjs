// What a benchmark is asked for: it measures nothing when a word of it is not understood, and says what it takes.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './support.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const bench = (name, ...args) =>
  run(process.execPath, [path.join(here, '../../tools/benchmarks', `bench_${name}.mjs`), ...args]);

test('a benchmark refuses what it does not know, by name and with what it takes', async () => {
  for (const [args, words] of [
    [['fanout', '--client', '3'], /^bench fanout: "--client" is unknown; it takes --clients .*--json$/m],
    [['fanout', '1000'], /^bench fanout: "1000" is unknown/],
    [['fanout', '--clients', '1000,x'], /^bench fanout: --clients takes whole numbers with a comma between from 1 on, not "1000,x"$/m],
    [['fanout', '--clients'], /^bench fanout: --clients needs a value, like 1000,10000$/m],
    [['relay', '--repeat', '1,2'], /^bench relay: --repeat takes a whole number from 1 on, not "1,2"$/m],
    [['fanout', '--repeat', '0'], /^bench fanout: --repeat takes a whole number from 1 on, not "0"$/m],
    [['fanout', '--clients', '--json'], /^bench fanout: --clients needs a value, like 1000,10000$/m],
    [['relay', '--phase', 'spread,alone'], /^bench relay: --phase: "alone" is unknown; it takes spread, together, several with a comma between$/m],
  ]) {
    const { code, stdout, stderr } = await bench(...args);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, words);
  }
});

const table = {
  fanout: { clients: '1000,10000', rate: '20,100,0', wire: 'ws', repeat: '3', seconds: '5', burst: '1000000' },
  relay: { streams: '50,200,1000', pace: '0,20', phase: 'spread,together', repeat: '3', seconds: '5', burst: '400000', settle: '1000' },
  memory: { clients: '2000,10000', streams: '1000' },
  mixed: { clients: '2000', seconds: '30', seed: '1' },
  startup: { repeat: '10' },
  im: { answers: '500', rate: '200', tokens: '200', pace: '30' },
  upgrade: { clients: '1000', sessions: '20', only: 'ws-bmob,mini,H5,openai-api,ws-chatgpt' },
};
for (const [name, options] of Object.entries(table))
  test(`bench ${name} --help names every option with what it is when not given`, async () => {
    const { code, stdout, stderr } = await bench(name, '--help');
    assert.equal(code, 0, stderr);
    const told = Object.fromEntries([...stdout.matchAll(/^  --([a-z]+)(?: (\S+))? +\S.*$/gm)].map(([, option, otherwise]) => [option, otherwise]));
    assert.deepEqual(told, { ...options, json: undefined });
  });

test('what is zero by right is taken: as fast as possible, nothing told apart', async () => {
  for (const args of [['fanout', '--rate', '0'], ['relay', '--pace', '0', '--settle', '0'], ['mixed', '--seed', '0'], ['im', '--pace', '0']])
    assert.equal((await bench(...args, '--help')).code, 0, args.join(' '));
});

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
    [['fanout', '--clients', '1000,x'], /^bench fanout: --clients takes numbers with a comma between, not "1000,x"$/m],
    [['fanout', '--clients'], /^bench fanout: --clients needs a value, like 1000,10000$/m],
    [['relay', '--repeat', '1,2'], /^bench relay: --repeat takes a number, not "1,2"$/m],
    [['relay', '--phase', 'spread,alone'], /^bench relay: --phase: "alone" is unknown; it takes spread, together, several with a comma between$/m],
  ]) {
    const { code, stdout, stderr } = await bench(...args);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, words);
  }
});

test('--help names every option with what it is when not given', async () => {
  for (const name of ['fanout', 'relay', 'memory', 'mixed', 'startup', 'im', 'upgrade']) {
    const { code, stdout, stderr } = await bench(name, '--help');
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^bench ${name}\n(  --[a-z]+( \\S+)? +\\S.*\n)*  --json +the document instead of the tables?\n$`));
  }
});

// bench im - many answers at once into chats under the service's limit: how soon each user sees the first text, how often it grows, and what
// the last snapshot costs.  umbeld, the im-custom-message plugin and mock-tim, all real, on one machine.
import { until } from '../../tests/integration/support.mjs';
import { startIm } from '../../tests/integration/im_support.mjs';
import { options } from './options.mjs';

const { answers, rate, tokens, pace, json } = options('im', {
  answers: [500, 'chats at once'],
  rate: [200, "calls a second, the service's limit"],
  tokens: [200, 'of an answer'],
  pace: [30, 'ms from token to token', 0],
  json: [false, 'the document instead of the table'],
});
const at = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
const spread = (values) => {
  const sorted = values.toSorted ? values.toSorted((a, b) => a - b) : [...values].sort((a, b) => a - b);
  return { p50: at(sorted, 0.5), p90: at(sorted, 0.9), p99: at(sorted, 0.99), max: sorted.at(-1) ?? 0 };
};

const MODEL = `bench:text=count:tokens=${tokens}:pace=${pace}`;
const stack = await startIm({ model: MODEL, timArgs: ['--rate', '0'], im: { rate }, core: { journal_mb: 128 } });
try {
  const began = Date.now();
  await Promise.all(Array.from({ length: answers }, (_, i) => stack.tim.write(`b-${i}`, 'x')));
  const messages = await until('the end', async () => {
    const all = (await stack.tim.get('/mock/chats')).messages;
    const mine = all.filter((m) => m.flow === 'in');
    return mine.length >= answers && mine.every((m) => m.finished) && all;
  }, { timeout: 600000, every: 500 });
  const truth = await stack.mock.text(MODEL, 'x');
  const asked = new Map(messages.filter((m) => m.flow === 'out').map((m) => [m.from, m.made_ms]));
  const said = messages.filter((m) => m.flow === 'in');
  const stats = await stack.tim.stats();
  const report = {
    answers, rate, tokens, pace_ms: pace,
    exact: said.filter((m) => m.text === truth).length,
    first_text_ms: spread(said.map((m) => m.made_ms - asked.get(m.to))),
    snapshot_interval_ms: spread(said.flatMap((m) => m.version_ms.slice(1).map((t, i) => t - m.version_ms[i]))),
    finished_after_ms: spread(said.map((m) => m.last_ms - asked.get(m.to))),
    calls: stats.calls, most_calls_in_a_second: stats.most_in_a_second, seconds: (Date.now() - began) / 1000, violations: stats.violations_count,
  };
  if (json) {
    console.log(JSON.stringify(report));
  } else {
    const line = (name, v) => console.log(`${name.padEnd(26)}${Object.entries(v).map(([k, ms]) => `${k} ${ms.toFixed(0).padStart(6)} ms`).join('   ')}`);
    console.log(`${answers} answers at once, ${tokens} tokens each, one in ${pace} ms; at most ${rate} calls a second`);
    line('first text', report.first_text_ms);
    line('snapshot interval', report.snapshot_interval_ms);
    line('question to finished', report.finished_after_ms);
    console.log(`${report.calls} calls in ${report.seconds.toFixed(1)} s, ${report.most_calls_in_a_second} in the busiest second; ` +
      `${report.exact} of ${answers} texts exact, ${report.violations} violations`);
  }
  process.exitCode = report.exact === answers && report.violations === 0 && report.most_calls_in_a_second <= rate ? 0 : 1;
} finally {
  await stack.stop();
}

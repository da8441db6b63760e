// tools/soak: everything at random for as long as you want, from a printed seed.  Exit 0: nothing was lost, nobody was lied to, everything is back.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { newer } from '../integration/upgrade_support.mjs';

const support = await import('../integration/support.mjs');
const im = await import('../integration/im_support.mjs');
const { World } = await import('./world.mjs');
const { playRound, report, tally } = await import('./round.mjs');
const { descriptorsGrown, growth, snapshot } = await import('./accounts.mjs');
const { happen } = await import('./events.mjs');
const { flood } = await import('./flood.mjs');

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const json = process.argv.includes('--json');
const minutes = Number(option('minutes', 10)), seed = Number(option('seed', Date.now() % 1000000)), clients = Number(option('clients', 300));
const io = option('backend', 'auto'), connections = Number(option('connections', 0));
const ROUND_S = 60; /* at the end of each round all must be back */
const GROWTH_KB = 8192; /* of a process from the second round to the last: the allocator's arenas, histograms, the history's cache; see docs/overload.md */
const say = (text) => json || console.log(text);

say(`seed ${seed}, ${minutes} minutes, ${clients} clients, backend ${io}`);
const world = await World.start({ support, im, seed, io });
world.upgrade = newer;
const began = Date.now(), before = await snapshot(world.stack), rounds = [];
let failure = null, flooded = null;
try {
  if (connections) flooded = await flood(world, connections);
  for (let number = 0; number === 0 || Date.now() - began < minutes * 60000; number++) {
    const left = Math.max(10, Math.min(ROUND_S, Math.round(minutes * 60 - (Date.now() - began) / 1000)));
    await playRound(world, { number, clients, users: 12, seconds: left, events: happen, quietS: 120 });
    rounds.push(await snapshot(world.stack));
    const t = tally(world);
    say(`${((Date.now() - began) / 60000).toFixed(1)} min: ${t.questions} questions, ${t.bytes} bytes, ${JSON.stringify(t.verdicts)}, resumed ${t.clients.resumed}, events ` +
      `${JSON.stringify(t.events)}, core ${rounds.at(-1).core.kb} KiB, violations ${t.violations}`);
    if (world.problems.length) break;
  }
  await support.until('the descriptors to be back', async () => {
    const grown = descriptorsGrown(before, await snapshot(world.stack));
    if (grown.length) throw new Error(grown.join('; '));
    return true;
  }, { timeout: 120000, every: 500 }).catch((error) => world.problem('descriptors', { error: error.message }));
  for (const [name, last] of Object.entries(rounds.at(-1)))
    if (rounds.length > 2 && rounds[1][name]?.pid === last.pid && growth(rounds[1][name], last) > GROWTH_KB)
      world.problem('memory has grown', { name, from: rounds[1][name].kb, to: last.kb });
} catch (error) {
  failure = error;
  world.problem('the run broke off', { error: String(error.stack) });
}
const bad = world.problems.length > 0;
if (bad) writeFileSync(path.join(world.folder, 'daemon.log'), world.stack.daemon.lines);
const end = await world.stop({ keep: bad });
if (end?.code !== 0) world.problem('the daemon did not end with status 0', { end });
const result = { ...tally(world), minutes: (Date.now() - began) / 60000, backend: io, flooded, rounds: rounds.map((r) => Object.fromEntries(Object.entries(r).map(([k, v]) => [k, v.kb]))),
  descriptors: { before: Object.fromEntries(Object.entries(before).map(([k, v]) => [k, v.fds])), after: Object.fromEntries(Object.entries(rounds.at(-1) ?? {}).map(([k, v]) => [k, v.fds])) } };
if (json) console.log(JSON.stringify({ ...result, problems: world.problems.slice(0, 100) }));
else {
  say(JSON.stringify(result, null, 2));
  say(bad ? `${report(world.problems)}\n${world.problems.length} violations. Logs: ${world.folder}. Again: tools/soak --minutes ${minutes} --seed ${seed} --clients ${clients} --backend ${io}`
    : 'no violations: every answer was told once and truly, everything is back');
}
process.exit(world.problems.length ? 1 : 0);

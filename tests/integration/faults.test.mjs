// Goal: half an hour's worth of faults, compressed: 1,000 clients of six protocols ask, watch, stop, leave, stall, are cut off, reset and come
//   back elsewhere, while the model service does everything that it can do wrong.  Afterwards each client has seen exactly one truthful end, and
//   no descriptor, stream, journal page, client, reader or memory is left.
// Method: tests/soak, on each backend: rounds with the same seed, quiet between them; the truth is the service's own record.  Seed: UMBEL_SEED.
// Catches: leaks on any fault's path, a missing or second end, a cut answer told as a whole one, text lost, doubled or of somebody else.
import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import * as support from './support.mjs';
import * as im from './im_support.mjs';
import { World } from '../soak/world.mjs';
import { playRound, report, tally } from '../soak/round.mjs';
import { descriptorsGrown, growth, snapshot } from '../soak/accounts.mjs';

const seed = Number(process.env.UMBEL_SEED ?? Date.now() % 1000000);
const SANITIZED = Boolean(process.env.UMBEL_SANITIZER);

/* What a process may grow by between two rounds of the same seed.  The first round has filled pools, tables and the allocator's arenas; the second
 * differs from it in timing alone.  A leak of 1 KiB an answer is 2 MiB and more; the sanitizers' run finds smaller ones exactly. */
const GROWTH_KB = { core: 4096, host: 2048 };

async function play(t, { io, rounds, clients, seconds }) {
  const world = await World.start({ support, im, seed, io, paces: [40, 90, 200] });
  const memory = [];
  let failed = true;
  try {
    t.diagnostic(`seed ${seed}`);
    const before = await snapshot(world.stack);
    for (let number = 0; number < rounds; number++) {
      await playRound(world, { number, clients, users: 12, seconds });
      memory.push(await snapshot(world.stack));
      t.diagnostic(`round ${number}: ${JSON.stringify(world.times)} ${Object.entries(memory.at(-1)).map(([name, p]) => `${name} ${p.kb} KiB`).join(', ')}`);
    }
    t.diagnostic(JSON.stringify(tally(world)));
    assert.equal(world.problems.length, 0, `seed ${seed}\n${report(world.problems)}`);
    if (!SANITIZED) // with few clients chance may leave one out
      for (const fault of world.menu.faults) assert.ok(world.questions.some((q) => q.fault === fault), `${fault} was asked for`);
    await support.until('the descriptors to be back', async () => {
      const grown = descriptorsGrown(before, await snapshot(world.stack));
      if (grown.length) throw new Error(grown.join('; '));
      return true;
    }, { timeout: 90000, every: 500 });
    if (!SANITIZED)
      for (const [name, last] of Object.entries(memory.at(-1))) {
        const grown = growth(memory.at(-2)[name], last), most = name === 'core' ? GROWTH_KB.core : GROWTH_KB.host;
        assert.ok(grown <= most, `${name} grew by ${grown} KiB in the last round, seed ${seed}`);
      }
    failed = false;
  } finally {
    const end = await world.stop({ keep: failed });
    if (!failed) assert.deepEqual(end, { code: 0, signal: null });
  }
}

test('every fault, 1,000 clients', (t) => play(t, { io: 'auto', rounds: 2, clients: SANITIZED ? 100 : 1000, seconds: SANITIZED ? 15 : 22 }));
test('every fault, on epoll', (t) => play(t, { io: 'epoll', rounds: 2, clients: SANITIZED ? 50 : 400, seconds: SANITIZED ? 8 : 8 }));

// Clients that were cut off in the middle may leave timers of their libraries behind; everything is judged and stopped by now.
after(() => setTimeout(() => process.exit(), 1000));

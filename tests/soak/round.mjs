// A round: so many clients live for so long, then all is quiet again and judged.
import { judge } from './oracle.mjs';
import { live, chat } from './life.mjs';
import { unrest } from './accounts.mjs';

/** How late this program's own timers come: on a machine that stands still nobody's clock can be trusted. */
class Lag {
  worst = 0;
  constructor() {
    let last = Date.now();
    this.timer = setInterval(() => {
      this.worst = Math.max(this.worst, Date.now() - last - 100);
      last = Date.now();
    }, 100);
  }
  stop() {
    clearInterval(this.timer);
  }
}

/** clients, users (of the chat service), seconds; events: async (world) => ... beside it, until world.over.  Fills world.problems. */
export async function playRound(world, { number, clients, users = 0, seconds, events = null, quietS = 60 }) {
  const { until } = world.support;
  const first = world.journeys.length, began = Date.now();
  Object.assign(world, { round: number, over: false, running: new Set(), spread: Math.min(3000, seconds * 200), verdicts: world.verdicts ?? {}, bytes: world.bytes ?? 0 });
  world.lag ??= new Lag();
  const lives = [...Array.from({ length: clients }, (_, i) => live(world, i)), ...Array.from({ length: users }, (_, i) => chat(world, i))];
  const accidents = events?.(world);
  const ending = new Promise((resolve) => setTimeout(resolve, seconds * 1000)).then(() => (world.over = true));
  await Promise.race([ending, Promise.all(lives)]); /* a life that throws ends the round at once */
  await ending;
  await Promise.all([...lives, accidents]);
  const lived = Date.now();
  let wrong = [];
  await until('all to be quiet', async () => (wrong = await unrest(world.stack)).length === 0, { timeout: quietS * 1000, every: 250 }).catch(() => {
    for (const what of wrong) world.problem(`not back after ${quietS} s`, { left: what });
  });
  world.times = { lived_s: (lived - began) / 1000, quiet_after_s: (Date.now() - lived) / 1000 };
  await judge(world, world.journeys.slice(first));
  const stats = await world.stack.tim.stats();
  for (const violation of stats.violations) world.problem('a rule of the chat service was broken', { violation });
  if (world.stack.daemon.end) world.problem('the daemon has ended', { end: world.stack.daemon.end });
}

export function tally(world) {
  const faults = {};
  for (const q of world.questions) if (q.fault) faults[q.fault] = (faults[q.fault] ?? 0) + 1;
  const { events, ...clients } = world.counts;
  return { seed: world.seed, questions: world.questions.length, journeys: world.journeys.length, verdicts: world.verdicts, bytes: world.bytes, faults, clients, events,
    worst_lag_ms: world.lag.worst, excused_for_lag: world.excused ?? 0, violations: world.problems.length };
}

export function report(problems, most = 20) {
  const groups = new Map();
  for (const { what, ...detail } of problems) groups.set(what, [...(groups.get(what) ?? []), detail]);
  return [...groups].flatMap(([what, list]) => [`${list.length} x ${what}`, ...list.slice(0, 3).map((d) => `    ${JSON.stringify(d)}`)]).slice(0, most * 4).join('\n');
}

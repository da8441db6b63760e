// What operators and accidents do to the daemon while clients live, one thing after another at random times.

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const TRANSPORTS = ['bmob', 'wx', 'cgws', 'api'];
const PLUGINS = { bmob: 'ws-bmob', wx: 'http-chunked-wxapp', cgws: 'ws-chatgpt', api: 'openai-api' };

const EVENTS = {
  /* A host dies at once; its clients find out by their connections. */
  async kill(world, r) {
    const hosts = (await world.stack.list('host list')).filter((h) => TRANSPORTS.includes(h.transport) && h.state === 'running');
    if (hosts.length) process.kill(r.pick(hosts).pid, 'SIGKILL');
  },
  /* A host stands still for two seconds, as on a machine that swaps. */
  async stop(world, r) {
    const hosts = (await world.stack.list('host list')).filter((h) => TRANSPORTS.includes(h.transport) && h.state === 'running');
    if (!hosts.length) return;
    const { pid } = r.pick(hosts);
    process.kill(pid, 'SIGSTOP');
    await sleep(2000);
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      /* it was replaced meanwhile */
    }
  },
  restart: (world, r) => world.stack.ctl('restart', r.pick(TRANSPORTS)),
  hostRestart: (world, r) => world.stack.ctl('host', 'restart', r.pick(TRANSPORTS)),
  async upgrade(world, r) {
    const name = PLUGINS[r.pick(TRANSPORTS)];
    if (!world.upgrade) return;
    world.upgrade(name, `0.1.${r.whole(1, 9)}`);
    await world.stack.ctl('plugin', 'upgrade', name);
  },
  reload: (world) => world.stack.ctl('reload'),
  async drain(world, r) {
    const name = r.pick(TRANSPORTS);
    await world.stack.ctl('drain', name);
    await sleep(r.whole(200, 1500));
    await world.stack.ctl('start', name);
  },
  async cancel(world, r) {
    const rows = (await world.stack.list('stream list')).filter((s) => s.state === 'streaming');
    if (!rows.length) return;
    const { id } = r.pick(rows);
    world.cancelled.add(id);
    await world.stack.ctl('stream', 'cancel', id);
  },
};
export const EVENT_NAMES = Object.keys(EVENTS);

/** One event after another until the round is over; then all transports serve again. */
export async function happen(world) {
  const r = world.random.fork(`events ${world.round}`);
  Object.assign(world, { accidents: true, cancelled: world.cancelled ?? new Set() });
  while (!world.over) {
    await sleep(r.whole(500, 4000));
    if (world.over) break;
    const name = r.pick(EVENT_NAMES);
    world.counts.events[name] = (world.counts.events[name] ?? 0) + 1;
    await EVENTS[name](world, r);
  }
  for (const name of TRANSPORTS) await world.stack.ctl('start', name);
}

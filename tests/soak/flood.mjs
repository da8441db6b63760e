// Very many connections at once that only connect: those beyond max_connections are closed, all others live, and afterwards none is left.
import net from 'node:net';

/** Opens count connections to the two carriers and closes them again: { opened, closed_by_us }. */
export async function flood(world, count) {
  const { until } = world.support, ports = [world.stack.ports.bmob, world.stack.ports.wx];
  const sockets = [], seen = { opened: 0, turned_away: 0, failed: 0 };
  for (let i = 0; i < count; i++) {
    const socket = net.connect(ports[i % 2], '127.0.0.1');
    socket.on('connect', () => seen.opened++).on('error', () => seen.failed++).on('close', () => seen.turned_away++).on('data', () => {});
    sockets.push(socket);
    if (i % 500 === 499) await until('them to be connected', () => seen.opened + seen.failed > i - 400, { timeout: 60000 });
  }
  await until('all to be decided', () => seen.opened + seen.failed >= count, { timeout: 120000 });
  const result = { ...seen };
  for (const socket of sockets) socket.destroy();
  await until('none to be left', async () => (await world.stack.list('host list')).every((h) => h.clients === 0), { timeout: 120000, every: 200 });
  return result;
}

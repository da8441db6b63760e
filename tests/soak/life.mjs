// What clients do: ask, watch, stop, leave for good, lose their connection, come back over another protocol, take nothing for a while.  Each
// records what it was given; whether that was right is judged afterwards (oracle.mjs).
import { PROTOCOLS } from './strict.mjs';
import { IM_MODELS } from './world.mjs';

const NAMES = Object.keys(PROTOCOLS);
const END_MS = 45000; /* no answer may take so long to end: total_timeout_ms is 30 s */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Follows one answer to its end over as many connections as its luck wants. */
class Journey {
  constructor(world, r, q, kind, name) {
    Object.assign(this, { world, r, q, kind, path: [name], text: '', id: null, bad: [], outcome: null, error: null, began: Date.now() });
    world.journeys.push(this);
  }
  /** Takes over what the connection has brought, before it is left or when it has ended. */
  collect(client) {
    for (const take of client.takes) {
      this.bad.push(...take.bad);
      take.cut();
      if (this.id === null) this.id = take.id;
      if (take.id !== this.id && take.id !== null && !(client.goesOn && take.end === 'error' && !take.text)) continue; /* a watcher's next answer */
      if (take.from && take.from !== Buffer.byteLength(this.text)) this.bad.push(`went on at ${take.from} after ${Buffer.byteLength(this.text)} bytes`);
      this.text += take.text;
      if (take.end) {
        this.outcome = take.end;
        this.error = take.error;
      }
    }
  }
  mine(client) {
    const named = this.id && client.takes.find((t) => t.id === this.id || t.id === null);
    return named || (this.id && !client.goesOn ? undefined : client.takes[0]); /* a refusal may come under any name */
  }
  async run(client) {
    await this.follow(client);
    this.ms = Date.now() - this.began;
  }
  async follow(client) {
    const { world, r } = this;
    let moves = r.weighted([[5, 0], [3, 1], [2, 2], [1, 3]]);
    for (;;) {
      const whim = moves-- > 0 ? r.weighted([[4, 'move'], [2, 'reset'], [3, 'stall'], [1, 'leave'], [1, 'stop']]) : 'stay';
      const until = whim === 'stay' ? Infinity : Date.now() + r.whole(20, 2500);
      await this.wait(client, until);
      if (this.ended(client)) break;
      if (client.closed || this.mine(client)?.end) {
        /* cut off without an end: whoever has a place goes on from there */
        client = await this.again(client);
        if (!client) return;
        continue;
      }
      if (whim === 'stay') {
        this.outcome = 'endless';
        break;
      }
      if (whim === 'stall') {
        client.pause(true);
        await sleep(r.whole(200, 3000));
        client.pause(false);
        world.counts.stalled++;
      } else if (whim === 'stop') {
        if (!client.stop || !client.take?.id) continue;
        if (this.q) this.q.stopped = true;
        this.stopped = true;
        client.stop();
        world.counts.stopped++;
      } else if (whim === 'leave') {
        this.gone(client);
        return;
      } else {
        if (!client.take?.id) {
          this.gone(client); /* without a name nobody can come back */
          return;
        }
        client = await this.again(client, whim === 'reset');
        if (!client) return;
      }
    }
    this.collect(client);
    client.leave();
  }
  /** News until the end, or until that time. */
  async wait(client, until) {
    const last = this.began + END_MS;
    while (!this.ended(client) && !client.closed && Date.now() < Math.min(until, last)) await client.wait(Math.max(1, Math.min(until, last) - Date.now()));
  }
  ended(client) {
    return this.mine(client)?.end != null;
  }
  gone(client) {
    this.outcome = 'left';
    if (this.q) this.q.abandoned = true;
    this.collect(client);
    this.outcome = 'left';
    client.leave(this.r.chance(0.5));
    this.world.counts.left++;
  }
  async again(client, rude = false) {
    const { world, r } = this;
    this.collect(client);
    this.outcome = null;
    client.leave(rude);
    world.counts[rude ? 'reset' : 'left']++;
    if (!this.id) {
      this.outcome = 'lost';
      this.detail = `${client.failure ?? ''} closed ${client.closed} code ${client.code ?? client.status ?? ''}`;
      if (this.q) this.q.abandoned = true;
      return null;
    }
    await sleep(r.whole(0, 1200));
    const name = r.pick(NAMES);
    this.path.push(name);
    world.counts.resumed++;
    for (let tries = 0; ; tries++) {
      const next = PROTOCOLS[name].resumes(world.target(this.q?.app ?? this.app), `${this.id}:${Buffer.byteLength(this.text)}`);
      next.goesOn = true;
      /* a host that was killed is back within its backoff: ask again, as clients do */
      if (!world.accidents || tries >= 40) return next;
      await next.wait(3000);
      if (!(next.closed && next.frames === 0)) return next;
      next.leave();
      await sleep(250);
    }
  }
}

async function ask(world, r, name) {
  const q = world.question(r, name);
  const journey = new Journey(world, r, q, 'ask', name);
  world.counts.asked++;
  const client = PROTOCOLS[name].asks(world.target(q.app), q);
  const known = () => client.take?.id && !q.ids.has(client.take.id) && q.ids.add(client.take.id);
  client.waiters.push(known);
  world.running.add(q);
  q.client = client;
  await journey.run(client);
  if (journey.id) q.ids.add(journey.id);
  q.client = null;
  world.running.delete(q);
}

async function watch(world, r, name) {
  const q = r.pick([...world.running]);
  if (!q || q.session.startsWith('room')) return sleep(100);
  const journey = new Journey(world, r, q, 'watch', name);
  world.counts.watched++;
  const client = PROTOCOLS[name].watches(world.target(q.app), q.session);
  /* whoever comes too late waits for an answer that nobody asks for any more */
  while (!client.takes.length && !client.closed && world.running.has(q)) await client.wait(500);
  if (!client.takes.length) await client.wait(1000);
  if (!client.takes.length) {
    journey.outcome = client.closed && !world.accidents ? 'closed' : 'late';
    client.leave();
    return;
  }
  await journey.run(client);
}

async function sit(world, r) {
  const name = r.pick(['Bmob', 'ChatGpt']);
  const client = PROTOCOLS[name].watches(world.target('shop'), `nobody-${r.whole(0, 1e9)}`);
  world.counts.idle++;
  await client.wait(r.whole(500, 6000));
  if (client.takes.length) world.problem('a watcher of an empty session was given an answer', { id: client.takes[0].id });
  client.leave(r.chance(0.5));
}

/** One client's life: one thing after another until the world ends. */
export async function live(world, number) {
  const r = world.random.fork(`client ${world.round} ${number}`);
  await sleep(r.whole(0, world.spread));
  while (!world.over) {
    const name = r.pick(NAMES);
    await r.weighted([[6, ask], [4, watch], [1, sit]])(world, r, name);
    await sleep(r.whole(0, 1500));
  }
}

/** A user of the chat service: question after question, each answered by finished messages whose text is the truth. */
export async function chat(world, number) {
  const r = world.random.fork(`chat ${world.round} ${number}`), { tim } = world.stack, user = `u-${world.round}-${number}`;
  for (let n = 0; !world.over && n < 6; n++) {
    const bad = r.chance(0.25), bot = bad ? '@RBT#bad' : '@RBT#tea';
    const before = (await tim.answers(user, bot)).length;
    await tim.write(user, `question ${n}`, bot);
    world.counts.im++;
    const journey = { kind: 'im', q: null, path: ['Im'], bad: [], began: Date.now(), user, bot, before, model: bad ? IM_MODELS.bad : IM_MODELS.tea, expect: bad ? 'broken' : 'whole' };
    for (;;) {
      const fresh = (await tim.answers(user, bot)).slice(before);
      journey.messages = fresh;
      const last = fresh.at(-1);
      if (fresh.length && fresh.every((m) => m.finished) && (last.src === 23 || !bad)) break;
      if (Date.now() > journey.began + END_MS) {
        journey.outcome = 'endless';
        break;
      }
      await sleep(200);
    }
    journey.ms = Date.now() - journey.began;
    world.journeys.push(journey);
    await sleep(r.whole(100, 1500));
  }
}

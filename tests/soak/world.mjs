// The world of a run: mock services that record what they say, a daemon with every transport and every dialect, and the questions that
// were asked of it.  What happens in it is in life.mjs (clients) and events.mjs (what operators and accidents do to the daemon).
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Menu, faultsOf } from './menu.mjs';
import { Random } from './prng.mjs';
import { TRANSPORTS } from './strict.mjs';

const keyOf = (app) => `soak-key-of-${app}-0123456789`;
const DIALECTS = { anthropic: '/v1', ollama: '', gemini: '/v1beta', dashscope: '/api/v1' };
const IM_MODELS = { tea: 'im:text=mixed:tokens=30:pace=30:seed=3', bad: 'imb:text=ascii:tokens=30:pace=20:reset=9' };

/** Time limits: short, so that a stall is over soon; `idle_ms` is also what a busy machine may take between two tokens. */
const LIMITS = { connect_timeout_ms: 5000, first_token_timeout_ms: 6000, idle_timeout_ms: 6000, total_timeout_ms: 30000, max_concurrent: 8192, queue: 8192 };

export class World {
  questions = [];
  byModel = new Map();
  journeys = [];
  problems = [];
  counts = { asked: 0, watched: 0, resumed: 0, left: 0, stopped: 0, reset: 0, stalled: 0, idle: 0, im: 0, events: {} };
  over = false;

  /** support: tests/integration's support.mjs, im: its im_support.mjs; both chosen by the caller, because importing them fixes the programs. */
  static async start({ support, im, seed, io = 'auto', faulty, paces, tokens, journalMb = 64, lingerS = 10, core = {} }) {
    const world = new World();
    Object.assign(world, { support, seed, random: new Random(seed), lingerS });
    world.folder = await mkdtemp(path.join(os.tmpdir(), 'umbel-soak-'));
    world.accessLog = path.join(world.folder, 'access.log');
    world.menu = new Menu(faultsOf(support.bin('umbel-mock-llm')), { faulty, paces, tokens });
    const r = world.random.fork('models of ws-chatgpt');
    world.cgws = Array.from({ length: 30 }, (_, i) => ({ ...world.menu.choose(r), name: `cg${i}` })).filter((m) => !m.options.includes('times=')).slice(0, 24);
    world.mock = await support.startMock(['--log', path.join(world.folder, 'service.log')]);
    try {
      world.second = await support.startMock(['--log', path.join(world.folder, 'second.log')]);
      const dead = await support.freePort();
      const upstreams = { second: { base_url: `${world.second.url}/v1`, models: ['*'], ...LIMITS }, dead: { base_url: `http://127.0.0.1:${dead}/v1`, models: ['*'], ...LIMITS } };
      const apps = { pair: { upstreams: ['demo', 'anthropic'], continue_on_failure: true }, brave: { upstreams: ['dead', 'second'] }, imbad: { model: IM_MODELS.bad } };
      for (const [name, base] of Object.entries(DIALECTS)) {
        upstreams[name] = { dialect: name, base_url: world.mock.url + base, models: ['*'], ...LIMITS };
        apps[name] = { upstreams: [name] };
      }
      for (const [name, app] of Object.entries(apps)) Object.assign(app, { keys: [keyOf(name)], orphan_grace_ms: 8000 });
      world.apps = Object.fromEntries(Object.keys(apps).map((name) => [name, keyOf(name)]));
      world.stack = await im.startIm({
        mock: world.mock, model: IM_MODELS.tea, transports: TRANSPORTS(world.cgws.map((m) => `${m.name}:${m.options}`)), upstream: LIMITS, upstreams, apps,
        app: { orphan_grace_ms: 8000 }, core: { io, journal_mb: journalMb, linger_s: lingerS, ...core }, log: { level: 'warn', access: world.accessLog },
        im: { snapshot_ms: 200 }, bots: { tea: {}, bad: { app: 'imbad' } }, timArgs: ['--rate', '0'],
      });
    } catch (error) {
      await world.stop({ keep: false });
      throw error;
    }
    return world;
  }

  target(app) {
    return { ports: this.stack.ports, key: app === 'shop' ? this.support.KEY : this.apps[app] };
  }

  /** A question by chance, for this protocol. */
  question(r, protocol) {
    const n = this.questions.length;
    const q = { n, app: 'shop', prompt: 'Why is tea green?', asked: Date.now(), session: r.chance(0.2) ? `room-${r.whole(0, 60)}` : `s${this.seed}-${n}`, ids: new Set() };
    if (protocol === 'ChatGpt') {
      const m = r.pick(this.cgws);
      Object.assign(q, { options: m.options, expect: m.expect, fault: m.fault, model: `${m.name}:${m.options}` });
    } else {
      q.app = r.weighted([[8, 'shop'], [2, 'pair'], [1, 'brave'], ...Object.keys(DIALECTS).map((name) => [1, name])]);
      Object.assign(q, this.menu.choose(r, ['shop', 'pair', 'brave'].includes(q.app) ? 'openai' : q.app));
      if (q.app === 'pair') q.expect = 'either'; /* another attempt, a continuation, or nobody to ask: as the breakers stand */
      if (q.app === 'pair' && q.fault) {
        q.options += `:continue=1${q.options.includes('times=') ? '' : ':times=1'}`;
      } else if (q.app === 'brave') q.expect = 'either';
      q.model = `q${n}:${q.options}`;
    }
    this.questions.push(q);
    return q;
  }

  /** What the service says when nothing fails, from itself. */
  async truth(q) {
    const key = q.options ?? q.model;
    this.truths ??= new Map();
    if (!this.truths.has(key)) this.truths.set(key, this.mock.text(`t:${q.options ?? q.model.slice(q.model.indexOf(':') + 1)}`, q.prompt));
    return this.truths.get(key);
  }

  problem(what, detail = {}) {
    this.problems.push({ what, ...detail });
  }

  async logs() {
    const lines = async (file) => (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean).flatMap((l) => { try { return [JSON.parse(l)]; } catch { return []; } });
    const services = [...(await lines(path.join(this.folder, 'service.log'))), ...(await lines(path.join(this.folder, 'second.log')))];
    return { access: await lines(this.accessLog), services: services.filter((l) => l.event === 'end' && l.method === 'POST') };
  }

  async stop({ keep }) {
    let end = null;
    try {
      end = await this.stack?.stop();
    } catch (error) {
      this.problem('the daemon did not end well', { error: String(error.stack ?? error) });
    }
    await this.second?.stop();
    await this.mock?.stop();
    if (!keep) await rm(this.folder, { recursive: true, force: true });
    return end;
  }
}
export { IM_MODELS };

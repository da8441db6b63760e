// A mock of Tencent Cloud IM and a daemon whose bots use it.
import { spawn } from 'node:child_process';
import { bin, startStack, until } from './support.mjs';

export const TEA = '@RBT#tea';

/** umbel-mock-tim: the service and the users. */
export async function startTim(args = []) {
  const child = spawn(bin('umbel-mock-tim'), ['--listen', '127.0.0.1:0', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const tim = { child, out: '', err: '' };
  child.stdout.on('data', (data) => (tim.out += data));
  child.stderr.on('data', (data) => (tim.err += data));
  tim.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve((tim.end = { code, signal }))));
  await until('the mock of the chat service', () => {
    if (tim.end) throw new Error(`it ended: ${JSON.stringify(tim.end)} ${tim.err}`);
    return /control on (\S+)/.exec(tim.out);
  });
  tim.url = `http://${/listening on (\S+)/.exec(tim.out)[1]}`;
  tim.control = `http://${/control on (\S+)/.exec(tim.out)[1]}`;
  const say = async (response) => {
    const json = await response.json();
    if (response.status !== 200) throw new Error(JSON.stringify(json));
    return json;
  };
  tim.get = async (path) => say(await fetch(tim.control + path));
  tim.post = async (path, body = {}) => say(await fetch(tim.control + path, { method: 'POST', body: JSON.stringify(body) }));
  tim.write = (user, text, bot = TEA) => tim.post('/mock/write', { user, bot, text });
  tim.press = (user, more = {}) => tim.post('/mock/stop', { user, bot: TEA, ...more });
  tim.inject = (rule) => tim.post('/mock/inject', rule);
  tim.stats = () => tim.get('/mock/stats');
  /** What the bot has sent to this user. */
  tim.answers = async (user, bot = TEA) =>
    (await tim.get(`/mock/chat?user=${encodeURIComponent(user)}&bot=${encodeURIComponent(bot)}`)).messages.filter((m) => m.flow === 'in');
  tim.inGroup = async (group) => (await tim.get(`/mock/group?group=${encodeURIComponent(group)}`)).messages.filter((m) => m.flow === 'in');
  /** Waits until count messages are there, all finished. */
  tim.finished = (user, count = 1, options = {}) =>
    until(`${count} finished messages for ${user}`, async () => {
      const list = await tim.answers(user, options.bot);
      return list.length >= count && list.every((m) => m.finished) && list;
    }, { timeout: 60000, every: 25, ...options });
  tim.stop = async () => {
    if (!tim.end) child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 20000);
    const end = await tim.exited;
    clearTimeout(late);
    return end;
  };
  return tim;
}

/** A mock, a daemon, the bots.  im: options of the transport; bots: { tea: {...} }; other transports beside it. */
export async function startIm({ im = {}, bots = { tea: {} }, timArgs = [], transports = {}, env = {}, ...rest } = {}) {
  const tim = await startTim(timArgs);
  const sections = Object.fromEntries(
    Object.entries(bots).map(([name, options]) => [`bot ${name}`, { account: `@RBT#${name}`, app: 'shop', ...options }]));
  let stack;
  try {
    stack = await startStack({
      ...rest,
      env: { UMBEL_TIM_KEY: 'mock-tim-key', UMBEL_TIM_TOKEN: 'tea-token', ...env },
      transports: {
        im: {
          plugin: 'im-custom-message', sdk_app_id: 1400000000, secret_key: 'env:UMBEL_TIM_KEY', webhook_token: 'env:UMBEL_TIM_TOKEN',
          api_base: tim.url, ...im, ...sections,
        },
        ...transports,
      },
    });
    await tim.post('/mock/webhook-url', { url: `http://127.0.0.1:${stack.ports.im}${im.webhook_path ?? '/tim/callback'}` });
  } catch (error) {
    await tim.stop();
    throw error;
  }
  const stopStack = stack.stop;
  stack.tim = tim;
  stack.stop = async () => {
    try {
      return await stopStack();
    } finally {
      await tim.stop();
    }
  };
  /** A counter of the im transport's hosts. */
  stack.count = async (name) => {
    const { code, stdout, stderr } = await stack.ctl('counters', '--json');
    if (code !== 0) throw new Error(`umbelctl counters: ${code} ${stderr}`);
    let sum = 0;
    const walk = (value) => {
      if (Array.isArray(value)) value.forEach(walk);
      else if (value && typeof value === 'object') {
        if (value.name === name && typeof value.value === 'number') sum += value.value;
        Object.values(value).forEach(walk);
      }
    };
    walk(JSON.parse(stdout));
    return sum;
  };
  return stack;
}

/** The service's own rules, checked at the end of every test. */
export async function noViolations(assert, tim) {
  const stats = await tim.stats();
  assert.deepEqual(stats.violations, []);
  return stats;
}

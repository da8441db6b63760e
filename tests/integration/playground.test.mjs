// The playground: what it serves and to whom it gives a key; and the page itself, in Chromium, with all protocols.
// Screenshots go to BUILD/artefacts.
import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { readFile, writeFile } from 'node:fs/promises';
import { startStack, run, bin, until, freePort, KEY } from './support.mjs';
import { startIm } from './im_support.mjs';
import { transports as all, Bmob } from './clients.mjs';
import { startBrowser, chromiumPath, artefacts } from './browser.mjs';

const { api, ...transports } = all;

/** fetch does not let a test choose Host. */
const get = (port, where, { method = 'GET', headers = {} } = {}) =>
  new Promise((resolve, reject) => {
    http.request({ host: '127.0.0.1', port, path: where, method, headers, agent: false, timeout: 20000 }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', reject).end();
  });

describe('what is served', () => {
  let stack;
  let port;
  before(async () => {
    stack = await startStack({ transports, playground: { offer_key: true } });
    port = stack.ports.playground;
  });
  after(() => stack?.stop());

  test('every answer has the strict headers, and the policy names the transports alone', async () => {
    const { bmob, wx, cgws } = stack.ports;
    for (const where of ['/', '/playground.css', '/playground.js', '/icon.svg', '/transports.json', '/no/such/page']) {
      const { headers } = await get(port, where);
      assert.equal(headers['x-content-type-options'], 'nosniff', where);
      assert.equal(headers['referrer-policy'], 'no-referrer', where);
      assert.equal(headers['x-frame-options'], 'DENY', where);
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin', where);
      assert.match(headers['permissions-policy'], /camera=\(\).*microphone=\(\)/, where);
      assert.equal(headers['access-control-allow-origin'], undefined, where);
      const policy = Object.fromEntries(headers['content-security-policy'].split('; ').map((d) => [d.split(' ')[0], d.split(' ').slice(1)]));
      const connect = where.startsWith('/no') ? policy['connect-src'] : ["'self'", `ws://127.0.0.1:${bmob}`, `http://127.0.0.1:${wx}`, `ws://127.0.0.1:${cgws}`];
      assert.deepEqual(policy, {
        'default-src': ["'none'"], 'script-src': ["'self'"], 'style-src': ["'self'"], 'img-src': ["'self'"], 'connect-src': connect,
        'frame-ancestors': ["'none'"], 'base-uri': ["'none'"], 'form-action': ["'none'"],
      }, where);
    }
  });

  test('types, ETag, 304; the page itself is not kept', async () => {
    for (const [where, type] of [['/', 'text/html'], ['/playground.css', 'text/css'], ['/playground.js', 'text/javascript'], ['/icon.svg', 'image/svg+xml']]) {
      const one = await get(port, where);
      assert.equal(one.status, 200);
      assert.equal(one.headers['content-type'], `${type}; charset=utf-8`);
      assert.equal(one.headers['cache-control'], where === '/' ? 'no-store' : 'no-cache');
      assert.match(one.headers.etag, /^"[0-9a-f]{16}"$/);
      const again = await get(port, where, { headers: { 'if-none-match': one.headers.etag } });
      assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', one.headers.etag]);
      assert.equal((await get(port, where, { headers: { 'if-none-match': '"0123456789abcdef"' } })).status, 200);
      const head = await get(port, where, { method: 'HEAD' });
      assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', String(Buffer.byteLength(one.text))]);
    }
    assert.equal((await get(port, '/transports.json')).headers['cache-control'], 'no-store');
  });

  test('small, and nothing in it comes from elsewhere', async () => {
    const files = await Promise.all(['/', '/playground.css', '/playground.js', '/icon.svg'].map((f) => get(port, f)));
    const bytes = files.reduce((sum, f) => sum + Buffer.byteLength(f.text), 0);
    assert.ok(bytes < 40000, `${bytes} bytes`);
    const html = files[0].text;
    assert.doesNotMatch(html, /\son[a-z]+=|<style|style=|<script>|javascript:/i);
    for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) assert.match(address, /^\/[a-z.]+$/);
    for (const f of files) assert.doesNotMatch(f.text.replaceAll('http://www.w3.org/2000/svg', ''), /\b(https?|wss?):\/\/[a-z0-9]/i);
    assert.doesNotMatch(files[2].text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/);
  });

  test('404, 405, 400', async () => {
    assert.equal((await get(port, '/index.html')).status, 404);
    assert.equal((await get(port, '/../etc/passwd')).status, 404);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) assert.equal((await get(port, '/', { method })).status, 405, method);
    for (const host of ['a b', 'x;y', "h'self'", '[::1', 'h:99999']) assert.equal((await get(port, '/', { headers: { host } })).status, 400, host);
  });

  test('the list of transports, and the key for this machine only', async () => {
    const list = JSON.parse((await get(port, '/transports.json')).text);
    assert.deepEqual(list, {
      app: 'shop', key: KEY,
      ways: [
        { name: 'bmob', protocol: 'ws-bmob', url: `ws://127.0.0.1:${stack.ports.bmob}/1/ai`, note: '' },
        { name: 'wx', protocol: 'http-chunked-wxapp', url: `http://127.0.0.1:${stack.ports.wx}/chat/stream`, note: '[to be continued]' },
        { name: 'cgws', protocol: 'ws-chatgpt', url: `ws://127.0.0.1:${stack.ports.cgws}/`, note: '' },
      ],
      im: { mirrors: false, view: null },
    });
    const key = async (headers) => JSON.parse((await get(port, '/transports.json', { headers })).text).key;
    assert.equal(await key({ host: 'localhost' }), KEY);
    assert.equal(await key({ 'sec-fetch-site': 'same-origin' }), KEY);
    for (const headers of [
      { host: 'evil.example' }, { host: `evil.example:${port}` }, { host: '127.0.0.1.evil.example' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' },
      { 'x-forwarded-for': '10.0.0.9' }, { forwarded: 'for=10.0.0.9' }, { via: '1.1 proxy' }, { 'x-real-ip': '10.0.0.9' },
    ])
      assert.equal(await key(headers), null, JSON.stringify(headers));
    for (const where of ['/', '/playground.js', '/playground.css']) assert.ok(!(await get(port, where)).text.includes(KEY), where);
  });

  test('a transport that gets another address is on the page after a reload', async () => {
    const old = stack.ports.cgws;
    stack.ports.cgws = await freePort();
    await writeFile(stack.config, (await readFile(stack.config, 'utf8')).replace(`127.0.0.1:${old}`, `127.0.0.1:${stack.ports.cgws}`));
    const { code, stdout, stderr } = await stack.ctl('reload');
    assert.equal(code, 0, stdout + stderr);
    await until('the new list', async () => (await get(port, '/transports.json')).text.includes(`ws://127.0.0.1:${stack.ports.cgws}/`));
    assert.ok(!(await get(port, '/')).headers['content-security-policy'].includes(`:${old}`));
  });
});

describe('who gets a key', () => {
  test('off by default; without offer_key nobody is given one', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, playground: {} });
    try {
      assert.equal(JSON.parse((await get(stack.ports.playground, '/transports.json')).text).key, null);
    } finally {
      await stack.stop();
    }
    const none = await startStack({ transports: { bmob: transports.bmob } });
    try {
      assert.deepEqual((await none.list('host list')).map((h) => h.transport), ['bmob']);
    } finally {
      await none.stop();
    }
  });

  test('only the transports of the app, everywhere means the host of the page', async () => {
    const stack = await startStack({
      transports: { bmob: transports.bmob, other: { plugin: 'ws-bmob', apps: ['tea'] }, open: { plugin: 'ws-chatgpt', apps: ['shop'] } },
      apps: { tea: { keys: ['fedcba9876543210'] } }, playground: { app: 'shop' },
    });
    try {
      const names = JSON.parse((await get(stack.ports.playground, '/transports.json')).text).ways.map((w) => w.name);
      assert.deepEqual(names, ['bmob', 'open']);
    } finally {
      await stack.stop();
    }
  });

  test('a file that would give the key away is refused, with what to write', async () => {
    const stack = await startStack({ transports: { bmob: transports.bmob }, playground: {} });
    try {
      const text = await readFile(stack.config, 'utf8');
      const check = async (from, to, message) => {
        const file = path.join(stack.dir, 'changed.conf');
        await writeFile(file, text.replace(from, to), { mode: 0o600 });
        const { code, stderr } = await run(bin('umbeld'), ['--check', '-c', file]);
        assert.equal(code, message ? 2 : 0, stderr);
        if (message) assert.match(stderr, message);
      };
      const listen = /playground \{\n  listen = "[^"]*"\n/;
      await check(listen, 'playground {\n  listen = "0.0.0.0:8080"\n', null);
      await check(listen, 'playground {\n  listen = "0.0.0.0:8080"\n offer_key = on\n', /changed\.conf:\d+: playground gives a client key to whoever opens 0\.0\.0\.0:8080.*write listen = "127\.0\.0\.1:8080"/);
      await check(listen, 'playground {\n  listen = "[::1]:8080"\n offer_key = on\n', null);
      await check(listen, 'playground {\n  listen = "127.0.0.1:8080"\n app = tea\n', /playground names app tea, expected one that exists/);
      await check(/keys = \{ [^}]* \}/, '', null);
      await check(/keys = \{ [^}]* \}([^]*)playground \{/, '$1playground {\n offer_key = on\n', /app shop has no keys/);
      await check('transport bmob {', 'app tea { upstreams = demo model = m }\ntransport bmob {', null);
      await check(/transport bmob \{([^]*)playground \{/, 'app tea { upstreams = demo model = m }\ntransport bmob {$1playground {\n offer_key = on\n', /several apps.*write app = NAME/);
    } finally {
      await stack.stop();
    }
  });
});

describe('the page, in Chromium', { skip: chromiumPath ? false : 'no chromium' }, () => {
  const LONG = 'play:text=mixed:tokens=400:pace=20:seed=7';
  let browser;
  before(async () => {
    browser = await startBrowser();
  });
  after(() => browser?.close());

  const pane = (page, home) => page.locator(`.pane[data-home=${home}]`);
  const state = (page, home, value) => page.waitForFunction(([h, v]) => document.querySelector(`.pane[data-home=${h}]`)?.dataset.state === v, [home, value]);
  const text = (page, home) => page.evaluate((h) => panes.find((p) => p.home === h).text, home);
  const shown = (page, home) => pane(page, home).locator('.text p').textContent();
  const outcome = async (page, value) => {
    try {
      await page.waitForFunction((v) => document.getElementById('outcome').dataset.state === v, value);
    } catch (error) {
      throw new Error(`${error.message}; ${await page.evaluate(() => JSON.stringify([{ ...turn, front: 0 }, panes.map((p) => [p.home, p.protocol, p.state, p.quiet, p.bytes, p.why])]))}`);
    }
  };
  const bytes = (page, home, least) => page.waitForFunction(([h, n]) => panes.find((p) => p.home === h).bytes >= n, [home, least]);
  const quiet = async (page) => {
    assert.deepEqual(page.complaints, []);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  };
  const ask = async (page, question) => {
    await page.fill('#question', question);
    await page.press('#question', 'Enter');
  };
  const homes = ['bmob', 'wx', 'h5', 'cgws', 'im'];

  async function withStack(options, body) {
    const stack = await startIm({
      bots: { tea: { mirror: true } }, im: { snapshot_ms: 100 }, transports, model: 'play:text=demo:pace=8',
      ...options, playground: { offer_key: true, im_view: 'http://127.0.0.1:1' },
    });
    try {
      // The stand-in's address is known only now.
      await writeFile(stack.config, (await readFile(stack.config, 'utf8')).replace('im_view = "http://127.0.0.1:1"', `im_view = "${stack.tim.control}"`));
      assert.equal((await stack.ctl('reload')).code, 0);
      await until('the view', async () => (await get(stack.ports.playground, '/transports.json')).text.includes(stack.tim.control));
      stack.page = `http://127.0.0.1:${stack.ports.playground}/`;
      await body(stack);
    } finally {
      await stack.stop();
    }
  }

  test('ask: five panes get the same bytes; light and wide, dark and narrow; elsewhere asked is seen too', () =>
    withStack({}, async (stack) => {
      const page = await browser.open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
      await page.goto(stack.page);
      for (const home of homes) await state(page, home, 'ready');
      await ask(page, 'Why is the sky blue?');
      await outcome(page, 'running');
      await bytes(page, 'cgws', 60);
      await page.screenshot({ path: path.join(artefacts, 'playground-running.png') });
      await outcome(page, 'good');
      const truth = await stack.mock.text('play:text=demo:pace=8', 'Why is the sky blue?');
      for (const home of homes) {
        assert.equal(await text(page, home), truth, home);
        assert.equal(await shown(page, home), truth, `${home}, on the screen`);
      }
      assert.match(await page.textContent('#verdict'), new RegExp(`all 5 panes hold the same ${Buffer.byteLength(truth).toLocaleString('en')} bytes`));
      assert.match(await page.textContent('#n-first'), /^\d+ ms$|^\d+\.\d+ s$/);
      assert.match(await page.textContent('#n-lag'), /^\d+ ms$|^\d+\.\d+ s$/);
      assert.ok(Number(await pane(page, 'im').locator('.pieces').textContent()) >= 2, 'the IM message grew');
      assert.equal((await stack.mock.asked('play')).length, 1, 'asked once');
      await page.screenshot({ path: path.join(artefacts, 'playground-light.png') });

      // Somebody else in the same session.
      const session = await page.textContent('#session');
      const other = Bmob.asks(stack, 'And at night?', session);
      await page.waitForFunction(() => document.querySelector('#outcome').dataset.state === 'good' && turn.over && turn.ask === null);
      await until('the other client', () => other.done);
      for (const home of homes) assert.equal(await text(page, home), other.text, `${home}, asked elsewhere`);
      other.leave();

      // And again from here.
      await ask(page, 'Once more');
      await page.waitForFunction(() => turn.ask && turn.over);
      assert.equal(await page.getAttribute('#outcome', 'data-state'), 'good', await page.textContent('#verdict'));
      await quiet(page);

      const phone = await browser.open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'dark', isMobile: true, hasTouch: true });
      await phone.goto(stack.page);
      for (const home of homes) await state(phone, home, 'ready');
      await ask(phone, 'Why is the sky blue?');
      await outcome(phone, 'good');
      await phone.screenshot({ path: path.join(artefacts, 'playground-dark.png') });
      await phone.screenshot({ path: path.join(artefacts, 'playground-dark-whole.png'), fullPage: true });
      for (const width of [320, 390, 768, 1024, 1600]) {
        await phone.setViewportSize({ width, height: 800 });
        assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px: nothing sticks out`);
      }
      await quiet(phone);
    }));

  test('drop, resume on another protocol in the middle, drop after the end, stop', () =>
    withStack({ model: LONG }, async (stack) => {
      const page = await browser.open({ viewport: { width: 1280, height: 900 } });
      await page.goto(stack.page);
      for (const home of homes) await state(page, home, 'ready');
      await ask(page, 'long');
      // The mini-program leaves and goes on over ws-chatgpt, the web page over ws-bmob, ws-chatgpt where it was.
      const moves = [['wx', 'cgws'], ['h5', 'bmob'], ['cgws', null]];
      for (const [home] of moves) {
        await bytes(page, home, 100);
        await pane(page, home).locator('.drop').click();
        await state(page, home, 'dropped');
      }
      const kept = await text(page, 'wx');
      await bytes(page, 'bmob', Buffer.byteLength(kept) + 300);
      assert.equal(await text(page, 'wx'), kept, 'nothing comes any more');
      await page.screenshot({ path: path.join(artefacts, 'playground-dropped.png') });
      for (const [home, to] of moves) {
        if (to) await pane(page, home).locator('.on').selectOption(to);
        else await pane(page, home).locator('.resume').click();
        await state(page, home, 'live');
        assert.equal(await pane(page, home).getAttribute('data-protocol'), to ?? home);
      }
      // The asker too: the answer is the session's, not the connection's.
      await pane(page, 'bmob').locator('.drop').click();
      await state(page, 'bmob', 'dropped');
      for (const home of ['wx', 'h5', 'cgws', 'im']) await state(page, home, 'done');
      await outcome(page, 'part');
      await pane(page, 'bmob').locator('.on').selectOption('wx');
      await outcome(page, 'good');
      const truth = await stack.mock.text(LONG, 'long');
      for (const home of homes) assert.equal(await text(page, home), truth, home);
      assert.equal((await stack.mock.asked('play')).length, 1, 'asked once');

      await ask(page, 'again');
      for (const home of homes) await bytes(page, home, 100);
      await page.click('#stop');
      await outcome(page, 'good');
      assert.match(await page.textContent('#verdict'), /^Stopped: all 5 panes/);
      const half = await text(page, 'bmob');
      const whole = await stack.mock.text(LONG, 'again');
      assert.ok(half.length > 50 && half.length < whole.length && whole.startsWith(half), `${half.length} of ${whole.length}`);
      for (const home of homes) assert.equal(await text(page, home), half, home);
      await until('the service to be left', async () => (await stack.mock.asked('play')).length === 2);
      await quiet(page);
    }));

  test('what the model says is text, whatever it looks like', () =>
    withStack({ model: 'play:text=echo:pace=2' }, async (stack) => {
      const page = await browser.open();
      await page.goto(stack.page);
      const evil = '<img src=x onerror="window.owned=1"></script><script>window.owned=1</script><b>bold</b> &lt; javascript:1 event: error';
      for (const home of homes) await state(page, home, 'ready');
      await ask(page, evil);
      await outcome(page, 'good');
      for (const home of homes) assert.equal(await shown(page, home), evil, home);
      // The tick is earned: one wrong byte in one pane and it is gone.
      const verdict = await page.evaluate(() => {
        const one = panes.find((p) => p.home === 'h5');
        one.text = `${one.text.slice(0, 7)}\u00e9${one.text.slice(8)}`;
        outcome();
        return [document.getElementById('outcome').dataset.state, document.getElementById('verdict').textContent];
      });
      assert.deepEqual(verdict, ['bad', 'Not equal: H5 SSE differs from byte 7 on.']);
      assert.equal(await page.evaluate(() => window.owned ?? document.querySelectorAll('#panes img, #panes b, #panes script').length), 0);
      await quiet(page);
    }));

  test('a failure and a long mini-program are told as they are', () =>
    withStack({ model: 'play:text=count:tokens=200:pace=10', transports: { ...transports, wx: { plugin: 'http-chunked-wxapp', max_stream_ms: 700 } } }, async (stack) => {
      const page = await browser.open();
      await page.goto(stack.page);
      for (const home of homes) await state(page, home, 'ready');
      await ask(page, 'x');
      await outcome(page, 'good');
      const truth = await stack.mock.text('play:text=count:tokens=200:pace=10', 'x');
      for (const home of homes) assert.equal(await text(page, home), truth, home);
      await stack.mock.stop();
      await ask(page, 'nobody answers');
      await outcome(page, 'bad');
      assert.match(await page.textContent('#verdict'), /The answer failed: The model service failed/);
      await quiet(page);
    }));

  test('a key that is typed; a bad one is told; Chinese; keyboard; no IM', async () => {
    const stack = await startStack({ transports, model: 'play:text=demo:tokens=20:pace=1', playground: {} });
    try {
      const page = await browser.open({ locale: 'zh-CN' });
      await page.goto(`http://localhost:${stack.ports.playground}/`);
      await page.waitForSelector('#key');
      assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
      assert.match(await page.textContent('#go'), /提问/);
      await page.screenshot({ path: path.join(artefacts, 'playground-chinese.png') });
      await page.fill('#key', 'not-the-key-at-all');
      await ask(page, '问');
      await outcome(page, 'bad');
      assert.match(await page.textContent('#verdict'), /Incorrect API key/);
      await page.fill('#key', KEY);
      await page.click('#language');
      assert.match(await page.textContent('#go'), /Ask/);
      // By keyboard alone: from the key on to the question, and off it goes.
      await page.focus('#key');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
      await page.keyboard.press('Enter');
      await outcome(page, 'good');
      assert.equal(await pane(page, 'im').getAttribute('data-state'), 'off');
      assert.match(await shown(page, 'im'), /mirror = true/);
      const unnamed = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, select, [tabindex]')].filter((e) => !e.hidden && !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML));
      assert.deepEqual(unnamed, []);
      assert.ok(!(await page.evaluate(() => JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie]))).includes(KEY));
      assert.deepEqual(await page.evaluate(() => window.violations), []);
    } finally {
      await stack.stop();
    }
  });
});

// Debian's Chromium without a window, for pages.  It talks to nobody but the test's own addresses.
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BIN } from './support.mjs';

export const chromiumPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
/** Screenshots stay beside the programs that were tested. */
export const artefacts = path.join(BIN, '..', 'artefacts');

/** { open(options), close() }: open gives a page of a fresh profile, page.complaints holds what its console and policy complain of. */
export async function startBrowser() {
  const { chromium } = await import('playwright-core');
  await mkdir(artefacts, { recursive: true });
  const home = await mkdtemp(path.join(os.tmpdir(), 'umbel-browser-'));
  const contexts = [];
  let count = 0;
  return {
    async open(options = {}) {
      const context = await chromium.launchPersistentContext(path.join(home, String(count++)), {
        executablePath: chromiumPath, headless: true, chromiumSandbox: false, locale: 'en-GB', timeout: 120000, ...options,
        args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
      });
      contexts.push(context);
      const page = context.pages()[0] ?? (await context.newPage());
      page.setDefaultTimeout(Number(process.env.UMBEL_PAGE_MS ?? 60000));
      page.complaints = [];
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && page.complaints.push(message.text()));
      page.on('pageerror', (error) => page.complaints.push(String(error)));
      await page.addInitScript(() => {
        window.violations = [];
        document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
      });
      return page;
    },
    async close() {
      for (const context of contexts) await context.close();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

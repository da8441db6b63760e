// A tree of programs like the build's, with tests/support/chaos.c among its plugins; who: run umbeld as that user ('root' = as we are).
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const REAL = path.resolve(process.env.UMBEL_BIN ?? path.join(here, '../../build/dev/bin'));
export const NOBODY = 65534;

/** Once per test file, before support.mjs is imported: it reads UMBEL_BIN then. */
export function makeTree() {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-chaos-'));
  const plugins = path.join(root, 'lib/umbel/plugins'), bin = path.join(root, 'bin');
  fs.chmodSync(root, 0o755); // hosts run as another user, who must find their plugin
  fs.mkdirSync(plugins, { recursive: true });
  fs.mkdirSync(bin);
  const link = (from, to) => fs.readdirSync(from).forEach((name) => name !== 'umbel' && fs.symlinkSync(path.join(from, name), path.join(to, name)));
  link(path.join(REAL, '../lib'), path.join(root, 'lib'));
  link(path.join(REAL, '../lib/umbel/plugins'), plugins);
  link(path.join(REAL, '../tests/plugins'), plugins);
  for (const name of ['umbel-host', 'umbelctl', 'umbel-mock-llm']) fs.symlinkSync(path.join(REAL, name), path.join(bin, name));
  fs.copyFileSync(path.join(REAL, 'umbeld'), path.join(bin, 'umbeld-as-we-are'));
  // CHAOS_USER is set by a test that wants an ordinary user's daemon; support.mjs gives -c FILE --runtime-dir DIR.
  fs.writeFileSync(path.join(bin, 'umbeld'), `#!/bin/sh
if [ -n "$CHAOS_USER" ]; then
    chown -R "$CHAOS_USER:$CHAOS_USER" "$4"
    exec setpriv --reuid "$CHAOS_USER" --regid "$CHAOS_USER" --clear-groups "${bin}/umbeld-as-we-are" "$@"
fi
exec "${bin}/umbeld-as-we-are" "$@"
`, { mode: 0o755 });
  process.env.UMBEL_BIN = bin;
  return { root, remove: () => fs.rmSync(root, { recursive: true, force: true }) };
}

/** Sanitizers report what this plugin does on purpose, and need calls that it then can make too: such builds are not judged by it. */
export const sanitized = /__[at]san_init/.test(fs.readFileSync(path.join(REAL, 'umbel-host'), 'latin1')) ? 'a sanitizer reports what the chaos plugin does on purpose' : false;
export const isRoot = process.getuid() === 0;
export const hasSetpriv = () => {
  try {
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Asks the chaos plugin; a plugin that dies of it gives null. */
export async function chaos(stack, name, what) {
  try {
    return await (await fetch(`http://127.0.0.1:${stack.ports[name]}/${what}`, { signal: AbortSignal.timeout(5000) })).json();
  } catch {
    return null;
  }
}

export const hostOf = async (stack, transport) => (await stack.list('host list')).find((h) => h.transport === transport);

/** The lines of /proc/PID/status, by name. */
export const status = (pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n').map((l) => l.split(/:\s*/, 2)));

/** Was it built with a sanitizer?  Those need more calls and more memory: the sandbox says so. */
export const isWidened = (host) => /widened/.test(host.sandbox);

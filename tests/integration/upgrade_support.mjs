// An installation of its own (bin and lib copied), so that plugins can be replaced on disk as an upgrade does it.  Importing this sets
// UMBEL_BIN: import support.mjs only afterwards, dynamically.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.resolve(here, '../..');
const real = path.resolve(process.env.UMBEL_BIN ?? path.join(here, '../../build/dev/bin'), '..');
export const root = fs.mkdtempSync(path.join(os.tmpdir(), 'umbel-upgrade-'));
fs.chmodSync(root, 0o755);
fs.mkdirSync(path.join(root, 'bin'));
for (const name of ['umbeld', 'umbel-host', 'umbelctl', 'umbel-mock-llm', 'umbel-mock-tim'])
  fs.copyFileSync(path.join(real, 'bin', name), path.join(root, 'bin', name));
execFileSync('cp', ['-a', path.join(real, 'lib'), path.join(root, 'lib')]);
process.env.UMBEL_BIN = path.join(root, 'bin');
process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }));

const plugins = path.join(root, 'lib/umbel/plugins');
const at = (name) => path.join(plugins, `${name}.so`);

/** Puts a file where another is in use, as packages do: the running processes keep the old one. */
function replace(file, bytes) {
  const fresh = `${file}.new`;
  fs.writeFileSync(fresh, bytes, { mode: 0o755 });
  fs.renameSync(fresh, file);
}

const originals = new Map();
export function keep(name) {
  if (!originals.has(name)) originals.set(name, fs.readFileSync(at(name)));
  return originals.get(name);
}
export const restore = (name) => replace(at(name), keep(name));

/** The same plugin with another version text of the same length. */
export function newer(name, version = '0.1.9') {
  const bytes = Buffer.from(keep(name));
  let found = 0;
  for (let i = bytes.indexOf('0.1.0\0'); i >= 0; i = bytes.indexOf('0.1.0\0', i + 1)) {
    bytes.write(version, i);
    found++;
  }
  if (!found) throw new Error(`${name}.so does not say its version`);
  replace(at(name), bytes);
}

/** Another umbel-host, that is the same program in another file. */
export function newHost() {
  const file = path.join(root, 'bin/umbel-host');
  replace(file, fs.readFileSync(file));
}

/** A plugin of this name that is bad in a way: see bad_plugin.c. */
export function bad(name, how) {
  const out = path.join(root, `${how}.so`);
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-I', path.join(source, 'include'), `-DNAME="${name}"`, `-DBAD_${how.toUpperCase()}=1`,
    '-o', out, path.join(here, 'bad_plugin.c')]);
  keep(name);
  replace(at(name), fs.readFileSync(out));
}

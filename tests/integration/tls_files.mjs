// Certificates that a test makes for itself with the openssl command: an authority, and leaves signed by it.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from './support.mjs';

async function openssl(...args) {
  const { code, stderr } = await run('openssl', args);
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}
const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority in dir: { file, leaf(name, { names, days }) }; a leaf is { cert, key }; names as in subjectAltName. */
export async function makeAuthority(dir, name) {
  const at = (suffix) => path.join(dir, `${name}.${suffix}`);
  await openssl('req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('pem'));
  return {
    file: at('pem'),
    async leaf(leaf, { names = 'DNS:localhost', days = 2 } = {}) {
      const of = (suffix) => path.join(dir, `${name}-${leaf}.${suffix}`);
      await writeFile(of('cnf'), `subjectAltName=${names}\n`);
      await openssl('req', '-new', ...key, '-subj', `/CN=${leaf}`, '-keyout', of('key'), '-out', of('csr'));
      await openssl('x509', '-req', '-in', of('csr'), '-CA', at('pem'), '-CAkey', at('key'), '-CAcreateserial', '-days', String(days),
        '-extfile', of('cnf'), '-out', of('pem'));
      return { cert: of('pem'), key: of('key') };
    },
  };
}

/**
 * Adds to package-lock.json the optional platform packages (sharp, lmdb, rollup… for other systems) that npm left out
 * because the registry it asked does not carry that version. `npm ci` refuses a lockfile without them, everywhere; and
 * a lockfile made on Linux must install on a Mac. Run it after every `npm install` behind a partial mirror:
 *
 *     node scripts/complete-lockfile.mjs
 *
 * What it adds has no integrity: npm records that itself on the first install from a full registry.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openbsd', 'netbsd', 'sunos', 'aix', 'openharmony'];
const PROCESSORS = ['arm64', 'x64', 'ia32', 'arm', 'ppc64', 'ppc', 's390x', 'riscv64', 'loong64', 'loongarch64', 'mips64el', 'wasm32'];

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const added = [];

for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (path === '' || isLocked(path, name)) continue;
    const version = range.replace(/^[\^~]/, '');
    lock.packages[`node_modules/${name}`] = { version, ...platformOf(name), optional: true, ...(entry.dev ? { dev: true } : {}) };
    added.push(`${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(added.length === 0 ? 'package-lock.json is complete.' : `Added ${added.length}: ${added.join(', ')}`);

/** Whether `name`, required by the package at `path`, resolves inside the lockfile (nearest node_modules upwards). */
function isLocked(path, name) {
  for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${base === '' ? '' : `${base}/`}node_modules/${name}`]) return true;
    if (base === '' || !base.includes('node_modules')) return false;
    if (!base.includes('/node_modules/')) base = '';
    if (base === '') return Boolean(lock.packages[`node_modules/${name}`]);
  }
}

/** `@img/sharp-linuxmusl-arm64` → `{ os: ['linux'], cpu: ['arm64'] }`: by the naming that all of them follow. */
function platformOf(name) {
  const words = name.replace(/linuxmusl/, 'linux-musl').split(/[-/]/);
  const os = SYSTEMS.find((system) => words.includes(system) || (system === 'linux' && words.some((word) => word.startsWith('linux'))));
  const cpu = PROCESSORS.find((processor) => words.includes(processor)) ?? (words.includes('armv7') || words.includes('arm') ? 'arm' : undefined);
  return { ...(cpu ? { cpu: [cpu] } : {}), ...(os ? { os: [os] } : {}) };
}

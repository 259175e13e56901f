/**
 * Writes what npm needs to install a bundle: a package.json whose dependencies are those that this package was tested
 * with, to the version, and the part of its package-lock.json that they reach.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EisError } from '../../common/errors.js';
import { packagePath } from '../../common/package-root.js';
import { MAIN } from './bundle-code.js';

/** Packages that hold native code or WebAssembly, or that must be the same for the platform and the function: they stay packages. */
export const INSTALLED = ['@google-cloud/functions-framework', '@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-core', 'h5wasm', 'onnxruntime-node', 'sharp'] as const;

/**
 * Install scripts are not run: all binaries that are needed come in the packages, and onnxruntime-node's fetches CUDA
 * libraries of 400 MB from elsewhere, which a function has no use for.
 */
const NPMRC = 'ignore-scripts=true\nfund=false\naudit=false\n';

/** What `gcloud functions deploy` leaves here: Cloud Build installs the packages itself. */
const GCLOUDIGNORE = '.gcloudignore\n.git\nnode_modules/\ndata/\n';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean | undefined;
  readonly optional?: boolean | undefined;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export type LockedPackages = Readonly<Record<string, LockedPackage>>;

/**
 * Writes package.json, package-lock.json, .npmrc and .gcloudignore.
 *
 * @param name of the package
 * @throws EisError EIS_BUNDLE when the lockfile is not there (an installed package has none) or lacks a package
 */
export async function bundlePackages(name: string, folder: string): Promise<void> {
  const { version, license, engines } = await readJson<{ version: string; license: string; engines: object }>('package.json');
  const { packages: locked } = await readJson<{ packages: LockedPackages }>('package-lock.json');
  const dependencies = Object.fromEntries(INSTALLED.map((each) => [each, versionOf(each, locked)]));
  const manifest = { name, version, license, engines, dependencies };
  await writeJson(join(folder, 'package.json'), { ...manifest, private: true, type: 'module', main: MAIN, scripts: { start: 'functions-framework --target=embed' } });
  await writeJson(join(folder, 'package-lock.json'), { name, version, lockfileVersion: 3, requires: true, packages: { '': manifest, ...reachable(INSTALLED, locked) } });
  await writeFile(join(folder, '.npmrc'), NPMRC);
  await writeFile(join(folder, '.gcloudignore'), GCLOUDIGNORE);
}

async function readJson<T>(file: string): Promise<T> {
  try {
    return JSON.parse(await readFile(packagePath(file), 'utf8')) as T;
  } catch (cause) {
    throw new EisError('EIS_BUNDLE', { detail: `${packagePath(file)} cannot be read. Functions are bundled in a clone of the repository, which has it.` }, { cause });
  }
}

async function writeJson(path: string, value: object): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}

function versionOf(name: string, locked: LockedPackages): string {
  return locked[`node_modules/${name}`]?.version ?? absent(name);
}

function absent(name: string): never {
  throw new EisError('EIS_BUNDLE', { detail: `package-lock.json lacks ${name}. Run "npm install" and "node scripts/complete-lockfile.mjs", then try again.` });
}

/**
 * The entries of a lockfile that these packages reach, where they stand: whatever finds a package there finds it in the
 * bundle. One is optional where only optional dependencies lead to it.
 *
 * @throws EisError EIS_BUNDLE when one is missing, of which `npm ci` would say no more than that the lockfile does not fit
 */
export function reachable(names: readonly string[], locked: LockedPackages): LockedPackages {
  const needed = new Set<string>();
  const found = new Set<string>();
  const walk = (path: string, isNeeded: boolean): void => {
    if (needed.has(path) || (found.has(path) && !isNeeded)) return;
    found.add(path);
    if (isNeeded) needed.add(path);
    const entry = locked[path] as LockedPackage;
    const optional = entry.optionalDependencies ?? {};
    for (const name of Object.keys({ ...entry.dependencies, ...requiredPeers(entry) })) if (!(name in optional)) walk(locate(name, path, locked) ?? absent(name), isNeeded);
    for (const name of Object.keys(optional)) walk(locate(name, path, locked) ?? absent(name), false);
  };
  for (const name of names) walk(locate(name, '', locked) ?? absent(name), true);
  return Object.fromEntries([...found].sort().map((path) => [path, { ...locked[path], dev: undefined, optional: needed.has(path) ? undefined : true }]));
}

function requiredPeers({ peerDependencies = {}, peerDependenciesMeta = {} }: LockedPackage): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(peerDependencies).filter(([name]) => peerDependenciesMeta[name]?.optional !== true));
}

/** As Node looks for a package: in the nearest node_modules upwards. */
function locate(name: string, from: string, locked: LockedPackages): string | undefined {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf('node_modules/') - 1))) {
    const path = `${base === '' ? '' : `${base}/`}node_modules/${name}`;
    if (locked[path]) return path;
    if (base === '') return undefined;
  }
}

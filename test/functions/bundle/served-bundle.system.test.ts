/**
 * A bundle served outside the repository. Its packages are those of its lockfile: linked from ours, so that the test is
 * quick, or with EIS_TEST_BUNDLE=full installed from the registry, as Cloud Build does it.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../common/config.js';
import { lanesOf } from '../../../common/model-lanes.js';
import { packagePath } from '../../../common/package-root.js';
import { buildBundle } from '../../../functions/bundle/build-bundle.js';
import { startFunction, type FunctionProcess } from '../support/function-process.js';
import { temporaryFolder } from '../support/tiny-model.js';

const INSTALL_TIMEOUT_MS = 400_000;

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let folder: string;
let bundled: FunctionProcess;
let ours: FunctionProcess;
let image: Buffer;

beforeAll(async () => {
  temporary = await temporaryFolder();
  const parent = temporary.path;
  const [builtin] = loadConfig(packagePath('config.json')).models;
  ({ folder } = await buildBundle(lanesOf(builtin!)[0]!, parent, { dataDir: join(parent, 'data') }));
  if (process.env['EIS_TEST_BUNDLE'] === 'full') execFileSync('npm', ['ci', '--omit=dev', '--loglevel=error'], { cwd: folder, stdio: 'inherit' });
  else linkPackages();
  image = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#c52', noise: { type: 'gaussian', mean: 120, sigma: 60 } } }).jpeg().toBuffer();
  const environment = { EIS_CONFIG: '', MODEL: '', EIS_DATA_DIR: join(parent, 'data') };
  [bundled, ours] = await Promise.all([startFunction(environment, folder), startFunction({ EIS_DATA_DIR: join(parent, 'ours') })]);
}, INSTALL_TIMEOUT_MS);
afterAll(async () => {
  await Promise.all([bundled, ours].map((started) => started?.stop()));
  await temporary.remove();
});

/** Every entry of the bundle's lockfile, and nothing else: what it lacks is not found. */
function linkPackages(): void {
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as { packages: Record<string, object> };
  const present = Object.keys(packages).filter((path) => path !== '' && existsSync(packagePath(path)));
  for (const path of present) {
    const nested = join(packagePath(path), 'node_modules');
    cpSync(packagePath(path), join(folder, path), { recursive: true, filter: (source) => source !== nested && !source.startsWith(`${nested}/`) && !/napi-v6.(darwin|win32)/.test(source) });
  }
}

async function ask(of: FunctionProcess, path: string): Promise<Record<string, unknown>> {
  return (await (await fetch(`${of.url}${path}`)).json()) as Record<string, unknown>;
}

describe('a bundle outside the repository', () => {
  it('runs the same version of the model, by the same engine', async () => {
    const { model, model_version, layer, dim, engine } = await ask(ours, '/ready');
    expect(await ask(bundled, '/ready')).toMatchObject({ model, model_version, layer, dim, engine });
    expect(engine).toBe('onnxruntime');
  });

  it('answers the same embedding, to the last bit', async () => {
    const embed = async ({ url }: FunctionProcess): Promise<{ readonly bytes: Buffer; readonly headers: (string | null)[] }> => {
      const response = await fetch(url, { method: 'POST', body: new Uint8Array(image), headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' } });
      return { bytes: Buffer.from(await response.arrayBuffer()), headers: ['x-eis-dim', 'x-eis-sha256', 'x-eis-phash', 'x-eis-model-version'].map((name) => response.headers.get(name)) };
    };
    const [theirs, expected] = [await embed(bundled), await embed(ours)];
    expect(expected.bytes.length).toBe(4 * 256);
    expect(theirs).toEqual(expected);
  });

  it('keeps its optimised model for the next start, as the repository does', () => {
    expect(bundled.output()).toContain('model loaded');
    expect(existsSync(join(folder, '..', 'data', 'engines'))).toBe(true);
  });

  it('refuses a private address, with what it loads only then', async () => {
    const response = await fetch(bundled.url, { method: 'POST', body: JSON.stringify({ url: 'http://10.0.0.1/a.jpg' }), headers: { 'content-type': 'application/json' } });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([403, 'EIS_URL_FORBIDDEN']);
  });

  it('says in its lockfile what its package.json asks for, so that npm ci takes it', () => {
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as { packages: Record<string, { version: string; dependencies?: Record<string, string> }> };
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
    expect(lock.packages['']!.dependencies).toEqual(manifest.dependencies);
    for (const [name, version] of Object.entries(manifest.dependencies)) expect([name, lock.packages[`node_modules/${name}`]!.version]).toEqual([name, version]);
  });

  it('has no file of the repository besides: no sources, no data, no packages of ours', () => {
    expect(statSync(join(folder, 'dist')).isDirectory()).toBe(true);
    for (const name of ['gateway', 'test', 'models', 'config.json.bak']) expect(existsSync(join(folder, name))).toBe(false);
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).not.toContain(packagePath());
    expect(readFileSync(join(folder, '.gcloudignore'), 'utf8')).toContain('node_modules/');
    expect(readFileSync(join(folder, '.npmrc'), 'utf8')).toContain('ignore-scripts=true');
  });
});

/** A `gcloud` on the PATH that deploys nothing: it notes what it is told, and fails where it is told to. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface FakeGcloud {
  /** The environment in which it is found. */
  readonly env: Readonly<Record<string, string>>;
  /** What it was told so far, a line for each call. */
  readonly calls: () => string[];
}

/**
 * @param failing part of the line of a call that fails, as real ones do: with progress and an error on stderr
 * @param answer what it tells as the address of a function; default: one on Cloud Run
 */
export function fakeGcloud(folder: string, { failing, answer }: { readonly failing?: string; readonly answer?: string } = {}): FakeGcloud {
  const bin = join(folder, 'bin');
  const log = join(folder, 'calls');
  mkdirSync(bin, { recursive: true });
  writeFileSync(log, '');
  writeFileSync(join(bin, 'gcloud'), `#!/usr/bin/env node
const line = process.argv.slice(2).join(' ');
require('node:fs').appendFileSync(${JSON.stringify(log)}, line + '\\n');
console.error('Preparing function...done.');
if (${JSON.stringify(failing)} !== undefined && line.includes(${JSON.stringify(failing)})) {
  console.error('ERROR: (gcloud.functions.deploy) OperationError: code=3, message=Build failed: npm ci ended with 1');
  process.exit(1);
}
if (line.includes(' describe ')) console.log(${JSON.stringify(answer)} ?? 'https://' + process.argv[4] + '-abc-ew.a.run.app');
else console.log('state: ACTIVE');
`);
  chmodSync(join(bin, 'gcloud'), 0o755);
  return { env: { PATH: `${bin}${delimiter}${process.env['PATH']}` }, calls: () => readFileSync(log, 'utf8').split('\n').filter((line) => line !== '') };
}

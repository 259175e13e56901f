/** The fake `oc` on the PATH, for the test that asks for it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { packagePath } from '../../../common/package-root.js';
import { SECRETS } from '../../../k8s/manifests/names.js';
import { tempFolder } from '../../support/temp-folder.js';

export interface FakeCluster {
  readonly folder: string;
  /** What a process needs to meet it. */
  readonly env: Readonly<Record<string, string>>;
  /** Commands so far, without the namespace. */
  calls(): string[];
  forgetCalls(): void;
  /** The files of what is in it: `KIND-NAME.yaml`. */
  objects(): string[];
}

/** @param tool the name that it answers to */
export function fakeCluster({ tool = 'oc', secrets = Object.values(SECRETS).map(({ name }) => name as string) }: { readonly tool?: string; readonly secrets?: readonly string[] } = {}): FakeCluster {
  const folder = tempFolder();
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  mkdirSync(join(folder, 'objects'));
  symlinkSync(packagePath('test/k8s/support/fake-oc.sh'), join(bin, tool));
  writeFileSync(join(folder, 'secrets'), secrets.map((name) => `secret/${name}\n`).join(''));
  const log = join(folder, 'log');
  return {
    folder,
    env: { FAKE_OC: folder, PATH: [bin, '/usr/bin', '/bin'].join(delimiter) },
    calls: () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').map((line) => line.replace(/^-n \S+ /, '')) : []),
    forgetCalls: () => rmSync(log, { force: true }),
    objects: () => readdirSync(join(folder, 'objects')).sort(),
  };
}

/** The whole machine is started anew while a re-embedding is between its switch and its end: nobody is answered by the former version. */
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import type { SearchAnswer } from '../../common/wire.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack } from '../support/local-stack.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';

it('a machine that is started anew after a switch answers by the new version from its first answer on', async () => {
  const folder = tempFolder();
  const [name] = await drawImages(join(folder, 'drawn'), 1);
  const picture = new Uint8Array(readImage(join(folder, 'drawn'), name!));
  const model_url = packagePath('models/builtin');
  // The same weights behind other preprocessing: another version, whose vectors cannot be compared.
  const config = { models: [{ name: 'builtin', model_url, next: { model_url, preprocess: '[0,1]' } }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 1 }] }] };
  const first = await startLocalStack({ folder, config });
  onTestFinished(async () => void (await first.stop()));
  const env = { EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: first.dataDir, EIS_BASE_PORT: String(first.basePort) };
  const switched = await runCli(['reembed', 'builtin', '--min-overlap', '0', '--max-recall-loss', '1', '--json'], env);
  expect(switched.code, switched.stderr).toBe(0);
  const { version } = JSON.parse(switched.stdout) as { version: string };
  await first.stop();

  const versions: string[] = [];
  const refused = new Set<string>();
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      const response = await fetch(`${first.url}/search?top=3`, { method: 'POST', body: picture, headers: { 'content-type': 'image/jpeg' } }).catch(() => undefined); // nobody listens yet
      const answer = (await response?.json()) as (SearchAnswer & { code?: string }) | undefined;
      if (response?.status === 200) versions.push(answer!.model_version);
      else if (answer) refused.add(answer.code!);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })();
  const second = await startLocalStack({ folder, config, basePort: first.basePort });
  onTestFinished(async () => void (await second.stop()));
  const ready = await fetch(`${second.url}/search?top=3`, { method: 'POST', body: picture, headers: { 'content-type': 'image/jpeg' } });
  expect([ready.status, ((await ready.json()) as SearchAnswer).model_version]).toEqual([200, version]);
  isOver = true;
  await asking;
  expect(new Set(versions)).toEqual(new Set([version]));
  expect([...refused].filter((code) => code !== 'EIS_NOT_READY')).toEqual([]);
}, 240_000);

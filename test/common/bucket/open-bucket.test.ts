import { execFile } from 'node:child_process';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openBucket } from '../../../common/bucket/open-bucket.js';
import { parseEnvironment } from '../../../common/environment.js';
import { packagePath } from '../../../common/package-root.js';
import { WireServer } from '../../support/gcs-wire/wire-server.js';
import { tempFolder } from '../../support/temp-folder.js';

afterEach(() => vi.unstubAllEnvs());

/** Run by a process of its own: which of two buckets makes it load what the client of Cloud Storage is made of. */
const LOADED = `
  import { createRequire } from 'node:module';
  const { openBucket } = await import(process.argv[1]);
  const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('teeny-request'));
  const loaded = [];
  for (const bucket of [process.argv[2], 'gs://photos']) {
    await openBucket({ bucket, dataDir: process.argv[2], limits: { imageBytesMax: 1 } });
    loaded.push(isLoaded());
  }
  process.stdout.write(JSON.stringify(loaded));
`;

describe('openBucket()', () => {
  it.each([['gs://bucket', 'gs://bucket/'], ['gs://bucket/', 'gs://bucket/'], ['gs://bucket/images/2024/', 'gs://bucket/images/2024/']])('opens %s', async (text, expected) => {
    const wire = await WireServer.start();
    vi.stubEnv('STORAGE_EMULATOR_HOST', wire.url);
    const bucket = await openBucket(parseEnvironment({ BUCKET: text }));
    const { sha256 } = await bucket.put(Readable.from([Buffer.from('image')]));
    expect(bucket.uri(sha256)).toBe(`${expected}${sha256.slice(0, 2)}/${sha256}`);
    expect(await bucket.get(sha256)).toEqual(Buffer.from('image'));
    expect(await bucket.delete(sha256)).toBe(true);
    await wire.close();
  });

  it.each(['gs://', 'gs:///prefix', 'gs://a b/c', 'gs://-x-/c'])('refuses %s', async (text) => {
    await expect(openBucket(parseEnvironment({ BUCKET: text }))).rejects.toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining('gs://name/prefix') as string });
  });

  it('loads the client of Cloud Storage for gs:// only', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', LOADED, pathToFileURL(packagePath('dist/common/bucket/open-bucket.js')).href, tempFolder()]);
    expect(JSON.parse(stdout)).toEqual([false, true]);
  });
});

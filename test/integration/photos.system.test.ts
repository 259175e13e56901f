/**
 * The 240 photos through the whole system, with three models: every one finds itself, and its altered copies find it.
 * Takes minutes, so it has a command of its own: `npm run test:recall`. The default suite holds the models to fewer
 * photos without the system around them (`test/functions/recall.system.test.ts`).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SearchAnswer } from '../../common/wire.js';
import type { IngestSummary } from '../../ingest/upload.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { ALTERATIONS } from '../support/recall.js';
import { runCli } from '../support/run-cli.js';
import { missingTestData, readPhotos, testDataPath } from '../support/test-data.js';

const skipped = process.env['EIS_TEST_RECALL'] === 'full' ? (missingTestData('images') ?? missingTestData('models')) : 'skipped: takes minutes, see npm run test:recall';

const MODELS = [
  { name: 'builtin', recallMin: 0.9 },
  { name: 'custom', model_url: testDataPath('models/teachable-machine'), recallMin: 0.97 },
  // A network fine-tuned to tell five classes apart: it has forgotten much of what photos have in common. Reported, not required.
  { name: 'quantized', model_url: testDataPath('models/mobilenet-v2-quantized'), preprocess: '[0,1]', recallMin: 0 },
];

describe.skipIf(skipped)(`240 photos through the whole system ${skipped ? `(${skipped})` : ''}`, () => {
  const photos = skipped ? [] : readPhotos().map((photo) => ({ ...photo, id: createHash('sha256').update(photo.bytes).digest('hex') }));
  let folder: string;
  let stack: LocalStack;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-photos-'));
    mkdirSync(join(folder, 'empty'));
    const models = MODELS.map(({ name, model_url, preprocess }) => ({ name, model_url, preprocess }));
    const indexing = { name: 'indexing', models: MODELS.map(({ name }) => ({ name, num_indexes: 2 })) };
    stack = await startLocalStack({ folder, config: { models, services: [indexing] }, args: ['--images', join(folder, 'empty')] });
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function nearest(model: string, bytes: Buffer): Promise<{ id: string; score: number }> {
    const response = await fetch(`${stack.url}/search?top=1&model=${model}`, { method: 'POST', body: new Uint8Array(bytes), headers: { 'content-type': 'image/jpeg' } });
    expect(response.status).toBe(200);
    const { results, partial } = (await response.json()) as SearchAnswer;
    expect(partial).toBe(false);
    return results[0] as { id: string; score: number };
  }

  async function ofAll<T>(work: (photo: (typeof photos)[number]) => Promise<T>): Promise<T[]> {
    const results: T[] = [];
    for (let i = 0; i < photos.length; i += 4) results.push(...(await Promise.all(photos.slice(i, i + 4).map(work))));
    return results;
  }

  it('stores all of them, and knows them all the second time', async () => {
    const args = ['ingest', testDataPath('images'), '--gateway', stack.url, '--json'];
    const expected = photos.length * MODELS.length;
    const first = await runCli(args);
    expect(JSON.parse(first.stdout) as IngestSummary).toMatchObject({ sent: photos.length, stored: expected, duplicates: 0, rejected: [] });
    const second = await runCli(args);
    expect(JSON.parse(second.stdout) as IngestSummary).toMatchObject({ sent: photos.length, stored: 0, duplicates: expected, rejected: [] });
    expect([first.code, second.code]).toEqual([0, 0]);
    await expect.poll(async () => ((await (await fetch(`${stack.url}/models`)).json()) as { models: { vectors: number }[] }).models.map(({ vectors }) => vectors), { timeout: 10_000 }).toEqual(MODELS.map(() => photos.length));
  }, 300_000);

  it.each(MODELS)('$name: every photo finds itself, and is found by its altered copies', async ({ name, recallMin }) => {
    const own = await ofAll(async ({ id, bytes }) => ({ expected: id, ...(await nearest(name, bytes)) }));
    expect(own.filter(({ expected, id }) => id !== expected)).toEqual([]);
    expect(Math.min(...own.map(({ score }) => score))).toBeGreaterThanOrEqual(0.999);
    const recall: Record<string, number> = {};
    for (const [alteration, alter] of Object.entries(ALTERATIONS)) {
      const found = await ofAll(async ({ id, bytes }) => (await nearest(name, await alter(bytes))).id === id);
      recall[alteration] = found.filter(Boolean).length / photos.length;
    }
    console.log(name, 'lowest score with itself:', Math.min(...own.map(({ score }) => score)), 'recall@1:', recall);
    for (const [alteration, share] of Object.entries(recall)) expect(share, alteration).toBeGreaterThanOrEqual(recallMin);
  }, 600_000);
});

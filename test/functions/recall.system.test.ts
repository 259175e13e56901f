import { afterAll, describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../common/config.js';
import { measureRecall, openEmbedder, type LocalEmbedder } from '../support/recall.js';
import { missingTestData, readPhotos, testDataPath } from '../support/test-data.js';

const PHOTOS = 20;
const open: LocalEmbedder[] = [];
afterAll(() => Promise.all(open.map((embedder) => embedder.close())));

const missing = missingTestData('images') ?? missingTestData('models');

describe.skipIf(missing)(`finding altered photos again ${missing ?? ''}`, () => {
  const models: (Partial<ModelConfig> & { name: string })[] = [{ name: 'builtin' }, { name: 'custom', modelUrl: testDataPath('models/teachable-machine') }];
  it.each(models)('$name finds every photo, and its altered copies', async (config) => {
    const embedder = await openEmbedder(config);
    open.push(embedder);
    const { recall, selfRecall, selfScoreMin } = await measureRecall({ embed: embedder.embed, photos: readPhotos(PHOTOS) });
    expect(selfRecall).toBe(1);
    expect(selfScoreMin).toBeGreaterThanOrEqual(0.999);
    for (const [alteration, share] of Object.entries(recall)) expect(share, alteration).toBeGreaterThanOrEqual(0.95);
  });
});

/**
 * How well near-duplicates are found: real photos, six altered copies of each, and drawings of which none is a copy of another,
 * through the job that `eis dedupe` is. Twice: with the alterations that the method was chosen on, and with others.
 * `npm run test:recall` does it with all photos, 2,000 drawings and two models.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { dedupeModel, type DedupeReport } from '../../cli/dedupe-run.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { ImageWrite } from '../../common/store/store.js';
import { alter, decodePixels } from '../../evaluation/alterations.js';
import { drawPicture } from '../../ingest/gallery/gallery.js';
import { SCENES } from '../../ingest/gallery/scenes.js';
import { ALTERATIONS, openEmbedder, type LocalEmbedder } from '../support/recall.js';
import { tempFolder } from '../support/temp-folder.js';
import { missingTestData, readPhotos, testDataPath, type Photo } from '../support/test-data.js';

const IS_FULL = process.env['EIS_TEST_RECALL'] === 'full';
const PHOTOS = IS_FULL ? 240 : 60;
const DRAWINGS = IS_FULL ? 2_000 : 400;
/** Other drawings than those that the method was chosen on. */
const FIRST_SEED = 5_000_000;
const OTHER_ALTERATIONS = ['thumbnail', 'jpeg-10', 'darker', 'contrast', 'caption', 'border'] as const;
const AT_ONCE = 8;
const PIXELS_MAX = 50_000_000;

/** An image, and what it is a copy of: a photo's name; a drawing is a copy of itself alone. */
interface Labelled {
  readonly original: string;
  readonly bytes: Buffer;
}

type MakeCopies = (photo: Photo) => Promise<readonly Buffer[]>;

const SETS: readonly (readonly [name: string, make: MakeCopies])[] = [
  ['alterations that the method was chosen on', ({ bytes }) => Promise.all(Object.values(ALTERATIONS).map((apply) => apply(bytes)))],
  ['other alterations', async ({ name, bytes }) => {
    const pixels = await decodePixels(bytes, PIXELS_MAX);
    return Promise.all(OTHER_ALTERATIONS.map((alteration) => alter(pixels, { name: alteration, imageId: name, seed: 1 })));
  }],
];

async function* labelled(photos: readonly Photo[], makeCopies: MakeCopies): AsyncGenerator<Labelled> {
  for (const photo of photos) for (const bytes of [photo.bytes, ...(await makeCopies(photo))]) yield { original: photo.name, bytes };
  const scenes = Object.values(SCENES);
  for (let i = 0; i < DRAWINGS; i++) {
    const svg = drawPicture(scenes[i % scenes.length]!, FIRST_SEED + i);
    yield { original: `drawing ${i}`, bytes: await sharp(Buffer.from(svg), { density: 144 }).jpeg({ quality: 88 }).toBuffer() };
  }
}

async function toWrite({ bytes, original }: Labelled, embedder: LocalEmbedder): Promise<ImageWrite> {
  const { vector, image: { phash, width, height, format } } = await embedder.look(bytes);
  const id = createHash('sha256').update(bytes).digest('hex');
  return { id, vector, phash, width, height, format, url: `https://images.example.com/${encodeURIComponent(original)}`, origin: id };
}

const pairsOf = (counts: Iterable<number>): number => [...counts].reduce((sum, n) => sum + (n * (n - 1)) / 2, 0);

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): number[] {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return [...counts.values()];
}

/** Of pairs of images that are in one group: how many are copies; and of those that are copies, how many are in one group. */
function judge(originals: ReadonlyMap<string, string>, groupOf: ReadonlyMap<string, string>): { readonly precision: number; readonly recall: number } {
  const ids = [...originals.keys()];
  const [group, original] = [(id: string): string => groupOf.get(id) ?? id, (id: string): string => originals.get(id)!];
  const right = pairsOf(countBy(ids, (id) => `${group(id)} ${original(id)}`));
  return { precision: right / pairsOf(countBy(ids, group)), recall: right / pairsOf(countBy(ids, original)) };
}

const MODELS = [{ name: 'builtin' }, { name: 'custom', modelUrl: testDataPath('models/teachable-machine') }];
/** What is taken for a copy is one; how many are found depends on how far the copies are altered, and on the model. */
const RECALL_MIN = { custom: { chosen: 0.95, others: 0.8 }, builtin: { chosen: 0.95, others: 0.45 } } as const;
const PRECISION_MIN = 0.99;
const missing = missingTestData('images') ?? missingTestData('models');
const open: LocalEmbedder[] = [];
afterAll(() => Promise.all(open.map((embedder) => embedder.close())));

describe.skipIf(missing)(`near-duplicates of ${PHOTOS} photos among ${DRAWINGS} drawings ${missing ?? ''}`, () => {
  describe.each(IS_FULL ? MODELS : MODELS.slice(1))('$name', (model) => {
    it.each(SETS)('are found and nothing else is: %s', { timeout: 600_000 }, async (name, makeCopies) => {
      const recallMin = RECALL_MIN[model.name as 'builtin' | 'custom'][name === SETS[0]![0] ? 'chosen' : 'others'];
      const embedder = await openEmbedder(model);
      open.push(embedder);
      const dataDir = tempFolder();
      const store = new LmdbStore({ folder: join(dataDir, 'store'), urlsPerImageMax: 10 });
      const collection = store.collection('m', await store.setLiveVersion('m', { version: 'd'.repeat(64), dim: embedder.dim }));
      const originals = new Map<string, string>();
      const add = async (images: readonly Labelled[]): Promise<void> => {
        const writes = await Promise.all(images.map((image) => toWrite(image, embedder)));
        writes.forEach(({ id }, i) => originals.set(id, images[i]!.original));
        await collection.write(writes);
      };
      sharp.unblock({ operation: ['VipsForeignLoadSvg'] }); // which the function's decoder blocks: what is drawn here is drawn as SVG
      const waiting: Labelled[] = [];
      for await (const image of labelled(readPhotos(PHOTOS), makeCopies)) {
        waiting.push(image);
        if (waiting.length === AT_ONCE) await add(waiting.splice(0));
      }
      await add(waiting);
      const report = (await dedupeModel(store, 'm', { apply: false, dataDir })) as DedupeReport;
      await store.close();
      const groupOf = new Map(report.groups.flatMap(({ canonical, members }) => members.map((id) => [id, canonical] as const)));
      const { precision, recall } = judge(originals, groupOf);
      console.log(`${model.name}, ${name}: ${originals.size} images, ${report.groups.length} groups; precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}; ${report.seconds.toFixed(1)} s`);
      expect(precision).toBeGreaterThanOrEqual(PRECISION_MIN);
      expect(recall).toBeGreaterThanOrEqual(recallMin);
    });
  });
});

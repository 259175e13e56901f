/**
 * What near-duplicates cost to find as the collection grows: a whole run over an LMDB store, one more after a hundredth was
 * added, and one after nothing was. Vectors are `ClusteredVectors`; a tenth of the images are copies of another, with a vector beside it and a hash of which
 * up to six bits differ. The exponents say how the cost grows from one size to the next: 1 is linear, 2 would be all pairs.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { dedupeModel } from '../../cli/dedupe-run.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { ImageWrite, VectorCollection } from '../../common/store/store.js';
import { normalise } from '../../common/vector.js';
import { SeededRandom } from '../support/seeded-random.js';
import { ClusteredVectors } from './clustered-vectors.js';
import { printReport } from './report.js';

const MODEL = 'builtin';
const COPY_SHARE = 0.1;
const BATCH = 1_000;

interface DedupeBenchOptions {
  readonly sizes: string;
  readonly dim: number;
  readonly json: boolean;
}

interface Run {
  readonly size: number;
  readonly seconds: number;
  readonly compared: number;
  readonly groups: number;
  readonly addedSeconds: number;
  readonly addedJudged: number;
  readonly unchangedSeconds: number;
}

export function addDedupeBench(program: Command): void {
  program
    .command('dedupe')
    .description('near-duplicates are found in collections of several sizes')
    .option('--sizes <list>', 'images', '10000,20000,40000')
    .option('--dim <n>', 'numbers of a vector', Number, 256)
    .option('--json', 'end with one line of JSON', false)
    .action(benchDedupe);
}

async function benchDedupe(options: DedupeBenchOptions): Promise<void> {
  const runs: Run[] = [];
  for (const size of options.sizes.split(',').map(Number)) {
    const run = await measure(size, options.dim);
    runs.push(run);
    console.log(`${size} images: ${run.seconds.toFixed(1)} s, ${run.compared} pairs compared, ${run.groups} groups; with a hundredth more ${run.addedSeconds.toFixed(1)} s, ${run.addedJudged} judged; with nothing new ${run.unchangedSeconds.toFixed(2)} s`);
  }
  const growth = runs.slice(1).map((run, i): [string, number] => {
    const before = runs[i] as Run;
    return [`exponent_${before.size}_${run.size}`, Math.log(run.seconds / before.seconds) / Math.log(run.size / before.size)];
  });
  const figures = runs.flatMap(({ size, seconds, compared, addedSeconds, unchangedSeconds }): [string, number][] => [[`whole_${size}_s`, seconds], [`compared_${size}_pairs`, compared], [`added_${size}_s`, addedSeconds], [`unchanged_${size}_s`, unchangedSeconds]]);
  const { json, ...rest } = options;
  printReport({ name: 'dedupe', options: { ...rest }, figures: Object.fromEntries([...figures, ...growth]), ratios: {} }, { json });
}

async function measure(size: number, dim: number): Promise<Run> {
  const dataDir = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  const store = new LmdbStore({ folder: join(dataDir, 'store'), urlsPerImageMax: 100 });
  try {
    const live = await store.setLiveVersion(MODEL, { version: 'b'.repeat(64), dim });
    const collection = store.collection(MODEL, live);
    const images = drawImages(dim);
    await write(collection, images, size);
    const whole = await dedupeModel(store, MODEL, { apply: true, dataDir });
    await write(collection, images, Math.ceil(size / 100));
    const added = await dedupeModel(store, MODEL, { apply: true, dataDir });
    if (!whole || !added || 'unchanged' in whole || 'unchanged' in added) throw new Error('Nothing was judged.');
    const idle = await dedupeModel(store, MODEL, { apply: true, dataDir });
    if (!idle || !('unchanged' in idle)) throw new Error('Images were judged again.');
    return { size, seconds: whole.seconds, compared: whole.compared, groups: whole.groups.length, addedSeconds: added.seconds, addedJudged: added.judged, unchangedSeconds: idle.seconds };
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function write(collection: VectorCollection, images: Iterator<ImageWrite, void>, count: number): Promise<void> {
  for (let done = 0; done < count; done += BATCH) {
    await collection.write(Array.from({ length: Math.min(BATCH, count - done) }, () => images.next().value as ImageWrite));
  }
}

function* drawImages(dim: number): Generator<ImageWrite, void> {
  const random = new SeededRandom(2);
  const vectors = new ClusteredVectors(dim).draw(1);
  let last: ImageWrite | undefined;
  for (let i = 0; ; i++) {
    const id = createHash('sha256').update(String(i)).digest('hex');
    const url = `https://images.example.com/${i}.jpg`;
    const copied: ImageWrite | undefined = random.next() < COPY_SHARE ? last : undefined;
    const vector = copied ? normalise(copied.vector.map((x) => x * (0.9 + 0.2 * random.next()))) : (vectors.next().value as Float32Array);
    last = { id, vector, url, origin: url, phash: copied ? flip(copied.phash, random) : id.slice(0, 16), width: 640, height: 480, format: 'jpeg' };
    yield last;
  }
}

/** A hash of which up to six bits differ. */
function flip(phash: string, random: SeededRandom): string {
  let bits = BigInt(`0x${phash}`);
  for (let flips = random.between(0, 6); flips > 0; flips--) bits ^= 1n << BigInt(random.between(0, 63));
  return bits.toString(16).padStart(16, '0');
}

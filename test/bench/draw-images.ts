/** Stored images that are drawn from a seed: for benchmarks of what lies behind the store. */
import { createHash } from 'node:crypto';
import type { ImageWrite, LiveVersion, Store } from '../../common/store/store.js';
import { normalise } from '../../common/vector.js';
import { SeededRandom } from '../support/seeded-random.js';

const BATCH = 1_000;

export interface DrawnImages {
  readonly model: string;
  readonly live: LiveVersion;
  readonly images: number;
}

/** Makes the version live, and writes images with normalised vectors of three uniform numbers' sums. */
export async function fillStore(store: Store, { model, live, images }: DrawnImages): Promise<void> {
  const random = new SeededRandom(1);
  const collection = store.collection(model, await store.setLiveVersion(model, live));
  for (let i = 0; i < images; i += BATCH) {
    const count = Math.min(BATCH, images - i);
    await collection.write(Array.from({ length: count }, (_, j) => drawImage(i + j, live.dim, random)));
  }
}

function drawImage(i: number, dim: number, random: SeededRandom): ImageWrite {
  const id = createHash('sha256').update(String(i)).digest('hex');
  const url = `https://images.example.com/${i}.jpg`;
  const vector = normalise(Array.from({ length: dim }, () => random.next() + random.next() + random.next() - 1.5));
  return { id, vector, url, origin: url, phash: id.slice(0, 16), width: 640, height: 480, format: 'jpeg' };
}

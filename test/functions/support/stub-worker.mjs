/**
 * A thread as the pool expects it, that computes nothing: the embedding of an image is its first two pixels' values, and
 * what the thread was started with. An image of 9 in its first value makes it end; while the file `broken` of its cache
 * folder exists, it cannot start.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

const { choice, threads, cacheDir } = workerData;
const ENGINE = { name: 'onnxruntime', dim: 4, threads: 1, isBatching: true, passedOver: ['a better one is not here'] };
const DIES = 9;

parentPort.on('message', async ({ kind, model, images }) => {
  if (kind === 'close') process.exit();
  if (kind === 'model' && cacheDir && existsSync(join(cacheDir, 'broken'))) process.exit(3);
  if (kind === 'model') return parentPort.postMessage({ kind: 'engine', engine: { ...ENGINE, ...model.engine } });
  await sleep(5);
  if (images.some(([first]) => first === DIES)) process.exit(DIES);
  parentPort.postMessage({ kind: 'outcomes', outcomes: images.map(([first, second]) => Float32Array.of(first, second, choice === 'auto' ? 1 : 0, threads)) });
});

/** One engine in a process of its own, measured: `embed.ts` starts it and reads the one line of JSON that it prints. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineChoice } from '../../common/config.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { chooseEngine } from '../../functions/engines/choose-engine.js';
import { startInferencePool } from '../../functions/engines/inference-pool.js';
import { createImageDecoder } from '../../functions/image.js';
import { loadModel } from '../../functions/models/load-model.js';
import type { LoadedModel } from '../../functions/models/model.js';
import type { ModelRequest } from '../../functions/models/registry.js';
import { median } from './report.js';

export interface EmbedTask {
  readonly request: ModelRequest;
  readonly engine: EngineChoice;
  readonly threads: number;
  /** Images a call of the engine. */
  readonly batch: number;
  /** A folder of photos. */
  readonly photos: string;
  readonly dataDir: string;
  /** `engine`: decoding and inference, each by itself. `pipeline`: both together, as a function runs them. */
  readonly measure: 'engine' | 'pipeline';
}

export interface EmbedMeasured {
  readonly engine: string;
  readonly passedOver: readonly string[];
  readonly dim: number;
  /** Median over the photos. */
  readonly decodeMs: number;
  readonly preprocessMs: number;
  /** An image, in each of the calls. */
  readonly inferMs: readonly number[];
  readonly imagesPerS: number;
  readonly rssMb: number;
}

const WARM_UP_CALLS = 3;
const CALLS_MS = 3_000;
const CALLS_MIN = 8;
const PIPELINE_MS = 6_000;
/** Images on their way at once, as a function's clients keep them coming. */
const IN_FLIGHT = 16;

const task = JSON.parse(process.argv[2] as string) as EmbedTask;
const model = await loadModel(task.request, { dataDir: task.dataDir });
const photos = readdirSync(task.photos).filter((name) => /\.(jpe?g|png|webp)$/i.test(name)).map((name) => readFileSync(join(task.photos, name)));
const measured = await (task.measure === 'engine' ? measureEngine(model) : measurePipeline(model));
console.log(JSON.stringify({ ...measured, rssMb: process.memoryUsage.rss() / 1024 / 1024 }));
process.exit();

async function measureEngine({ input }: LoadedModel): Promise<Omit<EmbedMeasured, 'rssMb'>> {
  const decode = createImageDecoder(DEFAULT_LIMITS, { cpus: task.threads });
  const decoded: { readonly pixels: Uint8Array; readonly decodeMs: number; readonly preprocessMs: number }[] = [];
  for (const photo of photos) {
    const { pixels, timingsMs } = await decode(photo, input);
    decoded.push({ pixels, decodeMs: timingsMs.decode, preprocessMs: timingsMs.preprocess });
  }
  const { engine, passedOver } = await chooseEngine(model, task.engine, { threads: task.threads, cacheDir: undefined });
  const batch = Uint8Array.from(Array.from({ length: task.batch }, (_, i) => [...(decoded[i % decoded.length] as (typeof decoded)[0]).pixels]).flat());
  for (let i = 0; i < WARM_UP_CALLS; i++) await engine.embed(batch, task.batch);
  const inferMs: number[] = [];
  for (const started = performance.now(); performance.now() - started < CALLS_MS || inferMs.length < CALLS_MIN; ) {
    const before = performance.now();
    await engine.embed(batch, task.batch);
    inferMs.push((performance.now() - before) / task.batch);
  }
  return { engine: engine.name, passedOver, dim: engine.dim, decodeMs: median(decoded.map(({ decodeMs }) => decodeMs)), preprocessMs: median(decoded.map(({ preprocessMs }) => preprocessMs)), inferMs, imagesPerS: 1000 / median(inferMs) };
}

async function measurePipeline({ input }: LoadedModel): Promise<Omit<EmbedMeasured, 'rssMb'>> {
  const decode = createImageDecoder(DEFAULT_LIMITS, { cpus: task.threads });
  const pool = await startInferencePool({ model, choice: task.engine, log: SILENT_LOG, cpus: task.threads, cacheDir: undefined });
  let done = 0;
  const run = async (durationMs: number): Promise<number> => {
    const until = performance.now() + durationMs;
    const first = done;
    await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
      while (performance.now() < until) await pool.embed((await decode(photos[done++ % photos.length] as Buffer, input)).pixels);
    }));
    return done - first;
  };
  await run(PIPELINE_MS / 3);
  const started = performance.now();
  const images = await run(PIPELINE_MS);
  const imagesPerS = (images * 1000) / (performance.now() - started);
  const { engine, dim, passedOver } = pool.description;
  return { engine, dim, passedOver, decodeMs: NaN, preprocessMs: NaN, inferMs: [], imagesPerS };
}

/**
 * The function as production runs it, over HTTP, with clients that keep it busy: against decoding and inference without
 * HTTP (`embed`'s pipeline) in a process of its own before and after, on the same photos and CPUs.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { Pool } from 'undici';
import { grantedCpus } from '../../common/granted-cpus.js';
import { startFunction, type FunctionProcess } from '../functions/support/function-process.js';
import { readMemoryMb } from '../support/process-memory.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { testDataPath } from '../support/test-data.js';
import { measureInProcess, requestOf } from './embed.js';
import type { EmbedMeasured } from './embed-process.js';
import { median, printReport } from './report.js';

const MODEL = 'served';
const WARM_UP_PART = 0.1;
/** Node's histogram holds the time from one run of such a timer to the next. */
const TIMER_MS = 10;

interface ServeBenchOptions {
  readonly model: string;
  readonly clients: number;
  readonly requests: number;
  readonly photos: string;
  readonly json: boolean;
}

export function addServeBench(program: Command): void {
  program
    .command('serve')
    .description('a function under clients that keep it busy, against decoding and inference without HTTP')
    .requiredOption('--model <model>', 'as for embed')
    .option('--clients <n>', 'requests at once', Number, 16)
    .option('--requests <n>', 'in all', Number, 5_000)
    .option('--photos <folder>', 'what is posted', testDataPath('images'))
    .option('--json', 'end with one line of JSON', false)
    .action(benchServe);
}

async function benchServe(all: ServeBenchOptions): Promise<void> {
  const { json, ...options } = all;
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const request = { ...(await requestOf(options.model, folder)), name: MODEL };
    const pipeline = (): Promise<EmbedMeasured> => measureInProcess('embed-process', { request, engine: 'auto', threads: grantedCpus(), batch: 1, photos: resolve(options.photos), dataDir: folder, measure: 'pipeline' });
    const before = await pipeline();
    const served = await serve(all, { configFile: writeConfig(folder, request.modelUrl), folder });
    const after = await pipeline();
    const best = Math.max(before.imagesPerS, after.imagesPerS);
    console.log(`without HTTP ${before.imagesPerS.toFixed(1)} before, ${after.imagesPerS.toFixed(1)} images/s after; memory at every tenth of the requests: ${served.memoryMb.map((mb) => mb.toFixed(0)).join(' ')} MB`);
    printReport({
      name: 'serve', options: { ...options },
      figures: { images_per_s: served.imagesPerS, best_images_per_s: best, p50_ms: median(served.latenciesMs), loop_delay_p99_ms: served.loopDelayP99Ms, rss_mb: served.memoryMb.at(-1) as number, rss_growth_mb: (served.memoryMb.at(-1) as number) - (served.memoryMb[1] as number) },
      ratios: { served_over_best: served.imagesPerS / best },
    }, { json });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeConfig(folder: string, modelUrl: string | undefined): string {
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ models: [{ name: MODEL, ...(modelUrl !== undefined && { model_url: modelUrl }) }] }));
  return file;
}

interface Served {
  readonly imagesPerS: number;
  readonly latenciesMs: readonly number[];
  /** How much later than meant a timer ran while the load lasted. */
  readonly loopDelayP99Ms: number;
  readonly memoryMb: readonly number[];
}

async function serve({ clients, requests, photos }: ServeBenchOptions, { configFile, folder }: { readonly configFile: string; readonly folder: string }): Promise<Served> {
  const served = await startFunction({ EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, 'data'), MODEL, LOG_LEVEL: 'warn' });
  const pool = new Pool(served.url, { connections: clients });
  try {
    const images = readdirSync(photos).filter((name) => name.endsWith('.jpg')).map((name) => readFileSync(join(photos, name)));
    await post(pool, images, { clients, requests: requests * WARM_UP_PART, onDone: () => undefined });
    await readLoopDelayMs(served);
    const latenciesMs: number[] = [];
    const memoryMb = [readMemory(served)];
    const startedAt = performance.now();
    await post(pool, images, { clients, requests, onDone: (ms) => {
      latenciesMs.push(ms);
      if (latenciesMs.length % Math.floor(requests / 10) === 0) memoryMb.push(readMemory(served));
    } });
    return { imagesPerS: (requests * 1000) / (performance.now() - startedAt), latenciesMs, memoryMb, loopDelayP99Ms: await readLoopDelayMs(served) };
  } finally {
    await pool.destroy();
    await served.stop();
  }
}

interface Load {
  readonly clients: number;
  readonly requests: number;
  readonly onDone: (ms: number) => void;
}

async function post(pool: Pool, images: readonly Buffer[], { clients, requests, onDone }: Load): Promise<void> {
  let sent = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (sent < requests) {
      const startedAt = performance.now();
      const { statusCode, body } = await pool.request({ method: 'POST', path: '/', headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' }, body: images[sent++ % images.length] as Buffer });
      await body.dump();
      if (statusCode !== 200) throw new Error(`The function answered ${statusCode}.`);
      onDone(performance.now() - startedAt);
    }
  }));
}

function readMemory({ child }: FunctionProcess): number {
  return readMemoryMb(child.pid, 'VmRSS');
}

/** Reading it begins the count anew. */
async function readLoopDelayMs({ url }: FunctionProcess): Promise<number> {
  const samples = parsePrometheus(await (await fetch(`${url}/metrics`)).text());
  return sumOf(samples, 'eis_nodejs_eventloop_lag_p99_seconds') * 1000 - TIMER_MS;
}

/**
 * The function as production runs it, over HTTP, with clients that keep it busy: against decoding and inference without
 * HTTP (`embed`'s pipeline) in a process of its own, on the same photos and CPUs. The two take turns, because a machine's
 * speed changes from one minute to the next; a round of the function is held to the pipelines before and after it, and
 * the ratio is the median over the rounds. The clients, which the function has elsewhere, take their part of the same CPUs
 * here: `served_over_best_less_clients` leaves out the CPU time that was theirs.
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
  readonly rounds: number;
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
    .option('--rounds <n>', 'parts that the requests are sent in', Number, 5)
    .option('--photos <folder>', 'what is posted', testDataPath('images'))
    .option('--json', 'end with one line of JSON', false)
    .action(benchServe);
}

async function benchServe(all: ServeBenchOptions): Promise<void> {
  const { json, ...options } = all;
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const request = { ...(await requestOf(options.model, folder)), name: MODEL };
    const pipeline = async (): Promise<number> =>
      (await measureInProcess<EmbedMeasured>('embed-process', { request, engine: 'auto', threads: grantedCpus(), batch: 1, photos: resolve(options.photos), dataDir: folder, measure: 'pipeline' })).imagesPerS;
    const { rounds, best, memoryMb } = await takeTurns(all, { configFile: writeConfig(folder, request.modelUrl), folder, pipeline });
    const inRounds = (figures: readonly number[]): string => figures.map((figure) => figure.toFixed(1)).join(' ');
    console.log(`without HTTP ${inRounds(best)} images/s; served ${inRounds(rounds.map(({ imagesPerS }) => imagesPerS))}; timers late by ${inRounds(rounds.map(({ loopDelayP99Ms }) => loopDelayP99Ms))} ms at p99; memory after every round: ${inRounds(memoryMb)} MB`);
    printReport({
      name: 'serve', options: { ...options },
      figures: {
        images_per_s: median(rounds.map(({ imagesPerS }) => imagesPerS)), best_images_per_s: median(best), p50_ms: median(rounds.flatMap(({ latenciesMs }) => latenciesMs)),
        loop_delay_p99_ms: median(rounds.map(({ loopDelayP99Ms }) => loopDelayP99Ms)), rss_mb: memoryMb.at(-1) as number, rss_growth_mb: (memoryMb.at(-1) as number) - (memoryMb[0] as number),
      },
      ratios: { served_over_best: median(overBest(rounds, best)), served_over_best_less_clients: median(overBest(rounds, best).map((ratio, i) => ratio / (1 - (rounds[i] as Round).clientsShare))) },
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

interface Round {
  readonly imagesPerS: number;
  readonly latenciesMs: readonly number[];
  /** How much later than meant a timer ran while the load lasted. */
  readonly loopDelayP99Ms: number;
  /** The clients' part of the CPU time that there was. */
  readonly clientsShare: number;
}

interface Turns {
  readonly rounds: readonly Round[];
  /** Images a second without HTTP, before the first round and after each. */
  readonly best: readonly number[];
  /** Of the function, after each round. */
  readonly memoryMb: readonly number[];
}

interface TurnParts {
  readonly configFile: string;
  readonly folder: string;
  readonly pipeline: () => Promise<number>;
}

/** Of each round to the mean of the pipelines before and after it. */
function overBest(rounds: readonly Round[], best: readonly number[]): number[] {
  return rounds.map(({ imagesPerS }, i) => (imagesPerS * 2) / ((best[i] as number) + (best[i + 1] as number)));
}

async function takeTurns({ clients, requests, rounds: count, photos }: ServeBenchOptions, { configFile, folder, pipeline }: TurnParts): Promise<Turns> {
  const served = await startFunction({ EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, 'data'), MODEL, LOG_LEVEL: 'warn' });
  const pool = new Pool(served.url, { connections: clients });
  try {
    const images = readdirSync(photos).filter((name) => name.endsWith('.jpg')).map((name) => readFileSync(join(photos, name)));
    const post = (part: number): Promise<number[]> => postAll(pool, images, { clients, requests: Math.ceil(requests * part) });
    await post(WARM_UP_PART);
    const rounds: Round[] = [];
    const memoryMb: number[] = [];
    const best = [await pipeline()];
    while (rounds.length < count) {
      await readLoopDelayMs(served);
      const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
      const latenciesMs = await post(1 / count);
      const [tookMs, cpu] = [performance.now() - startedAt, process.cpuUsage(cpuBefore)];
      const clientsShare = (cpu.user + cpu.system) / 1000 / (tookMs * grantedCpus());
      rounds.push({ imagesPerS: (latenciesMs.length * 1000) / tookMs, latenciesMs, loopDelayP99Ms: await readLoopDelayMs(served), clientsShare });
      memoryMb.push(readMemoryMb(served.child.pid, 'VmRSS'));
      best.push(await pipeline());
    }
    return { rounds, best, memoryMb };
  } finally {
    await pool.destroy();
    await served.stop();
  }
}

interface Load {
  readonly clients: number;
  readonly requests: number;
}

/** How long each request took, in milliseconds. */
async function postAll(pool: Pool, images: readonly Buffer[], { clients, requests }: Load): Promise<number[]> {
  const latenciesMs: number[] = [];
  let sent = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (sent < requests) {
      const startedAt = performance.now();
      const { statusCode, body } = await pool.request({ method: 'POST', path: '/', headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' }, body: images[sent++ % images.length] as Buffer });
      await body.dump();
      if (statusCode !== 200) throw new Error(`The function answered ${statusCode}.`);
      latenciesMs.push(performance.now() - startedAt);
    }
  }));
  return latenciesMs;
}

/** Reading it begins the count anew. */
async function readLoopDelayMs({ url }: FunctionProcess): Promise<number> {
  const samples = parsePrometheus(await (await fetch(`${url}/metrics`)).text());
  return sumOf(samples, 'eis_nodejs_eventloop_lag_p99_seconds') * 1000 - TIMER_MS;
}

/**
 * URLs from the wrapper to the store: one wrapper and one worker, each in its own process, a function that answers every
 * URL after a fixed time without embedding anything, the real broker or the embedded queue, the embedded store. Timed
 * from the first request to the last outcome in the ledger. Every run begins with an empty broker and store.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import type { IngestAnswer, LedgerAnswer } from '../../common/wire.js';
import { Broker } from '../support/rabbitmq.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import type { RoleProcess } from '../support/role-process.js';
import { median, printReport } from './report.js';
import { startPart, withScratch } from './scratch.js';

const MODEL = 'builtin';
const URLS_PER_REQUEST = 500;
const REQUESTS_AT_ONCE = 2;
const POLL_MS = 20;

interface IngestBenchOptions {
  readonly urls: number;
  readonly runs: number;
  readonly queue: 'rabbitmq' | 'embedded';
  readonly dim: number;
  readonly delayMs: number;
  readonly embeds: number;
  readonly batch: number;
  readonly json: boolean;
}

interface Run {
  readonly urlsPerS: number;
  readonly acceptedPerS: number;
  readonly rssMb: number;
  readonly wrapperRssMb: number;
  readonly workerCpuMsPerUrl: number;
  readonly wrapperCpuMsPerUrl: number;
  readonly embedMsPerUrl: number;
  readonly writeMsPerUrl: number;
}

export function addIngestBench(program: Command): void {
  program
    .command('ingest')
    .description('URLs from the wrapper through the queue and one worker to the store')
    .option('--urls <n>', 'URLs in a run', Number, 20_000)
    .option('--runs <n>', 'runs, of which the median counts', Number, 3)
    .option('--queue <kind>', 'rabbitmq (a private node) or embedded', 'rabbitmq')
    .option('--dim <n>', 'numbers of an embedding', Number, 256)
    .option('--delay-ms <ms>', 'time that the function takes', Number, 1)
    .option('--embeds <n>', 'calls of the function at once (EIS_WORKER_EMBEDS_MAX)', Number, 16)
    .option('--batch <n>', 'images written at once (EIS_WRITE_BATCH_MAX)', Number, DEFAULT_LIMITS.writeBatchMax)
    .option('--json', 'end with one line of JSON', false)
    .action(benchIngest);
}

async function benchIngest(options: IngestBenchOptions): Promise<void> {
  const runs: Run[] = [];
  for (let i = 0; i < options.runs; i++) {
    const run = await measure(options);
    runs.push(run);
    console.log(`run ${i + 1}: ${run.urlsPerS.toFixed(0)} URLs/s, worker ${run.rssMb.toFixed(0)} MB`);
  }
  const middle = (of: (run: Run) => number): number => median(runs.map(of));
  const { json, ...shown } = options;
  printReport(
    {
      name: 'ingest',
      options: shown,
      figures: {
        urls_per_s: middle(({ urlsPerS }) => urlsPerS),
        rss_mb: middle(({ rssMb }) => rssMb),
        accepted_per_s: middle(({ acceptedPerS }) => acceptedPerS),
        wrapper_rss_mb: middle(({ wrapperRssMb }) => wrapperRssMb),
        worker_cpu_ms_per_url: middle(({ workerCpuMsPerUrl }) => workerCpuMsPerUrl),
        wrapper_cpu_ms_per_url: middle(({ wrapperCpuMsPerUrl }) => wrapperCpuMsPerUrl),
        embed_ms_per_url: middle(({ embedMsPerUrl }) => embedMsPerUrl),
        write_ms_per_url: middle(({ writeMsPerUrl }) => writeMsPerUrl),
      },
      ratios: {},
    },
    { json },
  );
}

async function measure(options: IngestBenchOptions): Promise<Run> {
  return withScratch(async (scratch) => {
    const broker = options.queue === 'rabbitmq' ? await Broker.start() : undefined;
    if (broker) scratch.closing.push(() => broker.stop());
    const stub = await startPart(scratch, { name: 'function', entry: 'stub-function-process', env: { EIS_STUB: JSON.stringify({ model: MODEL, dim: options.dim, delayMs: options.delayMs }) } });
    const env = describePlace(scratch.folder, { amqpUrl: broker?.url ?? '', functionUrl: stub.url, embeds: options.embeds, batch: options.batch });
    const wrapper = await startPart(scratch, { name: 'wrapper', entry: 'ingest/wrapper-main.ts', env });
    const worker = await startPart(scratch, { name: 'worker', entry: 'ingest/worker-main.ts', env });
    return run(options, wrapper, worker);
  });
}

function describePlace(folder: string, { amqpUrl, functionUrl, embeds, batch }: { readonly amqpUrl: string; readonly functionUrl: string; readonly embeds: number; readonly batch: number }): Record<string, string> {
  const configFile = join(folder, 'config.json');
  writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL }] }));
  return {
    EIS_CONFIG: configFile,
    EIS_DATA_DIR: join(folder, 'data'),
    AMQP_URL: amqpUrl,
    MODEL,
    FUNCTION_URL_BUILTIN: functionUrl,
    EIS_WORKER_EMBEDS_MAX: String(embeds),
    EIS_WRITE_BATCH_MAX: String(batch),
    LOG_LEVEL: 'warn',
  };
}

async function run({ urls }: IngestBenchOptions, wrapper: RoleProcess, worker: RoleProcess): Promise<Run> {
  const before = [await readMetrics(wrapper), await readMetrics(worker)] as const;
  const submission = 'bench';
  const startedAt = performance.now();
  await sendAll(wrapper.url, submission, urls);
  const acceptedMs = performance.now() - startedAt;
  while ((await settledCount(wrapper.url, submission)) < urls) await sleep(POLL_MS);
  const elapsedMs = performance.now() - startedAt;
  const after = [await readMetrics(wrapper), await readMetrics(worker)] as const;
  return {
    urlsPerS: (urls / elapsedMs) * 1000,
    acceptedPerS: (urls / acceptedMs) * 1000,
    rssMb: worker.peakRssMb,
    wrapperRssMb: wrapper.peakRssMb,
    wrapperCpuMsPerUrl: ((after[0].cpuS - before[0].cpuS) * 1000) / urls,
    workerCpuMsPerUrl: ((after[1].cpuS - before[1].cpuS) * 1000) / urls,
    embedMsPerUrl: ((after[1].embedS - before[1].embedS) * 1000) / urls,
    writeMsPerUrl: ((after[1].writeS - before[1].writeS) * 1000) / urls,
  };
}

async function sendAll(url: string, submission: string, urls: number): Promise<void> {
  let next = 0;
  const send = async (): Promise<void> => {
    while (next < urls) {
      const from = next;
      next = Math.min(urls, next + URLS_PER_REQUEST);
      const body = JSON.stringify({ urls: Array.from({ length: next - from }, (_, i) => `https://images.example.com/${submission}/${from + i}.jpg`) });
      const response = await fetch(`${url}/images?submission=${submission}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      if (response.status !== 202) throw new Error(`The wrapper answered ${response.status}: ${await response.text()}`);
      (await response.json()) as IngestAnswer;
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, send));
}

async function settledCount(url: string, submission: string): Promise<number> {
  const { counts } = (await (await fetch(`${url}/images?submission=${submission}&limit=1`)).json()) as LedgerAnswer;
  if ((counts?.rejected ?? 0) + (counts?.dead ?? 0) > 0) throw new Error('Images were rejected.');
  return (counts?.stored ?? 0) + (counts?.duplicate ?? 0);
}

async function readMetrics(role: RoleProcess): Promise<{ readonly cpuS: number; readonly embedS: number; readonly writeS: number }> {
  const samples = parsePrometheus(await (await fetch(`${role.url}/metrics`)).text());
  return { cpuS: sumOf(samples, 'eis_process_cpu_seconds_total'), embedS: sumOf(samples, 'eis_ingest_embed_seconds_sum'), writeS: sumOf(samples, 'eis_ingest_write_seconds_sum') };
}

/**
 * The start of a function, from the spawn of its process to its first answer: what a client waits for when a platform
 * starts an instance for it. The image is posted as soon as somebody listens. A model whose weight files are not there
 * gets seeded ones.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import sharp from 'sharp';
import { spawnFunction, type FunctionProcess } from '../functions/support/function-process.js';
import { seededQuantised } from '../functions/support/tiny-graph.js';
import { seededWeights, writeModel, type ModelJson } from '../functions/support/tiny-model.js';
import { isSeededName, SEEDED_NAMES, writeSeededModel } from '../support/seeded-model.js';
import { median, printReport } from './report.js';

const MODEL = 'builtin';
const POLL_MS = 5;
/** Of Linux's clock that processes' CPU time is counted in (`getconf CLK_TCK`). */
const TICK_MS = 10;

interface StartBenchOptions {
  readonly model: string;
  readonly engine: string;
  readonly runs: number;
  readonly fresh: boolean;
  readonly json: boolean;
}

/** Milliseconds since the spawn, as far as they are not durations. */
interface Run {
  readonly listeningMs: number;
  readonly readyMs: number;
  readonly firstAnswerMs: number;
  /** Reading the model, and making an engine of it. */
  readonly readMs: number;
  readonly engineMs: number;
  /** CPU time of all threads until the first answer. */
  readonly cpuMs: number;
  readonly rssMb: number;
}

export function addStartBench(program: Command): void {
  program
    .command('start')
    .description('a function starts and answers its first image')
    .option('--model <place>', `${MODEL}, a folder, the path of a model.json, or with seeded random weights ${SEEDED_NAMES.join(', ')}`, MODEL)
    .option('--fresh', 'nothing is kept from an earlier run: the model is compiled, and compared with TF.js', false)
    .option('--engine <name>', 'what runs it', 'auto')
    .option('--runs <n>', 'runs, of which the median counts', Number, 7)
    .option('--json', 'end with one line of JSON', false)
    .action(benchStart);
}

async function benchStart(options: StartBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const configFile = join(folder, 'config.json');
    const place = options.model === MODEL ? {} : { model_url: await withWeights(options.model, join(folder, 'model')) };
    writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL, engine: options.engine, ...place }] }));
    const image = await sharp({ create: { width: 640, height: 480, channels: 3, background: '#888888', noise: { type: 'gaussian', mean: 128, sigma: 40 } } }).jpeg().toBuffer();
    const runs: Run[] = [];
    for (let i = 0; i < options.runs; i++) {
      const run = await measure({ EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, options.fresh ? `data${i}` : 'data'), MODEL }, image);
      runs.push(run);
      console.log(`run ${i + 1}: listening after ${run.listeningMs.toFixed(0)} ms, ready after ${run.readyMs.toFixed(0)}, first answer after ${run.firstAnswerMs.toFixed(0)}`);
    }
    report(options, runs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report({ json, ...options }: StartBenchOptions, runs: readonly Run[]): void {
  const middle = (of: (run: Run) => number): number => median(runs.map(of));
  const figures = {
    first_answer_ms: middle(({ firstAnswerMs }) => firstAnswerMs),
    listening_ms: middle(({ listeningMs }) => listeningMs),
    ready_ms: middle(({ readyMs }) => readyMs),
    read_ms: middle(({ readMs }) => readMs),
    engine_ms: middle(({ engineMs }) => engineMs),
    cpu_ms: middle(({ cpuMs }) => cpuMs),
    rss_mb: middle(({ rssMb }) => rssMb),
  };
  printReport({ name: 'start', options, figures, ratios: {} }, { json });
}

/** The path of a model, or of a copy with seeded weights where it has none. */
async function withWeights(place: string, copy: string): Promise<string> {
  if (isSeededName(place)) return writeSeededModel(copy, place);
  const path = resolve(statSync(place).isDirectory() ? join(place, 'model.json') : place);
  const model = JSON.parse(readFileSync(path, 'utf8')) as ModelJson;
  const [group] = model.weightsManifest;
  if (!group || group.paths.every((file) => existsSync(join(dirname(path), file)))) return path;
  return writeModel(copy, model, group.weights.some(({ quantization }) => quantization) ? seededQuantised(model) : seededWeights(model));
}

async function measure(environment: Record<string, string>, image: Buffer): Promise<Run> {
  const startedAt = Date.now();
  const started = await spawnFunction(environment);
  try {
    while (!(await isAnswered(started, image))) await sleep(POLL_MS);
    const firstAnswerMs = Date.now() - startedAt;
    const since = (message: string): number => Date.parse(String(logged(started, message)['time'])) - startedAt;
    const { readMs, engineMs } = logged(started, 'model loaded') as { readMs: number; engineMs: number };
    return { listeningMs: since('listening'), readyMs: since('ready'), firstAnswerMs, readMs, engineMs, cpuMs: readCpuMs(started.child.pid), rssMb: started.peakMemoryMb() ?? 0 };
  } finally {
    await started.stop();
  }
}

/** False while nobody listens. */
async function isAnswered({ url, child, output }: FunctionProcess, image: Buffer): Promise<boolean> {
  const response = await fetch(url, { method: 'POST', body: image, headers: { 'content-type': 'image/jpeg' } }).catch(() => undefined);
  if (child.exitCode !== null) throw new Error(`The function ended with ${child.exitCode}:\n${output()}`);
  const text = await response?.text();
  if (response && response.status !== 200) throw new Error(`The function answered ${response.status}: ${text}`);
  return response !== undefined;
}

/** The first line of the log with this message. */
function logged({ output }: FunctionProcess, message: string): Record<string, unknown> {
  const lines = output().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
  return lines.find(({ msg }) => msg === message) ?? {};
}

/** User and system time of a process (proc_pid_stat(5)). */
function readCpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

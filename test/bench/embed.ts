/**
 * From the bytes of an image to its embedding: decoding, preprocessing, inference, each by itself and all of them at
 * once, for each engine in fresh processes by turns, so that a machine whose speed changes changes it for all.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import type { EngineChoice } from '../../common/config.js';
import { grantedCpus } from '../../common/granted-cpus.js';
import type { ModelRequest } from '../../functions/models/registry.js';
import { isSeededName, SEEDED_NAMES, writeSeededModel } from '../support/seeded-model.js';
import { testDataPath } from '../support/test-data.js';
import type { EmbedMeasured, EmbedTask } from './embed-process.js';
import { median, printReport } from './report.js';

interface EmbedBenchOptions {
  readonly model: string;
  readonly engine?: EngineChoice;
  readonly batch: number;
  readonly threads: number;
  readonly rounds: number;
  readonly photos: string;
  readonly json: boolean;
}

const OUTPUT_MAX = 64 * 1024 ** 2;

export function addEmbedBench(program: Command): void {
  program
    .command('embed')
    .description('an image to its embedding: decoding, preprocessing, inference; onnxruntime against tfjs-wasm, unless an engine is named')
    .requiredOption('--model <model>', `a folder, a file, a known name, or with seeded random weights ${SEEDED_NAMES.join(', ')}`)
    .option('--engine <engine>', 'onnxruntime, tfjs-node, tfjs-wasm or auto, alone')
    .option('--batch <n>', 'images in a call of the engine', Number, 1)
    .option('--threads <n>', 'CPUs that are kept busy', Number, grantedCpus())
    .option('--rounds <n>', 'processes of each engine, by turns', Number, 3)
    .option('--photos <folder>', 'what is decoded', testDataPath('images'))
    .option('--json', 'end with one line of JSON', false)
    .action(benchEmbed);
}

async function benchEmbed(options: EmbedBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const request = await requestOf(options.model, folder);
    const task = { request, threads: options.threads, batch: options.batch, photos: resolve(options.photos), dataDir: folder };
    const engines: EngineChoice[] = options.engine === undefined ? ['onnxruntime', 'tfjs-wasm'] : [options.engine];
    const runs = new Map<string, EmbedMeasured[]>();
    const handmadeMs: number[] = [];
    const isYardstick = options.model === 'resnet50' && engines.includes('onnxruntime');
    for (let round = 0; round < options.rounds; round++) {
      for (const engine of engines) {
        const run = await measureInProcess<EmbedMeasured>('embed-process', { ...task, engine, measure: 'engine' } satisfies EmbedTask);
        runs.set(engine, [...(runs.get(engine) ?? []), run]);
        console.log(`round ${round + 1}, ${run.engine}: decode ${shown(run.decodeMs)}, preprocess ${shown(run.preprocessMs)}, infer ${shown(median(run.inferMs))} ms (${describeSpread(run.inferMs)}), ${run.rssMb.toFixed(0)} MB${run.passedOver.length > 0 ? `; passed over: ${run.passedOver.join(' ')}` : ''}`);
      }
      if (!isYardstick) continue;
      const { inferMs } = await measureInProcess<Pick<EmbedMeasured, 'inferMs'>>('handmade-process', { threads: options.threads, batch: options.batch });
      handmadeMs.push(median(inferMs));
      console.log(`round ${round + 1}, the hand-made ONNX: infer ${shown(median(inferMs))} ms (${describeSpread(inferMs)})`);
    }
    const pipeline = await measureInProcess<EmbedMeasured>('embed-process', { ...task, engine: engines[0] as EngineChoice, measure: 'pipeline' } satisfies EmbedTask);
    report(options, { runs, handmadeMs, pipeline });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A model as a person names it: a place, a name, or one that is drawn. */
export async function requestOf(model: string, folder: string): Promise<ModelRequest> {
  const bare: ModelRequest = { name: basename(model), modelUrl: undefined, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined };
  if (isSeededName(model)) return { ...bare, modelUrl: await writeSeededModel(join(folder, model), model) };
  return existsSync(model) ? { ...bare, modelUrl: resolve(model) } : bare;
}

/** Runs one of the processes beside this file, and gives what it prints last. */
export async function measureInProcess<T>(entry: string, task: object, nodeFlags: readonly string[] = []): Promise<T> {
  const path = fileURLToPath(new URL(`./${entry}.js`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [...nodeFlags, path, JSON.stringify(task)], { maxBuffer: OUTPUT_MAX });
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as T;
}

interface Measurements {
  /** By engine, in the order of the rounds. */
  readonly runs: ReadonlyMap<string, readonly EmbedMeasured[]>;
  readonly handmadeMs: readonly number[];
  readonly pipeline: EmbedMeasured;
}

function report({ json, ...options }: EmbedBenchOptions, { runs, handmadeMs, pipeline }: Measurements): void {
  const [first = []] = runs.values();
  const middle = (engine: string): number => median((runs.get(engine) ?? []).map(({ inferMs }) => median(inferMs)));
  printReport({
    name: 'embed',
    options: { ...options },
    figures: {
      decode_ms: median(first.map(({ decodeMs }) => decodeMs)),
      preprocess_ms: median(first.map(({ preprocessMs }) => preprocessMs)),
      infer_ms: median(first.map(({ inferMs }) => median(inferMs))),
      ...(runs.size > 1 && { wasm_infer_ms: middle('tfjs-wasm') }),
      ...(handmadeMs.length > 0 && { handmade_infer_ms: median(handmadeMs) }),
      images_per_s: pipeline.imagesPerS,
      rss_mb: median(first.map(({ rssMb }) => rssMb)),
    },
    ratios: {
      ...(runs.size > 1 && { wasm_over_onnxruntime: middle('tfjs-wasm') / middle('onnxruntime') }),
      ...(handmadeMs.length > 0 && { compiled_over_handmade: middle('onnxruntime') / median(handmadeMs) }),
    },
  }, { json });
}

function shown(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toFixed(2);
}

/** The least, the middle half and the most. */
function describeSpread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): string => shown(sorted[Math.floor(part * (sorted.length - 1))] as number);
  return `${sorted.length} calls: ${at(0)} … ${at(0.25)}–${at(0.75)} … ${at(1)}`;
}

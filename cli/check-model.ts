/** `eis models check`: loads one model, runs it, and says what it is and what it costs here. */
import type { EngineChoice, Preprocess } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { grantedCpus } from '../common/granted-cpus.js';
import { chooseEngine, probePixels } from '../functions/engines/choose-engine.js';
import type { Engine } from '../functions/engines/engine.js';
import { loadModel } from '../functions/models/load-model.js';
import type { LoadedModel } from '../functions/models/model.js';
import { resolveModel } from '../functions/models/registry.js';
import { fetchWithProgress } from './fetch-models.js';
import { describeList, terminalWidth } from './layout.js';
import { findSubject, type ModelSubject } from './model-subject.js';

export interface CheckModelOptions {
  readonly json: boolean;
  readonly engine?: EngineChoice;
  readonly layer?: string;
  readonly preprocess?: Preprocess;
  readonly inputSize?: number;
}

/** The first runs allocate and compile. */
const WARM_UP_RUNS = 2;
const RUNS_MIN = 3;
const RUNS_MAX = 30;
const RUNS_MS = 2_000;

/**
 * @param subject a name of the configuration, which brings its settings; else a known name; else a path or a URL
 * @returns the exit code
 * @throws EisError what loading and running the model throws; EIS_BAD_REQUEST, EIS_SOURCE_UNREADABLE when there is no such model
 */
export async function checkModelCommand(subject: string, environment: Environment, options: CheckModelOptions): Promise<number> {
  const { engine: choice, ...request } = requestOf(subject, environment, options);
  const { dataDir, modelMirror: mirror } = environment;
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new Error('interrupted'));
  process.on('SIGINT', interrupt); // not once: the spinner's exit hook ends the process when it finds no other listener
  try {
    await fetchWithProgress(resolveModel(request, { mirror }), { environment, signal: interrupted.signal });
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    return 130;
  } finally {
    process.off('SIGINT', interrupt);
  }
  const rssBefore = process.memoryUsage.rss();
  const model = await loadModel(request, { dataDir, mirror });
  const { engine, passedOver } = await chooseEngine(model, choice, { threads: grantedCpus(), cacheDir: undefined });
  const speed = await measure(engine, model);
  const measured = { ...speed, engine, passedOver, rssBytes: process.memoryUsage.rss() - rssBefore };
  process.stdout.write(options.json ? `${JSON.stringify(toJson(model, measured))}\n` : `${describe(model, measured).join('\n')}\n`);
  await engine.dispose();
  return 0;
}

function requestOf(name: string, environment: Environment, { engine, layer, preprocess, inputSize }: CheckModelOptions): ModelSubject {
  const own = findSubject(name, environment);
  return { ...own, engine: engine ?? own.engine, layer: layer ?? own.layer, preprocess: preprocess ?? own.preprocess, inputSize: inputSize ?? own.inputSize };
}

// ── What it is and costs ────────────────────────────────────────────────────────────────────────────────────────────

interface Measured {
  readonly engine: Engine;
  readonly passedOver: readonly string[];
  readonly runs: number;
  /** Median of the runs. */
  readonly imageMs: number;
  /** What this process grew by: the model, its engine, and the code of both. */
  readonly rssBytes: number;
}

/** Preprocessing and inference, one image at a time. */
async function measure(engine: Engine, model: LoadedModel): Promise<Pick<Measured, 'runs' | 'imageMs'>> {
  const pixels = probePixels(model.input);
  const embed = async (): Promise<Float32Array> => engine.embed(pixels, 1);
  for (let i = 0; i < WARM_UP_RUNS; i++) await embed();
  const times: number[] = [];
  const startedAt = performance.now();
  while (times.length < RUNS_MIN || (times.length < RUNS_MAX && performance.now() - startedAt < RUNS_MS)) {
    const before = performance.now();
    await embed();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  return { runs: times.length, imageMs: times[Math.floor(times.length / 2)] as number };
}

function toJson({ file, format, input, preprocess, layer, version }: LoadedModel, { engine, passedOver, runs, imageMs, rssBytes }: Measured): object {
  return {
    file, format, input: { ...input, preprocess }, layer, dim: engine.dim, engine: engine.name, threads: engine.threads, passed_over: passedOver, model_version: version,
    ms_per_image: round(imageMs), runs, memory_mb: round(rssBytes / 1e6),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function describe({ file, format, input, preprocess, layer, version }: LoadedModel, { engine, passedOver, runs, imageMs, rssBytes }: Measured): string[] {
  const speed = `${round(imageMs)} ms an image: median of ${runs} runs, one at a time, decoding not included`;
  return describeList(
    [
      ['file', file],
      ['format', format],
      ['input', `${input.height}×${input.width}×${input.channels}, ${preprocess}`],
      ['layer', layer],
      ['dim', String(engine.dim)],
      ['engine', `${engine.name}, on ${engine.threads === 1 ? 'one CPU' : `${engine.threads} CPUs`}; agrees with TF.js on a probe image`],
      ...passedOver.map((reason) => ['', `passed over: ${reason}`] as const),
      ['version', version],
      ['speed', speed],
      ['memory', `${Math.round(rssBytes / 1e6)} MB more in this process than before it was loaded, the engine included${engine.threads === 1 ? '; a function holds it once for each CPU' : ''}`],
    ],
    terminalWidth(process.stdout),
  );
}

/**
 * onnxruntime: the network compiled to ONNX, run by Microsoft's engine on several CPUs. An optional package: it has
 * binaries for Linux, macOS and Windows on x64 and arm64.
 */
import { rm } from 'node:fs/promises';
import type * as onnxruntimeNode from 'onnxruntime-node';
import { EisError } from '../../common/errors.js';
import { reclaimMemory } from '../../common/reclaim.js';
import type { LoadedModel } from '../models/model.js';
import { optimise } from '../network/optimise.js';
import type { Engine, EngineFactory, EngineOptions } from './engine.js';
import { disableTelemetry } from './onnx-telemetry.js';
import { findKept, forget, keep, touch, type KeptModel } from './onnx-cache.js';
import { compileOnnx, INPUT, OUTPUT } from './onnx-compile.js';
import { embedEach, prepareNetwork, type PreparedNetwork } from './prepare.js';

type Onnxruntime = typeof onnxruntimeNode;
type Session = onnxruntimeNode.InferenceSession;
type SessionOptions = onnxruntimeNode.InferenceSession.SessionOptions;

/** What compiling a larger model leaves behind is collected at once: twice its size. */
const RECLAIMED_BYTES_MIN = 16 * 1024 ** 2;

/** Only errors: its warnings are about what it optimises. */
const LOG_SEVERITY_ERROR = 3;

let loading: Promise<Onnxruntime> | undefined;

export const onnxruntime: EngineFactory = {
  name: 'onnxruntime',
  prepare: () => (loading ??= load()),
  async create(model, options) {
    const prepared = prepareNetwork(model);
    const ort = await (loading ??= load());
    const kept = options.cacheDir === undefined ? undefined : await findKept(options.cacheDir, { version: model.version, network: prepared.network, runtime: ort.env.versions.node ?? '' });
    const earlier = kept?.embedding ? await openKept(ort, kept, options) : undefined;
    if (!earlier) options.onFresh?.();
    const session = earlier ?? (await openFresh(ort, { model, prepared, kept, options }));
    return describeEngine(ort, session, { model, prepared, kept, options, confirmed: earlier && kept?.embedding });
  },
};

async function load(): Promise<Onnxruntime> {
  try {
    disableTelemetry();
    const loaded = (await import('onnxruntime-node')) as Onnxruntime & { default?: Onnxruntime };
    return loaded.default ?? loaded;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' || (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    const detail = isMissing ? `the package onnxruntime-node, or its binary for ${process.platform} on ${process.arch}, is not installed. Install it, or set "engine" to auto.` : `the package onnxruntime-node does not load: ${(cause as Error).message.split('\n')[0]}`;
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'onnxruntime', detail }, { cause });
  }
}

/**
 * Its threads wait for the next operation by spinning, which halves the time of small networks, and stop with the call: what
 * is decoded between calls needs the CPUs.
 */
function sessionOptions({ threads }: EngineOptions): SessionOptions {
  return { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, extra: { session: { force_spinning_stop: '1' } }, executionMode: 'sequential', logSeverityLevel: LOG_SEVERITY_ERROR };
}

/** A file that does not open, cut short by a full disk perhaps, is made anew. */
async function openKept(ort: Onnxruntime, kept: KeptModel, options: EngineOptions): Promise<Session | undefined> {
  try {
    const session = await ort.InferenceSession.create(kept.path, { ...sessionOptions(options), graphOptimizationLevel: 'disabled' });
    await touch(kept);
    return session;
  } catch {
    await forget(kept);
    return undefined;
  }
}

interface Making {
  readonly model: LoadedModel;
  readonly prepared: PreparedNetwork;
  readonly kept: KeptModel | undefined;
  readonly options: EngineOptions;
}

async function openFresh(ort: Onnxruntime, { prepared, kept, options }: Making): Promise<Session> {
  try {
    const bytes = compileOnnx(optimise(prepared.network), { isBatching: prepared.isBatchable });
    if (bytes.length > RECLAIMED_BYTES_MIN) reclaimMemory();
    const create = (more: SessionOptions = {}): Promise<Session> => ort.InferenceSession.create(bytes, { ...sessionOptions(options), graphOptimizationLevel: 'all', ...more });
    return await (kept && options.onFresh ? create({ optimizedModelFilePath: kept.draft }).catch(async () => {
      await rm(kept.draft, { force: true }).catch(() => undefined);
      return create(); // the folder may be full, or not to be written to
    }) : create());
  } catch (cause) {
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'onnxruntime', detail: `it cannot run this model: ${(cause as Error).message.split('\n')[0]}` }, { cause });
  }
}

function describeEngine(ort: Onnxruntime, session: Session, { model, prepared, kept, options, confirmed }: Making & { readonly confirmed: Float32Array | undefined }): Engine {
  const { height, width } = model.input;
  const { dim, isBatchable } = prepared;
  const run = async (pixels: Uint8Array, count: number): Promise<Float32Array> => (await session.run({ [INPUT]: new ort.Tensor('uint8', pixels, [count, height, width, 3]) }))[OUTPUT]?.data as Float32Array;
  return {
    name: 'onnxruntime',
    dim,
    threads: options.threads,
    isBatching: isBatchable,
    confirmed,
    embed: (pixels, count) => (isBatchable ? run(pixels, count) : embedEach(pixels, count, dim, (image) => run(image, 1))),
    async confirm(embedding) {
      if (kept && !confirmed) await keep(kept, embedding);
    },
    async forget() {
      if (kept) await forget(kept);
    },
    async dispose() {
      await session.release();
      if (kept) await rm(kept.draft, { force: true }).catch(() => undefined);
    },
  };
}

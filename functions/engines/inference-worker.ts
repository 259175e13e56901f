/**
 * A thread that computes embeddings, so that the HTTP server is never blocked. It is given a model, makes one engine for
 * it, and answers one call after the other. Errors travel as values, because a thrown one would lose its code on the way.
 */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import type { EngineChoice } from '../../common/config.js';
import { toEisError, type ErrorBody } from '../../common/errors.js';
import { reclaimMemory } from '../../common/reclaim.js';
import { normalise } from '../../common/vector.js';
import type { LoadedModel } from '../models/model.js';
import { chooseEngine, prepareEngine, type ChooseOptions, type ChosenEngine } from './choose-engine.js';
import type { Engine } from './engine.js';
import { standBack } from './thread-priority.js';

/** What a thread is started with. Its model comes as its first message: it may still be on its way from the disk. */
export interface InferenceThreadData extends Omit<ChooseOptions, 'onFresh'> {
  readonly choice: EngineChoice;
}

/** Each is answered by one `ThreadAnswer` before the next is sent; after `close` the thread ends. */
export type ThreadRequest =
  | { readonly kind: 'model'; readonly model: LoadedModel }
  | { readonly kind: 'images'; readonly images: readonly Uint8Array[] }
  | { readonly kind: 'close' };

/** What computes in a thread. */
export interface ThreadEngine extends Pick<Engine, 'name' | 'dim' | 'threads' | 'isBatching'> {
  readonly passedOver: readonly string[];
}

export interface SentError {
  readonly error: ErrorBody;
  readonly stack: string;
}

export type ThreadAnswer =
  | { readonly kind: 'engine'; readonly engine: ThreadEngine }
  | { readonly kind: 'outcomes'; readonly outcomes: readonly (Float32Array | SentError)[] }
  | ({ readonly kind: 'error' } & SentError);

/** Against the threads that answer requests and decode images, which have 0. */
const NICENESS = 10;

const port = parentPort as MessagePort;
const { choice, ...options } = workerData as InferenceThreadData;
let chosen: ChosenEngine | undefined;

port.on('message', (request: ThreadRequest) => void answer(request));
port.on('messageerror', (error: Error) => {
  throw error; // what was asked cannot be answered: the thread ends, and is replaced
});
standBack(NICENESS);
await prepareEngine(choice);

/** Never rejects. */
async function answer(request: ThreadRequest): Promise<void> {
  try {
    if (request.kind === 'close') await close();
    else if (request.kind === 'model') send(await start(request.model));
    else send({ kind: 'outcomes', outcomes: await embed((chosen as ChosenEngine).engine, request.images) });
  } catch (thrown) {
    send({ kind: 'error', ...toSent(thrown) });
  }
}

function send(message: ThreadAnswer): void {
  port.postMessage(message);
}

async function start(model: LoadedModel): Promise<ThreadAnswer> {
  chosen = await chooseEngine(model, choice, options);
  reclaimMemory();
  const { engine, passedOver } = chosen;
  return { kind: 'engine', engine: { name: engine.name, dim: engine.dim, threads: engine.threads, isBatching: engine.isBatching, passedOver } };
}

async function embed(engine: Engine, images: readonly Uint8Array[]): Promise<(Float32Array | SentError)[]> {
  const numbers = await engine.embed(join(images), images.length);
  return images.map((_, i) => {
    try {
      return normalise(numbers.subarray(i * engine.dim, (i + 1) * engine.dim));
    } catch (thrown) {
      return toSent(thrown);
    }
  });
}

/** The images one after the other. They are all of one size. */
function join(images: readonly Uint8Array[]): Uint8Array {
  const [first = new Uint8Array()] = images;
  if (images.length === 1) return first;
  const joined = new Uint8Array(images.length * first.length);
  images.forEach((image, i) => joined.set(image, i * first.length));
  return joined;
}

/** What an engine keeps outside JavaScript's memory is freed before the thread is gone. */
async function close(): Promise<void> {
  await chosen?.engine.dispose().catch(() => undefined);
  process.exit();
}

function toSent(thrown: unknown): SentError {
  const error = toEisError(thrown);
  return { error: error.toBody(), stack: String(((error.cause ?? error) as Partial<Error>).stack) };
}

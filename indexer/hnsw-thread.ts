/** Runs an index's graphs in a thread of their own (`hnsw-worker.ts`), and pairs what it answers with what was asked. */
import { Worker } from 'node:worker_threads';
import { EisError, relayError } from '../common/errors.js';
import { compiledUrl } from '../common/package-root.js';
import type { GraphReply, GraphRequest, GraphRows, GraphTask } from './hnsw-worker.js';
import type { GraphOptions, GraphQuery } from './neighbour-graph.js';
import type { Rescored, RescoreTask } from './rescore.js';

/** What an index needs of whoever keeps its graphs. Tasks are done one after the other, in their order. */
export interface GraphKeeper {
  readonly options: GraphOptions;
  /** Adds rows, whose vectors are read from the file, to a graph; a new number makes a new graph. */
  add(task: { readonly graph: number; readonly fd: number; readonly rows: GraphRows }): Promise<void>;
  /** The rows that a graph finds for each query, closest first. */
  search(task: { readonly graph: number; readonly queries: readonly GraphQuery[] }): Promise<Uint32Array[]>;
  rescore(task: RescoreTask): Promise<Rescored>;
  drop(graph: number): Promise<void>;
  close(): Promise<void>;
}

interface Pending {
  resolve(value: unknown): void;
  reject(reason: EisError): void;
}

export class HnswThread implements GraphKeeper {
  readonly options: GraphOptions;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #asked = 0;
  #fault: Error | undefined;
  #death: EisError | undefined;

  constructor(options: GraphOptions) {
    this.options = options;
    this.#worker = new Worker(compiledUrl('indexer/hnsw-worker.ts'), { workerData: options, name: 'hnsw' });
    this.#worker.on('message', ({ number, value, error }: GraphReply) => {
      const pending = this.#pending.get(number);
      this.#pending.delete(number);
      if (error) pending?.reject(relayError(error) ?? new EisError('EIS_INTERNAL', {}));
      else pending?.resolve(value);
    });
    this.#worker.on('error', (error: Error) => (this.#fault = error));
    this.#worker.once('exit', (code) => this.#end(code));
  }

  /**
   * Resolves when it can keep graphs.
   *
   * @throws EisError EIS_ENGINE_UNAVAILABLE when usearch cannot be loaded here
   */
  async start(): Promise<void> {
    await this.#ask({ kind: 'start' });
  }

  async add(task: { readonly graph: number; readonly fd: number; readonly rows: GraphRows }): Promise<void> {
    await this.#ask({ kind: 'add', ...task });
  }

  async search(task: { readonly graph: number; readonly queries: readonly GraphQuery[] }): Promise<Uint32Array[]> {
    return (await this.#ask({ kind: 'search', ...task })) as Uint32Array[];
  }

  async rescore(task: RescoreTask): Promise<Rescored> {
    return (await this.#ask({ kind: 'rescore', task })) as Rescored;
  }

  async drop(graph: number): Promise<void> {
    await this.#ask({ kind: 'drop', graph });
  }

  /** Ends it, whatever it does; its graphs are gone then. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(task: GraphTask): Promise<unknown> {
    if (this.#death) return Promise.reject(this.#death);
    const number = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#pending.set(number, { resolve, reject });
      this.#worker.postMessage({ number, task } satisfies GraphRequest);
    });
  }

  #end(code: number): void {
    this.#death = new EisError('EIS_INDEX_DAMAGED', { detail: `the thread that held its graph ended (${this.#fault?.message ?? `code ${code}`}).` }, { cause: this.#fault });
    for (const pending of this.#pending.values()) pending.reject(this.#death);
    this.#pending.clear();
  }
}

/**
 * Sees whether graphs can be kept here at all.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE
 */
export async function checkHnsw(): Promise<void> {
  const thread = new HnswThread({ dim: 1, connectivity: 2, expansionAdd: 1, expansionSearch: 1 });
  try {
    await thread.start();
  } finally {
    await thread.close();
  }
}

/** Runs an index's graphs in a thread of their own (`graph-worker.ts`), and pairs what it answers with what was asked. */
import { Worker } from 'node:worker_threads';
import { relayError, type EisError } from '../common/errors.js';
import { grantedCpus } from '../common/granted-cpus.js';
import { compiledUrl } from '../common/package-root.js';
import type { GraphSearch } from './graph-search.js';
import type { Added, GraphReply, GraphRequest, GraphTask, GraphWorkerOptions, Near } from './graph-worker.js';
import type { GraphOptions } from './neighbour-graph.js';
import type { ChunkMemory } from './row-chunk.js';

/**
 * What an index needs of whoever keeps its graphs. Tasks are done one after the other, in their order. What fails with an
 * `EisError` failed by itself; with another, the keeper is of no use any more.
 */
export interface GraphKeeper {
  readonly options: GraphOptions;
  /** Adds the living of rows `[from, to)` of a chunk to a graph, as far as it comes in a short time; a new number makes a new graph. */
  add(rows: { readonly graph: number; readonly memory: ChunkMemory; readonly from: number; readonly to: number }): Promise<Added>;
  /** @param fd of the vector file: what is near is scored too, when it is enough */
  search(task: { readonly graph: number; readonly search: GraphSearch; readonly fd?: number | undefined }): Promise<Near>;
  /** Lets go of a graph, or of the memory of a chunk. */
  drop(what: { readonly graph?: number; readonly serial?: number }): Promise<void>;
  close(): Promise<void>;
}

interface Pending {
  resolve(value: unknown): void;
  reject(reason: Error): void;
}

export class GraphThread implements GraphKeeper {
  readonly options: GraphOptions;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #asked = 0;
  #fault: Error | undefined;
  #death: Error | undefined;

  /** @param threads that usearch may use; default: as many as CPUs are granted */
  constructor(options: GraphOptions, { threads = grantedCpus() }: { readonly threads?: number } = {}) {
    this.options = options;
    this.#worker = new Worker(compiledUrl('indexer/graph-worker.ts'), { workerData: { ...options, threads } satisfies GraphWorkerOptions, name: 'graph' });
    this.#worker.on('message', ({ number, value, error, fault }: GraphReply) => {
      const pending = this.#pending.get(number);
      this.#pending.delete(number);
      if (error) pending?.reject(relayError(error) as EisError);
      else if (fault !== undefined) pending?.reject(new Error(fault));
      else pending?.resolve(value);
    });
    this.#worker.on('error', (error: Error) => (this.#fault = error));
    this.#worker.once('exit', (code) => this.#end(code));
  }

  async add(rows: { readonly graph: number; readonly memory: ChunkMemory; readonly from: number; readonly to: number }): Promise<Added> {
    return (await this.#ask({ kind: 'add', ...rows })) as Added;
  }

  async search(task: { readonly graph: number; readonly search: GraphSearch; readonly fd?: number | undefined }): Promise<Near> {
    return (await this.#ask({ kind: 'search', ...task })) as Near;
  }

  async drop(what: { readonly graph?: number; readonly serial?: number }): Promise<void> {
    await this.#ask({ kind: 'drop', ...what });
  }

  /** Resolves when it ended, after what it was asked for; its graphs are gone then. */
  async close(): Promise<void> {
    if (this.#death) return;
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    // By itself: a thread that is terminated within a call of usearch takes the process with it.
    this.#worker.postMessage({ number: this.#asked++, task: { kind: 'end' } } satisfies GraphRequest);
    await ended;
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
    this.#death = new Error(`The thread that held the graph ended (${this.#fault?.message ?? `code ${code}`}).`, { cause: this.#fault });
    for (const pending of this.#pending.values()) pending.reject(this.#death);
    this.#pending.clear();
  }
}

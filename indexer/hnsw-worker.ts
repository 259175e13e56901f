/**
 * The thread that owns an index's graphs: usearch answers synchronously, so nothing of it runs on the event loop that
 * answers requests. It does one task after the other, in the order in which they were sent (`hnsw-thread.ts`).
 *
 * usearch is loaded by the first task, so that a machine without it fails by an error that says so.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { EisError, toEisError, type ErrorBody } from '../common/errors.js';
import { NeighbourGraph, type GraphClass, type GraphOptions, type GraphQuery } from './neighbour-graph.js';
import { rescore, type Rescored, type RescoreTask } from './rescore.js';
import { readVectorsSync } from './vector-file.js';

/** Rows whose vectors are to stand in a graph: numbered by their slots in a vector file. */
export interface GraphRows {
  readonly slots: Uint32Array;
  readonly checksums: Uint32Array;
}

export type GraphTask =
  | { readonly kind: 'start' }
  /** Makes the graph when there is none of that number. */
  | { readonly kind: 'add'; readonly graph: number; readonly fd: number; readonly rows: GraphRows }
  | { readonly kind: 'search'; readonly graph: number; readonly queries: readonly GraphQuery[] }
  | { readonly kind: 'rescore'; readonly task: RescoreTask }
  | { readonly kind: 'drop'; readonly graph: number };

export interface GraphRequest {
  readonly number: number;
  readonly task: GraphTask;
}

export interface GraphReply {
  readonly number: number;
  /** By the kind of the task: found rows, closest first, for each query; `Rescored`; nothing. */
  readonly value?: Uint32Array[] | Rescored | undefined;
  readonly error?: ErrorBody;
}

const graphs = new Map<number, NeighbourGraph>();
let loaded: Promise<GraphClass> | undefined;

async function loadUsearch(): Promise<GraphClass> {
  try {
    return (await import('usearch')).Index;
  } catch (cause) {
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'usearch', detail: `its binary for ${process.platform}-${process.arch} cannot be loaded (${firstLine(cause)}). Choose the index_algorithm "brute".` }, { cause });
  }
}

async function run(task: GraphTask): Promise<GraphReply['value']> {
  const graphClass = await (loaded ??= loadUsearch());
  switch (task.kind) {
    case 'start':
      return undefined;
    case 'add':
      return add(graphClass, task);
    case 'search':
      return task.queries.map((query) => graphs.get(task.graph)?.search(query) ?? new Uint32Array());
    case 'rescore':
      return rescore(task.task);
    case 'drop':
      graphs.delete(task.graph);
      return undefined;
  }
}

function add(graphClass: GraphClass, { graph: number, fd, rows: { slots, checksums } }: Extract<GraphTask, { kind: 'add' }>): undefined {
  const options = workerData as GraphOptions;
  const graph = graphs.get(number) ?? new NeighbourGraph(graphClass, options);
  graphs.set(number, graph);
  readVectorsSync({ fd, dim: options.dim, slots, checksums }, Uint32Array.from(slots.keys()), (i, vector) => graph.add(slots[i] as number, vector, checksums[i] as number));
}

function firstLine(thrown: unknown): string {
  return String((thrown as Error).message).split('\n')[0] as string;
}

/** What failed otherwise than by a fault of its own name: the graph is not to be trusted then. */
function describe(thrown: unknown): ErrorBody {
  const error = toEisError(thrown);
  if (error.code !== 'EIS_INTERNAL') return error.toBody();
  return new EisError('EIS_INDEX_DAMAGED', { detail: `its graph failed: ${firstLine(thrown)}.` }).toBody();
}

let last: Promise<void> = Promise.resolve();
parentPort?.on('message', ({ number, task }: GraphRequest) => {
  last = last.then(async () => {
    const reply: GraphReply = await run(task).then((value) => ({ number, value }), (thrown: unknown) => ({ number, error: describe(thrown) }));
    parentPort?.postMessage(reply);
  });
});

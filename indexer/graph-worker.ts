/**
 * The thread that owns an index's graphs: usearch answers synchronously, so nothing of it runs on the event loop that
 * answers requests. It does one task after the other, in the order in which they were sent (`graph-thread.ts`).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { isEisError, type ErrorBody } from '../common/errors.js';
import { searchGraph, type GraphSearch } from './graph-search.js';
import { loadGraphClass, NeighbourGraph, type GraphClass, type GraphOptions } from './neighbour-graph.js';
import { rescore, type Rescored, type RescoreRows } from './rescore.js';
import { addressOf, viewChunk, type ChunkMemory, type ChunkViews } from './row-chunk.js';

export type GraphTask =
  /** Adds living rows of a chunk, from one row on until another or until some time is over; makes the graph when there is none of that number. */
  | { readonly kind: 'add'; readonly graph: number; readonly memory: ChunkMemory; readonly from: number; readonly to: number }
  /** With a vector file, what is near is scored too, unless more is to be asked for. */
  | { readonly kind: 'search'; readonly graph: number; readonly search: GraphSearch; readonly fd?: number | undefined }
  /** Lets go of a graph, or of a chunk's memory. */
  | { readonly kind: 'drop'; readonly graph?: number; readonly serial?: number }
  | { readonly kind: 'end' };

export interface Added {
  /** The first row that was not looked at. */
  readonly next: number;
  readonly added: number;
}

export interface Near {
  readonly near: readonly RescoreRows[];
  readonly rescored?: Rescored | undefined;
}

export interface GraphWorkerOptions extends GraphOptions {
  readonly threads: number;
}

export interface GraphRequest {
  readonly number: number;
  readonly task: GraphTask;
}

export interface GraphReply {
  readonly number: number;
  /** By the kind of the task: `Added`, `Near`, nothing. */
  readonly value?: Added | Near | undefined;
  /** Of ours. */
  readonly error?: ErrorBody;
  /** Of the graph's: it is not to be trusted any more. */
  readonly fault?: string;
}

/** A search that comes meanwhile waits for so long at most. */
const ADD_MS = 3;
/** Rows that are given to usearch at once, for each of its threads. */
const ROWS_PER_THREAD = 4;

const { threads, dim, ...options } = workerData as GraphWorkerOptions;
const graphs = new Map<number, NeighbourGraph>();
const chunks = new Map<number, ChunkViews>();
let loaded: Promise<GraphClass> | undefined;

async function run(task: GraphTask): Promise<GraphReply['value']> {
  if (task.kind === 'end') {
    parentPort?.close();
    return undefined;
  }
  const graphClass = await (loaded ??= loadGraphClass());
  switch (task.kind) {
    case 'add':
      return add(graphClass, task);
    case 'search':
      return search(task);
    case 'drop':
      if (task.graph !== undefined) graphs.delete(task.graph);
      if (task.serial !== undefined) chunks.delete(task.serial);
      return undefined;
  }
}

function add(graphClass: GraphClass, { graph: number, memory, from, to }: Extract<GraphTask, { kind: 'add' }>): Added {
  const graph = graphs.get(number) ?? new NeighbourGraph(graphClass, { dim, ...options });
  graphs.set(number, graph);
  const { codes, diedAt, stride } = take(memory);
  const before = graph.size;
  const endsAt = performance.now() + ADD_MS;
  let row = from;
  while (row < to && (row === from || performance.now() < endsAt)) {
    const rows: number[] = [];
    for (; row < to && rows.length < threads * ROWS_PER_THREAD; row++) if (diedAt[row] === 0) rows.push(row);
    if (rows.length === 0) break;
    const block = new Int8Array(rows.length * dim);
    rows.forEach((each, i) => block.set(codes.subarray(each * stride, each * stride + dim), i * dim));
    graph.add(rows.map((each) => addressOf(memory.serial, each)), block, threads);
  }
  return { next: row, added: graph.size - before };
}

function search({ graph: number, search: wanted, fd }: Extract<GraphTask, { kind: 'search' }>): Near {
  for (const { memory } of wanted.rest) take(memory);
  const graph = graphs.get(number);
  if (!graph) throw new Error(`There is no graph ${number}.`);
  const near = searchGraph(graph, chunks, wanted, threads);
  const isEnough = fd !== undefined && near.every(({ slots }, q) => slots.length >= (wanted.queries[q]?.keep as number));
  return { near, rescored: isEnough ? rescore({ fd, queries: wanted.queries.map(({ vector, keep }, q) => ({ vector, keep, ...(near[q] as RescoreRows) })) }) : undefined };
}

function take(memory: ChunkMemory): ChunkViews {
  const views = chunks.get(memory.serial) ?? viewChunk(memory);
  chunks.set(memory.serial, views);
  return views;
}

let last: Promise<void> = Promise.resolve();
parentPort?.on('message', ({ number, task }: GraphRequest) => {
  last = last.then(async () => {
    const reply: GraphReply = await run(task).then(
      (value) => ({ number, value }),
      (thrown: unknown) => ({ number, ...(isEisError(thrown) ? { error: thrown.toBody() } : { fault: String((thrown as Error).message) }) }),
    );
    parentPort?.postMessage(reply);
  });
});

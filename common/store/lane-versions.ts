/** Which versions of a model its lanes hold, as the store says it: by the pointer, and by the re-embedding that is under way. */
import type { Lane } from '../lanes.js';
import type { LiveVersion, Reembedding, Store } from './store.js';

type Source = Pick<Store, 'liveVersion' | 'reembeddings'>;

export interface LaneVersions {
  /** What the index pods of the lane are to hold; undefined: nothing yet. */
  readonly held: LiveVersion | undefined;
  /** What is searched. */
  readonly live: LiveVersion | undefined;
}

/**
 * While a model is embedded again, neither lane follows the pointer: each keeps its own version, so that the pointer can be
 * moved there and back at any time. Once that is being finished, `main` follows it again.
 */
export async function laneVersions(store: Source, model: string, lane: Lane): Promise<LaneVersions> {
  const job = await store.reembeddings.get(model); // first: a pointer that was moved since then was moved by this job
  const live = await store.liveVersion(model);
  if (lane === 'next') return { held: job?.version, live };
  return { held: job && !isEnding(job) ? job.from : live, live };
}

/** Whether the main lane follows the pointer again. */
export function isEnding({ step }: Pick<Reembedding, 'step'>): boolean {
  return step === 'finishing' || step === 'removing';
}

/** The versions of a model that are written to: the one that is searched first. */
export async function writtenVersions(store: Source, model: string): Promise<LiveVersion[]> {
  const job = await store.reembeddings.get(model);
  const all = [await store.liveVersion(model), job?.from, job?.version].filter((version) => version !== undefined);
  return all.filter(({ version }, i) => all.findIndex((other) => other.version === version) === i);
}

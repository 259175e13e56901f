/** What a re-embedding is made of, from outside, and what its steps share. */
import { wait } from '../../common/backoff.js';
import { EisError } from '../../common/errors.js';
import type { LiveVersion, RecallMeasurement, Reembedding, Store, VectorCollection } from '../../common/store/store.js';
import type { ImageQueue } from '../queue/queue.js';
import type { Agreement } from './agreement.js';

/** A lane as it is from outside. */
export interface LaneView {
  /** The version that its function embeds with; undefined while it does not say. Never rejects. */
  functionVersion(): Promise<LiveVersion | undefined>;
  /** What all of its index pods hold; undefined while one does not answer, or holds another version than the others. Never rejects. */
  index(): Promise<{ readonly version: string; readonly vectors: number } | undefined>;
}

export interface ReembedParts {
  readonly store: Store;
  readonly queue: Pick<ImageQueue, 'publish' | 'addLane' | 'removeLane'>;
  readonly lanes: { readonly main: LaneView; readonly next: LaneView };
  /** Default: `measureAgreement`. */
  readonly measure?: (model: string, versions: readonly [LiveVersion, LiveVersion]) => Promise<Agreement>;
  /** Searches for altered copies of stored images in both lanes, of the former version and of the new one: see `recall.ts`. */
  readonly measureRecall: (versions: readonly [LiveVersion, LiveVersion]) => Promise<RecallMeasurement>;
  readonly onNotice: (notice: string) => void;
  readonly signal: AbortSignal;
  /** Between two looks. */
  readonly pollMs?: number;
  /** How long a part of the system is waited for. */
  readonly patienceMs?: number;
  /** Time in which every gateway has noticed which lane is to be searched. */
  readonly gatewaysMs?: number;
}

const POLL_MS = 500;
const PATIENCE_MS = 180_000;

/** The error for a person: where it stands, and how to go on. */
export function stopped(model: string, detail: string): EisError {
  return new EisError('EIS_REEMBED', { model, detail });
}

/**
 * Saves how far it is.
 *
 * @throws EisError EIS_REEMBED when another command changed it meanwhile
 */
export async function save(job: Omit<Reembedding, 'updatedAt'>, changes: Partial<Reembedding>, { store }: Pick<ReembedParts, 'store'>): Promise<Reembedding> {
  const saved = await store.reembeddings.save({ ...job, ...changes });
  if (saved) return saved;
  throw stopped(job.model, 'another command is at work on it. "eis status" says how far it is.');
}

/**
 * Asks until there is an answer.
 *
 * @param missing what to say when there is none in time
 * @throws EisError EIS_REEMBED; the signal's reason
 */
export async function waitFor<T>(ask: () => Promise<T | undefined>, { model, missing }: { readonly model: string; readonly missing: string }, { signal, pollMs = POLL_MS, patienceMs = PATIENCE_MS }: ReembedParts): Promise<T> {
  const until = performance.now() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() >= until) throw stopped(model, `${missing} The same command goes on from here.`);
    await wait(pollMs, signal);
  }
}

/** What `waitFor` asks a lane: whether its index pods hold every image of a version. Counted before the pods are asked, because they are a moment behind the store while images come in. */
export function askWhole(lane: LaneView, collection: Pick<VectorCollection, 'version' | 'count'>): () => Promise<true | undefined> {
  let expected = Infinity;
  return async () => {
    const index = await lane.index();
    const isWhole = index?.version === collection.version && index.vectors >= expected;
    expected = await collection.count();
    return isWhole || undefined;
  };
}

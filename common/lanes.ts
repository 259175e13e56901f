/**
 * The lanes of a model. A lane is what it takes to search by one definition of a model: a function, a queue with its
 * workers, and a set of index pods. A model has one, `main`; while it is embedded again by other weights it has a second
 * one beside it, `next`. Every process but the gateway belongs to one lane, and a search is answered by one lane alone.
 */
import { EisError } from './errors.js';

export const LANES = ['main', 'next'] as const;
export type Lane = (typeof LANES)[number];

/** Ends the queue of a model's second lane. No model's name has a dot. */
const NEXT = '.next';

/** The queue of a lane: the model's name, or that and `.next`. Messages for the lane alone are published under it. */
export function laneQueue(model: string, lane: Lane): string {
  return lane === 'main' ? model : `${model}${NEXT}`;
}

/** Whether a queue is that of a second lane. */
export function isSecondLane(queue: string): boolean {
  return queue.endsWith(NEXT);
}

/**
 * A queue that is the one of some of these models, or of a second lane of one.
 *
 * @throws EisError EIS_MODEL_UNKNOWN when it is not
 */
export function requireQueueOf(models: readonly string[], queue: string): string {
  if (models.some((model) => LANES.some((lane) => laneQueue(model, lane) === queue))) return queue;
  throw new EisError('EIS_MODEL_UNKNOWN', { model: queue, known: [...models] });
}

/**
 * Under which key the ledger knows what became of a message in a queue. A second lane's outcomes stand under a submission
 * of their own, whose name nobody can choose: so who waits for a submission does not wait for a second lane, and counts
 * each image once for each model.
 */
export function laneLedgerKey(queue: string, { submission, source }: { readonly submission: string; readonly source: string }): { readonly submission: string; readonly source: string; readonly model: string } {
  return { submission: laneSubmission(queue, submission), source, model: queue };
}

/** The submission that outcomes of a queue stand under: see `laneLedgerKey`. */
export function laneSubmission(queue: string, submission: string): string {
  return isSecondLane(queue) ? `${submission}~next` : submission;
}

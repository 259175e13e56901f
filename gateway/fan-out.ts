/**
 * Asks every shard at once, under one deadline, and tells what came of each: hits and errors, never silently fewer.
 * How a shard is asked is injected, so this file knows no network.
 */
import { EisError, toEisError } from '../common/errors.js';
import { withDeadline } from '../common/deadline.js';

export interface FanOutOptions<Shard, Answer> {
  readonly shards: readonly Shard[];
  /** Asks one shard; to give up when the signal is aborted. */
  readonly ask: (shard: Shard, signal: AbortSignal) => Promise<Answer>;
  readonly timeoutMs: number;
  /** Ends the whole fan-out: nobody waits for its answer any more. */
  readonly signal?: AbortSignal | undefined;
}

interface Answered<Shard, Answer> {
  readonly shard: Shard;
  readonly answer: Answer;
}

interface Failed<Shard> {
  readonly shard: Shard;
  readonly error: EisError;
}

/** Both in the order of the shards; together they name every shard once. */
export interface FanOutResult<Shard, Answer> {
  readonly answers: readonly Answered<Shard, Answer>[];
  readonly failures: readonly Failed<Shard>[];
}

/**
 * Asks all shards. A shard that throws, or has not answered when the time is over, is a failure; it takes nothing away
 * from the others.
 *
 * @throws the reason of `signal`, when that is aborted
 */
export async function fanOut<Shard extends { readonly name: string }, Answer>({ shards, ask, timeoutMs, signal }: FanOutOptions<Shard, Answer>): Promise<FanOutResult<Shard, Answer>> {
  const outcomes = await Promise.all(
    shards.map(async (shard): Promise<Answered<Shard, Answer> | Failed<Shard>> => {
      const timeoutError = (): EisError => new EisError('EIS_SHARD_TIMEOUT', { shard: shard.name, timeoutMs });
      try {
        return { shard, answer: await withDeadline({ timeoutMs, parent: signal, timeoutError }, async (deadline) => ask(shard, deadline)) };
      } catch (thrown) {
        return { shard, error: toEisError(thrown) };
      }
    }),
  );
  signal?.throwIfAborted();
  return {
    answers: outcomes.filter((outcome) => 'answer' in outcome),
    failures: outcomes.filter((outcome) => 'error' in outcome),
  };
}

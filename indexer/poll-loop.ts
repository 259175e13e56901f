/** Repeats a step for as long as a process lives: at an interval while it succeeds, ever more seldom while it fails. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface PollLoopOptions {
  readonly step: () => Promise<void>;
  readonly intervalMs: number;
  /** The longest wait between two failing steps. */
  readonly backoffMaxMs: number;
  /** Told of every failure, with the wait that follows. */
  readonly onFailure: (error: unknown, waitMs: number) => void;
}

/** The wait after `failures` failing steps in a row: doubled by each, up to the maximum. */
export function backoffMs({ intervalMs, backoffMaxMs }: Pick<PollLoopOptions, 'intervalMs' | 'backoffMaxMs'>, failures: number): number {
  return Math.min(backoffMaxMs, intervalMs * 2 ** failures);
}

/** @returns what ends it: resolved when the step under way is done */
export function startPollLoop(options: PollLoopOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        await options.step();
        failures = 0;
      } catch (error) {
        failures++;
        options.onFailure(error, backoffMs(options, failures));
      }
      await sleep(backoffMs(options, failures), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    stop() {
      stopping.abort();
      return running;
    },
  };
}

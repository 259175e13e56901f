/** Round after round, until it is closed. */
import { wait } from '../common/backoff.js';
import type { Closable } from '../common/lifecycle.js';
import type { Autoscaler, Turn } from './autoscaler.js';

/** As often as Prometheus asks the pods. */
export const ROUND_EVERY_MS = 15_000;

/** Begins at once. `close` gives up what is under way and resolves when that has ended. */
export function startRounds(autoscaler: Pick<Autoscaler, 'round'>, onRound: (turns: readonly Turn[]) => void): Closable {
  const closing = new AbortController();
  const { signal } = closing;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      onRound(await autoscaler.round(signal));
      await wait(ROUND_EVERY_MS, signal);
    }
  };
  const ended = run().catch((thrown: unknown) => {
    if (!signal.aborted) throw thrown;
  });
  return {
    async close() {
      closing.abort(new Error('The autoscaler closes.'));
      await ended;
    },
  };
}

/** Gives the memory of a closed index back to the system at once. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** By then, what was closing the index holds no reference to it any more. */
const SETTLE_MS = 100;

/**
 * Collects garbage in a moment. V8 does not count shared memory when it decides when to collect, so a pod that swapped indexes a
 * few times would keep all of them. It stops the event loop for some milliseconds (the vectors are not walked, only the
 * catalog), which a swap, being rare, may cost.
 */
export function reclaimMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setTimeout(collect, SETTLE_MS).unref();
}

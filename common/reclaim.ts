/** Gives memory back to the system that V8 would keep, because it does not see how much lies behind what it could collect. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects garbage, now. V8 decides by its own heap when to collect, while typed arrays, and shared ones above all, lie
 * outside it: an index that was swapped or a model that was compiled would stay for minutes. It stops the calling thread
 * for some milliseconds, which what is rare may cost.
 */
export function reclaimMemory(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

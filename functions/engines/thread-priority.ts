/** How the calling thread stands back for others of its process. */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/**
 * Lets threads that answer requests go first: on CPUs that inference fills they would otherwise wait for whole slices of
 * it. Nothing is lost where a CPU is free. Threads that this one starts later take its priority over, which is how the
 * threads of an inference library get it; so it is called before one is loaded.
 *
 * On Linux a priority is a thread's (setpriority(2)); elsewhere, and where the system refuses, nothing is changed.
 *
 * @param niceness 0 to 19: 10 leaves a tenth of the weight of a thread that has 0
 */
export function standBack(niceness: number): void {
  try {
    const thread = /\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1];
    if (thread !== undefined) setPriority(Number(thread), niceness);
  } catch {
    // It is a kindness to others, not a condition.
  }
}

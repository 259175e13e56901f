/**
 * What a worker thread of the scan pool runs: `scan-pool.ts` names it by its compiled path. Errors of ours travel as values,
 * because a thrown one would lose its code on the way.
 */
import { isEisError, type ErrorBody } from '../common/errors.js';
import { rescore as rescoreAll, type Rescored, type RescoreTask } from './rescore.js';

export { scan } from './scan.js';
export { prepareStaged as prepare } from './staged-rows.js';

export function rescore(task: RescoreTask): Rescored | ErrorBody {
  try {
    return rescoreAll(task);
  } catch (thrown) {
    if (isEisError(thrown)) return thrown.toBody();
    throw thrown;
  }
}

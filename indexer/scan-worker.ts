/** What a worker thread of the scan pool runs: `scan-pool.ts` names it by its compiled path. */
export { rescore } from './rescore.js';
export { scan } from './scan.js';

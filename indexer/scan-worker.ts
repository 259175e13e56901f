/** What a worker thread of the scan pool runs: `scan-pool.ts` names it by its compiled path. */
export { scan } from './scan.js';

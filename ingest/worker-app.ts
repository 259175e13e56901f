/** The worker's own small HTTP service: health, readiness and metrics. */
import { createService, type App } from '../common/http.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import type { Worker } from './worker.js';

/** It takes no requests with a body. */
const BODY_BYTES_MAX = 1024;

export function createWorkerApp({ worker, metrics, log }: { readonly worker: Pick<Worker, 'awaited'>; readonly metrics: Metrics; readonly log: Log }): App {
  // A worker that waits does what it should: restarting it, or holding back others, would mend nothing.
  const readiness = (): { ready: boolean; detail: string } => ({ ready: true, detail: worker.awaited.length === 0 ? 'consuming' : `waiting for the ${worker.awaited.join(' and the ')}` });
  return createService({ log, metrics, readiness, bodyBytesMax: BODY_BYTES_MAX });
}

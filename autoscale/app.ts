/** The autoscaler as a service: health and metrics, and nothing else. */
import { createService, type App } from '../common/http.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';

const BODY_BYTES_MAX = 1_024;

/** It is ready whatever it can reach: what it cannot is in its metrics, and restarting it mends none. */
export function createAutoscaleApp({ metrics, log }: { readonly metrics: Metrics; readonly log: Log }): App {
  return createService({ log, metrics, readiness: () => ({ ready: true, detail: 'It looks, decides and acts.' }), bodyBytesMax: BODY_BYTES_MAX });
}

/** Bounds what the gateway holds at once: one request more is turned away instead of making all wait. */
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Metrics } from '../common/metrics.js';

/** Turns away requests to the routes of `scope` beyond `inFlightMax` with EIS_OVERLOADED. */
export function limitInFlight(scope: App, { inFlightMax, metrics }: { readonly inFlightMax: number; readonly metrics: Metrics }): void {
  let inFlight = 0;
  const gauge = metrics.gauge('requests_in_flight', 'Requests that are being answered, health and page left out');
  gauge.set(0);
  scope.addHook('onRequest', async (_request, reply) => {
    if (inFlight >= inFlightMax) throw new EisError('EIS_OVERLOADED', { detail: `This gateway is answering ${inFlightMax} requests already.` }, { retryAfterS: 1 });
    gauge.set(++inFlight);
    reply.raw.once('close', () => gauge.set(--inFlight));
  });
}

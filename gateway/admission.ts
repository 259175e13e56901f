/**
 * Bounds what the gateway holds at once: what it cannot answer soon is turned away with a time to try again, instead of
 * making all wait.
 */
import underPressure from '@fastify/under-pressure';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Metrics } from '../common/metrics.js';

export interface AdmissionOptions {
  readonly limits: Pick<Limits, 'inFlightMax' | 'inFlightBytesMax' | 'imageBytesMax' | 'loopDelayMaxMs'>;
  readonly metrics: Metrics;
}

/** How often the delay of the event loop is looked at. */
const SAMPLE_MS = 250;

/**
 * Turns away requests to the routes of `scope` with EIS_OVERLOADED: beyond `inFlightMax`; beyond `inFlightBytesMax` bytes
 * of bodies, counted as their headers announce them; and while the event loop turns later than `loopDelayMaxMs`.
 */
export async function limitAdmission(scope: App, { limits, metrics }: AdmissionOptions): Promise<void> {
  const { inFlightMax, inFlightBytesMax, loopDelayMaxMs } = limits;
  const refusals = metrics.counter('requests_refused_total', 'Requests that were turned away, by what was exceeded: requests, bytes, loop_delay', ['bound']);
  const refuse = (bound: string, detail: string): never => {
    refusals.inc({ bound });
    throw new EisError('EIS_OVERLOADED', { detail }, { retryAfterS: 1 });
  };
  await scope.register(underPressure, {
    maxEventLoopDelay: loopDelayMaxMs,
    sampleInterval: SAMPLE_MS,
    // Infinity: nothing was measured yet.
    pressureHandler: (_request, _reply, _type, delayMs) => (delayMs === Infinity ? undefined : refuse('loop_delay', `This gateway is busy: it answers more than ${loopDelayMaxMs} ms late.`)),
  });
  let requests = 0;
  let bytes = 0;
  metrics.gauge('requests_in_flight', 'Requests that are being answered, health and page left out', [], function collect() {
    this.set(requests);
  });
  metrics.gauge('request_bytes_in_flight', 'Bytes of the bodies of searches that are being answered, as they were announced', [], function collect() {
    this.set(bytes);
  });
  scope.addHook('onRequest', async (request, reply) => {
    if (requests >= inFlightMax) refuse('requests', `This gateway is answering ${inFlightMax} requests already.`);
    const held = heldBytes(request, limits);
    if (bytes > 0 && bytes + held > inFlightBytesMax) refuse('bytes', `This gateway is holding ${bytes} bytes of images already.`);
    requests++;
    bytes += held;
    reply.raw.once('close', () => {
      requests--;
      bytes -= held;
    });
  });
}

/** Bytes of a body that is held until it is answered: only searches do that. One that is not announced may be as long as any. */
function heldBytes({ routeOptions, headers }: FastifyRequest, { imageBytesMax }: Pick<Limits, 'imageBytesMax'>): number {
  if (routeOptions.url !== '/search') return 0;
  const announced = Number(headers['content-length']);
  return Number.isFinite(announced) ? Math.min(announced, imageBytesMax) : headers['transfer-encoding'] === undefined ? 0 : imageBytesMax;
}

/**
 * Bounds what the gateway holds at once: what it cannot answer soon is turned away with a time to try again, instead of
 * making all wait. Requests whose bodies are on their way come at their senders' pace and hold no more than has arrived,
 * so they are counted apart: slow senders shut nobody out.
 */
import type { IncomingMessage } from 'node:http';
import underPressure from '@fastify/under-pressure';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Metrics } from '../common/metrics.js';

export interface AdmissionOptions {
  readonly limits: Pick<Limits, 'inFlightMax' | 'inFlightBytesMax' | 'receivingMax' | 'loopDelayMaxMs'>;
  readonly metrics: Metrics;
}

/** What a request whose body this gateway reads itself says of it. Both throw EisError EIS_OVERLOADED. */
export interface Place {
  /** More of the body has come. */
  receive(bytes: number): void;
  /** The body is whole: from now on the request is being answered. */
  enter(): void;
}

export type PlaceOf = (request: FastifyRequest) => Place;

/** How often the delay of the event loop is looked at. */
const SAMPLE_MS = 250;

/** Throws EisError EIS_OVERLOADED. */
type Refuse = (bound: string, detail: string) => never;

/**
 * Turns away requests to the routes of `scope` with EIS_OVERLOADED: beyond `inFlightMax` that are being answered, beyond
 * `receivingMax` whose bodies are on their way, beyond `inFlightBytesMax` bytes that have arrived for searches, and while
 * the event loop turns later than `loopDelayMaxMs`.
 */
export async function limitAdmission(scope: App, { limits, metrics }: AdmissionOptions): Promise<PlaceOf> {
  const { loopDelayMaxMs } = limits;
  const refusals = metrics.counter('requests_refused_total', 'Requests that were turned away, by what was exceeded: requests, receiving, bytes, loop_delay', ['bound']);
  const refuse: Refuse = (bound, detail) => {
    refusals.inc({ bound });
    throw new EisError('EIS_OVERLOADED', { detail }, { retryAfterS: 1 });
  };
  await scope.register(underPressure, {
    maxEventLoopDelay: loopDelayMaxMs,
    sampleInterval: SAMPLE_MS,
    // Infinity: nothing was measured yet.
    pressureHandler: (_request, _reply, _type, delayMs) => (delayMs === Infinity ? undefined : refuse('loop_delay', `This gateway is busy: it answers more than ${loopDelayMaxMs} ms late.`)),
  });
  const places = new Places(limits, refuse);
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.gauge(name, help, [], function collect() {
      this.set(read());
    });
  };
  gauge('requests_in_flight', 'Requests that are being answered, health and page left out', () => places.answering);
  gauge('requests_receiving', 'Requests whose bodies are on their way', () => places.receiving);
  gauge('request_bytes_in_flight', 'Bytes that have arrived for searches that are not answered yet', () => places.bytes);
  scope.addHook('onRequest', async ({ raw }, reply) => {
    places.take(raw);
    reply.raw.once('close', () => places.leave(raw));
  });
  return ({ raw }) => ({ receive: (bytes) => places.receive(raw, bytes), enter: () => places.enter(raw) });
}

interface Held {
  isReceiving: boolean;
  bytes: number;
}

class Places {
  readonly #held = new Map<IncomingMessage, Held>();
  #receiving = 0;
  #bytes = 0;

  constructor(private readonly limits: Omit<AdmissionOptions['limits'], 'loopDelayMaxMs'>, private readonly refuse: Refuse) {}

  get answering(): number {
    return this.#held.size - this.#receiving;
  }

  get receiving(): number {
    return this.#receiving;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(request: IncomingMessage): void {
    const isReceiving = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
    if (!isReceiving) this.#requireRoom();
    const { receivingMax } = this.limits;
    if (isReceiving && this.#receiving >= receivingMax) this.refuse('receiving', `This gateway is receiving ${receivingMax} requests already.`);
    this.#held.set(request, { isReceiving, bytes: 0 });
    if (isReceiving) this.#receiving++;
  }

  receive(request: IncomingMessage, bytes: number): void {
    const held = this.#held.get(request);
    if (!held) return; // its client is gone
    const others = this.#bytes - held.bytes;
    if (others > 0 && this.#bytes + bytes > this.limits.inFlightBytesMax) this.refuse('bytes', `This gateway is holding ${this.#bytes} bytes of images already.`);
    held.bytes += bytes;
    this.#bytes += bytes;
  }

  enter(request: IncomingMessage): void {
    const held = this.#held.get(request);
    if (!held?.isReceiving) return;
    this.#requireRoom();
    held.isReceiving = false;
    this.#receiving--;
  }

  leave(request: IncomingMessage): void {
    const held = this.#held.get(request);
    if (!held) return;
    this.#held.delete(request);
    this.#bytes -= held.bytes;
    if (held.isReceiving) this.#receiving--;
  }

  #requireRoom(): void {
    const { inFlightMax } = this.limits;
    if (this.answering >= inFlightMax) this.refuse('requests', `This gateway is answering ${inFlightMax} requests already.`);
  }
}

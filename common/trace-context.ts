/**
 * Where in a trace the work at hand stands (W3C Trace Context, https://www.w3.org/TR/trace-context/): passed on with every
 * call, and noted with every line of the log. What a caller sends is passed on though nothing is traced here, so that a
 * trace of others is not torn; until the first one comes, nothing is kept and no promise costs more than without.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface Trace {
  /** `<version>-<trace id>-<span id>-<flags>`, hexadecimal. */
  readonly traceparent: string;
  /** What tracing systems add of their own. */
  readonly tracestate?: string | undefined;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Later versions may append to what version 00 has; `ff`, and ids of zeros, are invalid. */
const TRACEPARENT = /^(?!ff|00.{53}.)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-[\x21-\x7e]{0,200})?$/;
/** The length that the standard wants passed on at least. */
const TRACESTATE_LENGTH_MAX = 512;
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

const storage = new AsyncLocalStorage<Trace>();

/** The trace that a caller sends, by its headers as Node has them; undefined where there is none, or none that is valid. */
export function readTrace({ traceparent, tracestate }: Headers): Trace | undefined {
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined;
  return { traceparent, ...(typeof tracestate === 'string' && tracestate.length <= TRACESTATE_LENGTH_MAX && { tracestate }) };
}

/** Runs work, with all that it awaits, as part of a trace. */
export function runInTrace<T>(trace: Trace, work: () => T): T {
  return storage.run(trace, work);
}

/** Runs what belongs to no request, though one has set it off. */
export function runOutsideTraces<T>(work: () => T): T {
  return storage.exit(work);
}

export function currentTrace(): Trace | undefined {
  return storage.getStore();
}

export function traceIdOf({ traceparent }: Trace): string {
  return traceparent.slice(3, 35);
}

/** The headers that make a call part of the trace at hand; none where there is no trace. */
export function traceHeaders(): Readonly<Record<string, string>> {
  const trace = storage.getStore();
  if (!trace) return NO_HEADERS;
  return { traceparent: trace.traceparent, ...(trace.tracestate !== undefined && { tracestate: trace.tracestate }) };
}

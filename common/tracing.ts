/**
 * Spans of what a process does, for OpenTelemetry. Without OTEL_EXPORTER_OTLP_ENDPOINT its SDK is not even loaded: `withSpan`
 * runs its work and nothing else. Names and attributes follow the semantic conventions where they have any; neither
 * bytes, keys, queries of URLs nor messages of errors go into a span.
 */
import type { Environment } from './environment.js';
import type { Log } from './log.js';
import { currentTrace, readTrace, runInTrace, type Trace } from './trace-context.js';

export interface SpanStart {
  /** One of few: ids are attributes. */
  readonly name: string;
  /**
   * What it is in a call between two processes; default: it is inside one. A consumer's span begins a trace, linked to the one
   * that its message came from, which may have ended long ago.
   */
  readonly kind?: 'client' | 'server' | 'consumer';
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** The URL of who is called, of which host and port become attributes and nothing else. */
  readonly peer?: string;
}

/** A span for the work that it is of. */
export interface Span {
  /** The status of the HTTP answer that was sent or received. */
  answered(statusCode: number): void;
}

export interface OpenSpan extends Span {
  /** The span's own place, from which its children go on. */
  readonly trace: Trace;
  /** To be called once. `failure`: what the work failed with. */
  end(failure?: unknown): void;
}

export interface Tracer {
  /** @param origin what it goes on from; `isRemote`: in another process */
  start(span: SpanStart, origin: { readonly trace: Trace | undefined; readonly isRemote: boolean }): OpenSpan;
  /** Sends what was not sent yet, for a moment. Never rejects. */
  close(): Promise<void>;
}

export interface TracingOptions {
  /** `gateway`, `function`…: services are called `eis-<role>` unless OTEL_SERVICE_NAME says otherwise. */
  readonly role: string;
  readonly environment: Pick<Environment, 'otlpEndpoint' | 'model' | 'shard'>;
  readonly log: Log;
}

const NO_SPAN: Span = { answered: () => undefined };

/** Of this process; undefined: nothing is traced. */
let tracer: Tracer | undefined;

/**
 * Begins to trace this process, where the environment says so: as soon as the SDK is loaded, for which nobody waits. Never
 * throws: a process that cannot trace serves without. To be closed last, so that it sends the spans of what was closed.
 */
export function startTracing(options: TracingOptions): { close(): Promise<void> } {
  const { environment: { otlpEndpoint }, log } = options;
  if (otlpEndpoint === undefined) return { close: async () => undefined };
  const starting = import('./otel-tracer.js').then(
    ({ createTracer }) => (tracer = createTracer(options)),
    (error: unknown) => void log.error({ err: error }, 'nothing is traced: OpenTelemetry cannot be loaded'),
  );
  return {
    async close() {
      const started = await starting;
      tracer = undefined;
      await started?.close();
    },
  };
}

/**
 * Runs work as a span of the trace at hand. What it throws makes the span a failed one, named by its code.
 *
 * @returns what the work does
 */
export function withSpan<T>(start: SpanStart, work: (span: Span) => T): T {
  return tracer ? runSpan(tracer.start(start, { trace: currentTrace(), isRemote: false }), work) : work(NO_SPAN);
}

/** The same for work that another process asked for: it goes on from the trace in the headers that came with it. */
export function continueTrace<T>(headers: Parameters<typeof readTrace>[0], start: SpanStart, work: (span: Span) => T): T {
  const trace = readTrace(headers);
  if (tracer) return runSpan(tracer.start(start, { trace, isRemote: true }), work);
  return trace ? runInTrace(trace, () => work(NO_SPAN)) : work(NO_SPAN);
}

/** For a server that runs its work by hooks: the span, which the caller ends; undefined while nothing is traced. */
export function openServerSpan(headers: Parameters<typeof readTrace>[0], start: () => SpanStart): OpenSpan | undefined {
  return tracer?.start(start(), { trace: readTrace(headers), isRemote: true });
}

function runSpan<T>(span: OpenSpan, work: (span: Span) => T): T {
  try {
    const result = runInTrace(span.trace, () => work(span));
    if (result instanceof Promise) result.then(() => span.end(), (failure: unknown) => span.end(failure));
    else span.end();
    return result;
  } catch (failure) {
    span.end(failure);
    throw failure;
  }
}

/**
 * Makes spans with OpenTelemetry's SDK and sends them over OTLP/HTTP, as JSON. Loaded only where something is traced. Its own
 * variables (OTEL_*: endpoint and headers, sampler, resource attributes, batches, timeouts) the SDK reads by itself. It is
 * registered nowhere: who imports `@opentelemetry/api`, as prom-client does, finds nothing that traces.
 *
 * What cannot be sent is lost, and nothing waits for it: spans wait in a queue of 2,048 (OTEL_BSP_MAX_QUEUE_SIZE), beyond
 * which they are dropped.
 */
import { randomUUID } from 'node:crypto';
import { DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, createTraceState, diag, trace as traceApi, type DiagLogger, type Span as SdkSpan, type SpanContext } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes, type Resource } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { settledWithin } from './deadline.js';
import { isEisError } from './errors.js';
import type { Log } from './log.js';
import { packageVersion } from './package-root.js';
import { runOutsideTraces, traceIdOf, type Trace } from './trace-context.js';
import type { OpenSpan, SpanStart, Tracer, TracingOptions } from './tracing.js';

/** Time that closing leaves to the spans that were not sent yet: a part of what a process has to close. */
const FLUSH_TIMEOUT_MS = 1_000;
/** Between two lines about spans that cannot be sent. */
const COMPLAINT_INTERVAL_MS = 60_000;
const COMPLAINT_LENGTH_MAX = 500;

const KINDS = { client: SpanKind.CLIENT, server: SpanKind.SERVER, consumer: SpanKind.CONSUMER } as const;

export function createTracer(options: TracingOptions): Tracer {
  diag.setLogger(complainRarely(options.log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const provider = new BasicTracerProvider({ resource: describeProcess(options), spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
  const tracer = provider.getTracer('elastic-image-search', packageVersion());
  return {
    start({ name, kind, attributes, peer }, { trace, isRemote }) {
      const origin = trace && toSpanContext(trace, isRemote);
      const isLinked = kind === 'consumer';
      const parent = origin && !isLinked ? traceApi.setSpanContext(ROOT_CONTEXT, origin) : ROOT_CONTEXT;
      const span = tracer.startSpan(name, { kind: kind ? KINDS[kind] : SpanKind.INTERNAL, attributes: { ...attributes, ...(peer !== undefined && describePeer(peer)) }, links: origin && isLinked ? [{ context: origin }] : [] }, parent);
      return openSpan(span, kind);
    },
    async close() {
      await settledWithin(provider.shutdown(), FLUSH_TIMEOUT_MS);
    },
  };
}

/** What every span of this process is of; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win. */
function describeProcess({ role, environment: { model, shard } }: TracingOptions): Resource {
  const own = resourceFromAttributes({
    'service.name': `eis-${role}`,
    'service.version': packageVersion(),
    'service.instance.id': randomUUID(),
    ...(model !== undefined && { 'eis.model': model }),
    ...(shard && { 'eis.shard': `${shard.index}/${shard.of}` }),
  });
  return own.merge(detectResources({ detectors: [envDetector] }));
}

function describePeer(url: string): { readonly 'server.address': string; readonly 'server.port': number } {
  const { hostname, port, protocol } = new URL(url);
  return { 'server.address': hostname, 'server.port': port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

function openSpan(span: SdkSpan, kind: SpanStart['kind']): OpenSpan {
  const fail = (type: string): void => void span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
  return {
    trace: toTrace(span.spanContext()),
    answered(statusCode) {
      span.setAttribute('http.response.status_code', statusCode);
      if (statusCode >= (kind === 'server' ? 500 : 400)) fail(String(statusCode));
    },
    end(failure) {
      if (failure instanceof Error && failure.name === 'AbortError') span.setAttribute('eis.cancelled', true);
      else if (failure !== undefined) fail(isEisError(failure) ? failure.code : failure instanceof Error ? failure.name : 'unknown');
      span.end();
    },
  };
}

function toSpanContext(trace: Trace, isRemote: boolean): SpanContext {
  const { traceparent, tracestate } = trace;
  return { traceId: traceIdOf(trace), spanId: traceparent.slice(36, 52), traceFlags: Number.parseInt(traceparent.slice(53, 55), 16), isRemote, ...(tracestate !== undefined && { traceState: createTraceState(tracestate) }) };
}

function toTrace({ traceId, spanId, traceFlags, traceState }: SpanContext): Trace {
  return { traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`, tracestate: traceState?.serialize() || undefined };
}

/** The SDK's complaints as lines of the log, one a minute at the most: a collector may be away for days. */
function complainRarely(log: Log): DiagLogger {
  let next = 0;
  const complain = (message: string): void => {
    if (performance.now() < next) return;
    next = performance.now() + COMPLAINT_INTERVAL_MS;
    runOutsideTraces(() => log.warn({ detail: message.slice(0, COMPLAINT_LENGTH_MAX) }, 'spans are lost, or OpenTelemetry does not like its settings'));
  };
  const ignore = (): void => undefined;
  return { error: complain, warn: complain, info: ignore, debug: ignore, verbose: ignore };
}

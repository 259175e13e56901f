/** A collector of OpenTelemetry that keeps what it is sent, as OTLP/HTTP in JSON, and fails where it is told to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { gunzipSync } from 'node:zlib';

export interface CollectedSpan {
  readonly name: string;
  /** As OTLP counts them: 1 internal, 2 server, 3 client, 5 consumer. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  /** '' of a root. */
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly isFailed: boolean;
  /** What its process is called. */
  readonly service: string;
  readonly resource: Readonly<Record<string, unknown>>;
}

export type CollectorMood = 'well' | 'silent' | 'failing';

export interface Collector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** Everything that it was sent, as it came. */
  readonly bodies: string[];
  /** The headers of the latest request. */
  headers: IncomingMessage['headers'];
  /** Requests so far, answered or not. */
  requests: number;
  mood: CollectorMood;
  close(): Promise<void>;
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly boolValue?: boolean;
  readonly doubleValue?: number;
}

type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[];

interface OtlpSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: OtlpAttributes;
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status?: { readonly code?: number };
}

interface OtlpTraces {
  readonly resourceSpans: readonly { readonly resource: { readonly attributes: OtlpAttributes }; readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[];
}

const FAILED = 2;

export async function startCollector(mood: CollectorMood = 'well'): Promise<Collector> {
  const server = createServer((request, response) => void receive(request, response, collector).catch(() => response.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    bodies: [],
    headers: {},
    requests: 0,
    mood,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return collector;
}

async function receive(request: IncomingMessage, response: ServerResponse, collector: Collector): Promise<void> {
  collector.requests++;
  collector.headers = request.headers;
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  if (collector.mood === 'silent') return;
  if (collector.mood === 'failing') return void response.writeHead(500).end();
  const bytes = Buffer.concat(chunks);
  const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
  collector.bodies.push(body);
  if (request.url === '/v1/traces') collector.spans.push(...readSpans(JSON.parse(body) as OtlpTraces));
  response.setHeader('content-type', 'application/json').end('{}');
}

function readSpans({ resourceSpans }: OtlpTraces): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const described = readAttributes(resource.attributes);
    return scopeSpans.flatMap(({ spans }) => spans).map(({ parentSpanId = '', links = [], status, attributes, name, kind, traceId, spanId }) => (
      { name, kind, traceId, spanId, parentSpanId, links, attributes: readAttributes(attributes), isFailed: status?.code === FAILED, service: String(described['service.name']), resource: described }));
  });
}

function readAttributes(attributes: OtlpAttributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.boolValue ?? Number(value.intValue ?? value.doubleValue)]));
}

/**
 * What every HTTP service of the system but the function has in common: request ids, errors as `common/errors.ts`
 * words them, health, metrics, and closing without dropping what is under way.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, type RawReplyDefaultExpression, type RawRequestDefaultExpression, type RawServerDefault } from 'fastify';
import { EisError, errorBody, isEisError, toEisError } from './errors.js';
import { HEADERS } from './headers.js';
import { closeIdleConnections } from './idle-connections.js';
import type { Log } from './log.js';
import { answerMalformed } from './malformed.js';
import type { Metrics } from './metrics.js';
import { discardRest, isClientGone, keepOpen, refuseEncoded } from './request-body.js';
import { acceptRequestId } from './request-id.js';
import { traceRequests } from './trace-requests.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** Unready from now on, with `Connection: close` in every answer, so that clients go elsewhere. */
    drain(): void;
  }
}

export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, TypeBoxTypeProvider>;

/** Whether a service can serve; `detail` says to a person why not. */
export interface Readiness {
  readonly ready: boolean;
  readonly detail: string;
}

export interface ServiceOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Bytes of a request body, where a route sets no limit of its own. */
  readonly bodyBytesMax: number;
  /** Time for a whole request to arrive. 0, in a service that bounds its bodies itself: no such time but for the headers. */
  readonly requestTimeoutMs?: number;
  /** CIDR ranges of proxies: what one of them says of a client (X-Forwarded-For, -Proto) is believed. By default none is. */
  readonly trustProxy?: readonly string[];
}

const TYPE_CHARACTERS_MAX = 100;

/** How often Node looks for requests whose headers take too long. */
const HEADERS_CHECK_MS = 1_000;

/** What Fastify says in its own words, in ours. */
const REWORDED: Readonly<Record<string, string>> = {
  FST_ERR_BAD_URL: 'The path of the URL cannot be decoded. Write "%" in it as "%25".',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty where its Content-Type says JSON. Send JSON, or no Content-Type.',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not JSON, which its Content-Type says it is.',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body is not as long as its Content-Length says.',
  FST_ERR_MAX_PARAM_LENGTH: 'A part of the path is too long.',
};

/** A Fastify app with everything in common, and no routes of its own yet. It does not listen. */
export function createService({ log, metrics, readiness, bodyBytesMax, requestTimeoutMs = 60_000, trustProxy = [] }: ServiceOptions): App {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger, // eslint-disable-line @typescript-eslint/no-unnecessary-type-assertion -- it keeps the app's type free of pino
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyBytesMax,
    return503OnClosing: false, // what still comes over a connection that is open is answered
    forceCloseConnections: 'idle',
    requestTimeout: requestTimeoutMs,
    http: { requireHostHeader: false, connectionsCheckingInterval: HEADERS_CHECK_MS }, // `refuseUnread` says in our words that there is no host
    trustProxy: trustProxy.length > 0 && [...trustProxy],
    clientErrorHandler: answerMalformed,
    routerOptions: { maxParamLength: 256 },
    ajv: { customOptions: { allErrors: false, removeAdditional: false, coerceTypes: true } },
    genReqId: (request) => acceptRequestId(request.headers[HEADERS.requestId]),
    frameworkErrors: (thrown, request, reply) => {
      void reply.header(HEADERS.requestId, request.id);
      sendError(normaliseError(thrown, request, bodyBytesMax), request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  let leaving = false;
  let closed: (() => void) | undefined;
  const drain = (): void => {
    leaving = true;
  };
  app.decorate('drain', drain);
  app.addHook('preClose', async () => {
    drain();
    closed = closeIdleConnections(app.server);
  });
  app.addHook('onClose', async () => closed?.());
  traceRequests(app);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header(HEADERS.requestId, request.id);
    refuseUnread(request);
  });
  app.addHook('onSend', async (request, reply) => {
    if (leaving && request.raw.complete) void reply.header('connection', 'close');
    if (!reply.hasHeader('connection')) keepOpen(request.raw, reply.raw);
  });
  app.addHook('onResponse', async (request) => discardRest(request.raw));
  app.setErrorHandler((thrown: FastifyError, request, reply) => sendError(normaliseError(thrown, request, bodyBytesMax), request, reply));
  app.setNotFoundHandler((request, reply) => sendError(new EisError('EIS_ROUTE_UNKNOWN', { method: request.method, path: request.url.split('?')[0] as string }), request, reply));
  observe(app, metrics);
  addHealth(app, metrics, () => (leaving ? { ready: false, detail: 'This service is closing.' } : readiness()));
  return app;
}

/** Answers an error: the person's words to the client, the cause to the log. */
export function sendError(error: EisError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.statusCode >= 500) request.log.error({ err: error.cause ?? error, code: error.code, reqId: request.id }, error.message);
  else request.log.debug({ code: error.code, reqId: request.id }, error.message);
  if (error.retryAfterS !== undefined) void reply.header('retry-after', String(Math.ceil(error.retryAfterS)));
  if (error.code === 'EIS_BODY_TIMEOUT') void reply.header('connection', 'close');
  else void reply.removeHeader('connection'); // Fastify's, for a body that is too large: it would cut the client off before it reads its answer
  return reply.code(error.statusCode).send(error.toBody());
}

/** Refuses what no service takes, by its headers. @throws EisError EIS_BAD_REQUEST, EIS_MEDIA_TYPE */
function refuseUnread({ raw: { httpVersion, headers } }: FastifyRequest): void {
  if (httpVersion === '1.1' && headers.host === undefined) throw new EisError('EIS_BAD_REQUEST', { detail: 'The request has no Host header. Send one: HTTP/1.1 requires it.' });
  refuseEncoded(headers);
}

/** Fastify's own errors, and those of connections, in our codes and words. */
function normaliseError(thrown: FastifyError, request: FastifyRequest, bodyBytesMax: number): EisError {
  if (isEisError(thrown)) return thrown;
  if (isClientGone(request.raw)) return new EisError('EIS_CLIENT_CLOSED', {}, { cause: thrown });
  if (thrown.validation) return new EisError('EIS_BAD_REQUEST', { detail: describeValidation(thrown) }, { cause: thrown });
  switch (thrown.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
    case 'FST_REQ_FILE_TOO_LARGE':
      return new EisError('EIS_BODY_TOO_LARGE', { bytesMax: bodyBytesMax }, { cause: thrown });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new EisError('EIS_MEDIA_TYPE', { received: request.headers['content-type']?.slice(0, TYPE_CHARACTERS_MAX) ?? 'none', accepted: 'a type that the documentation of this route names' }, { cause: thrown });
    default:
      return thrown.statusCode !== undefined && thrown.statusCode >= 400 && thrown.statusCode < 500
        ? new EisError('EIS_BAD_REQUEST', { detail: REWORDED[thrown.code] ?? 'The request cannot be read: its path, its headers or its body is not well-formed.' }, { cause: thrown })
        : toEisError(thrown);
  }
}

function describeValidation(error: FastifyError): string {
  const first = error.validation?.[0];
  const where = error.validationContext === 'querystring' ? 'the query' : (error.validationContext ?? 'the request');
  const name = first?.instancePath.replace(/^\//, '').replaceAll('/', '.') ?? '';
  const allowed = (first?.params as { allowedValues?: string[] } | undefined)?.allowedValues;
  return `${name === '' ? where : `"${name}" in ${where}`} ${first?.message ?? 'is not valid'}${allowed ? `: ${allowed.join(', ')}` : ''}.`.replace(/^./, (letter) => letter.toUpperCase());
}

function observe(app: App, metrics: Metrics): void {
  const seconds = metrics.histogram('http_request_duration_seconds', 'Time from a request to its whole answer', ['method', 'route', 'status']);
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    seconds.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    request.log.debug({ reqId: request.id, method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'answered');
  });
}

function addHealth(app: App, metrics: Metrics, readiness: () => Readiness): void {
  const hidden = { schema: { hide: true } } as object;
  app.get('/healthz', hidden, async () => ({ status: 'alive' }));
  app.get('/readyz', hidden, async (_request, reply) => {
    const { ready, detail } = readiness();
    return ready ? { status: 'ready', detail } : reply.code(503).header('retry-after', '1').send(errorBody(503, 'EIS_NOT_READY', detail));
  });
  app.get('/metrics', hidden, async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
}

/**
 * What every HTTP service of the system but the function has in common: request ids, errors as `common/errors.ts`
 * words them, health, metrics, and closing without dropping what is under way.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { LogController, type FastifyBaseLogger, type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, type RawReplyDefaultExpression, type RawRequestDefaultExpression, type RawServerDefault } from 'fastify';
import { EisError, errorBody, isEisError, toEisError } from './errors.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import { acceptRequestId } from './request-id.js';
import { HEADERS } from './wire.js';

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
}

/** A Fastify app with everything in common, and no routes of its own yet. It does not listen. */
export function createService({ log, metrics, readiness, bodyBytesMax }: ServiceOptions): App {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger, // eslint-disable-line @typescript-eslint/no-unnecessary-type-assertion -- it keeps the app's type free of pino
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyBytesMax,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    requestTimeout: 60_000,
    routerOptions: { maxParamLength: 256 },
    ajv: { customOptions: { allErrors: false, removeAdditional: false, coerceTypes: true } },
    genReqId: (request) => acceptRequestId(request.headers[HEADERS.requestId]),
    frameworkErrors: (thrown, request, reply) => {
      void reply.header(HEADERS.requestId, request.id);
      sendError(normaliseError(thrown, bodyBytesMax), request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onRequest', async (request, reply) => {
    void reply.header(HEADERS.requestId, request.id);
  });
  app.setErrorHandler((thrown: FastifyError, request, reply) => sendError(normaliseError(thrown, bodyBytesMax), request, reply));
  app.setNotFoundHandler((request, reply) => sendError(new EisError('EIS_ROUTE_UNKNOWN', { method: request.method, path: request.url.split('?')[0] as string }), request, reply));
  observe(app, metrics);
  addHealth(app, metrics, () => (closing ? { ready: false, detail: 'This service is closing.' } : readiness()));
  return app;
}

/** Answers an error: the person's words to the client, the cause to the log. */
export function sendError(error: EisError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.statusCode >= 500) request.log.error({ err: error.cause ?? error, code: error.code, reqId: request.id }, error.message);
  else request.log.debug({ code: error.code, reqId: request.id }, error.message);
  if (error.retryAfterS !== undefined) void reply.header('retry-after', String(Math.ceil(error.retryAfterS)));
  return reply.code(error.statusCode).send(error.toBody());
}

/** Fastify's own errors in our codes. */
function normaliseError(thrown: FastifyError, bodyBytesMax: number): EisError {
  if (isEisError(thrown)) return thrown;
  if (thrown.validation) return new EisError('EIS_BAD_REQUEST', { detail: describeValidation(thrown) }, { cause: thrown });
  switch (thrown.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
    case 'FST_REQ_FILE_TOO_LARGE':
      return new EisError('EIS_BODY_TOO_LARGE', { bytesMax: bodyBytesMax }, { cause: thrown });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new EisError('EIS_MEDIA_TYPE', { received: /: (.+)$/.exec(thrown.message)?.[1] ?? 'of this kind', accepted: 'a type that the documentation of this route names' }, { cause: thrown });
    default:
      return thrown.statusCode !== undefined && thrown.statusCode >= 400 && thrown.statusCode < 500
        ? new EisError('EIS_BAD_REQUEST', { detail: thrown.message }, { cause: thrown })
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

/** One span for each request that a service answers, and its trace for all that is done for it. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readTrace, runInTrace, type Trace } from './trace-context.js';
import { openServerSpan, type SpanStart } from './tracing.js';

/** Asked every few seconds by those who watch. */
const UNTRACED: ReadonlySet<string | undefined> = new Set(['/healthz', '/readyz', '/metrics']);

const PATH_LENGTH_MAX = 256;

export function traceRequests(app: Pick<FastifyInstance, 'addHook'>): void {
  const traces = new WeakMap<FastifyRequest, Trace>();
  app.addHook('onRequest', (request, reply, done) => {
    const { headers, routeOptions: { url: route } } = request;
    const span = UNTRACED.has(route) ? undefined : openServerSpan(headers, () => describeRequest(request));
    if (span) {
      reply.raw.once('close', () => {
        span.answered(reply.raw.statusCode);
        span.end();
      });
    }
    const trace = span?.trace ?? readTrace(headers);
    if (!trace) return done();
    traces.set(request, trace);
    runInTrace(trace, done);
  });
  // What comes after the body was read is called by the connection, outside of what the first hook began.
  app.addHook('preHandler', (request, _reply, done) => {
    const trace = traces.get(request);
    if (trace) runInTrace(trace, done);
    else done();
  });
}

function describeRequest({ id, method, url, protocol, routeOptions: { url: route } }: FastifyRequest): SpanStart {
  const path = url.split('?')[0] as string;
  return {
    name: route === undefined ? method : `${method} ${route}`,
    kind: 'server',
    attributes: { 'http.request.method': method, ...(route !== undefined && { 'http.route': route }), 'url.path': path.slice(0, PATH_LENGTH_MAX), 'url.scheme': protocol, 'eis.request_id': id },
  };
}

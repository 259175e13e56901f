/**
 * Judges a request by its head, before its body is read: is there such a route, is the body of a kind and length that
 * the route takes. So a refusal costs nothing.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { EisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';

export const ROUTES = { embed: '/', health: '/health', ready: '/ready', metrics: '/metrics' } as const;
export type Route = keyof typeof ROUTES;

/** What the body of an embedding request is: the bytes of an image, or JSON that says where one is. */
export type BodyKind = 'image' | 'json';

/** A body that may be read. */
export interface BodyBound {
  readonly bytesMax: number;
  readonly tooLarge: () => EisError;
}

export interface Admission {
  readonly route: Route;
  readonly body: BodyBound;
}

/** A URL in JSON, its characters escaped, and room for what else may stand there. */
const JSON_BYTES_MAX = 64 * 1024;
const IMAGE_TYPES = 'image/*, application/octet-stream, or application/json with a "url"';

/**
 * @throws EisError EIS_ROUTE_UNKNOWN, EIS_METHOD_NOT_ALLOWED, EIS_IMAGE_MISSING, EIS_MEDIA_TYPE, EIS_IMAGE_TOO_LARGE,
 *   EIS_BODY_TOO_LARGE
 */
export function admit(request: IncomingMessage, limits: Pick<Limits, 'imageBytesMax'>): Admission {
  const route = findRoute(request);
  const { headers } = request;
  if (route === 'embed' && !hasBody(headers)) throw new EisError('EIS_IMAGE_MISSING', {});
  const body = route === 'embed' && bodyKind(headers) === 'image' ? imageBound(limits.imageBytesMax) : smallBound();
  if (Number(headers['content-length'] ?? 0) > body.bytesMax) throw body.tooLarge();
  return { route, body };
}

function findRoute({ method = 'GET', url = '/' }: IncomingMessage): Route {
  const path = url.split('?')[0] as string;
  const route = (Object.keys(ROUTES) as Route[]).find((name) => ROUTES[name] === path);
  if (!route) throw new EisError('EIS_ROUTE_UNKNOWN', { method, path });
  const allowed = allowedMethods(route);
  if (!allowed.includes(method)) throw new EisError('EIS_METHOD_NOT_ALLOWED', { method, allowed: allowed.join(' or ') });
  return route;
}

function allowedMethods(route: Route): readonly string[] {
  return route === 'embed' ? ['POST'] : ['GET', 'HEAD'];
}

/** The value of the Allow header that belongs to a refused method. */
export function allowHeader(url: string | undefined): string {
  return (url?.split('?')[0] === ROUTES.embed ? allowedMethods('embed') : allowedMethods('health')).join(', ');
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * What a body says it is; one that says nothing is bytes (RFC 9110, 8.3).
 *
 * @throws EisError EIS_MEDIA_TYPE
 */
export function bodyKind(headers: IncomingHttpHeaders): BodyKind {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw new EisError('EIS_MEDIA_TYPE', { received: `with Content-Encoding ${encoding}`, accepted: 'the bytes as they are' });
  const type = (headers['content-type'] ?? 'application/octet-stream').split(';')[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json') return 'json';
  if (type.startsWith('image/') || type === 'application/octet-stream') return 'image';
  throw new EisError('EIS_MEDIA_TYPE', { received: type === '' ? '""' : type, accepted: IMAGE_TYPES });
}

function imageBound(imageBytesMax: number): BodyBound {
  return { bytesMax: imageBytesMax, tooLarge: () => new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax }) };
}

function smallBound(): BodyBound {
  return { bytesMax: JSON_BYTES_MAX, tooLarge: () => new EisError('EIS_BODY_TOO_LARGE', { bytesMax: JSON_BYTES_MAX }) };
}

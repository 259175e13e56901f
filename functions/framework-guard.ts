/**
 * Stands between Node's HTTP server and functions-framework (5.0), which
 *
 * - buffers bodies of up to 1 GB before the function is asked, and parses JSON by itself;
 * - answers what it cannot parse, unknown paths and malformed URLs with HTML, stack trace included;
 * - listens on every interface, with no option for another;
 * - ends the process on an unhandled rejection, and on SIGTERM without finishing what is under way.
 *
 * It makes its server with `http.createServer(app)` after it has loaded the function's module, so that module can wrap
 * that one call: requests are judged and read here, and the framework gets whole ones only (body-parser leaves a request
 * alone whose stream has ended).
 */
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EisError, toEisError } from '../common/errors.js';
import { BACKGROUND, HEADERS } from '../common/headers.js';
import { answerMalformed } from '../common/malformed.js';
import { acceptRequestId } from '../common/request-id.js';
import type { Admission } from './admission.js';
import { sendError, sendErrorEarly } from './answer.js';
import { ClientGone, readBody, type BodyOptions } from './body.js';
import type { Leaving } from './leaving.js';
import type { Lingering } from './lingering.js';
import type { Slots } from './slots.js';

/** A request as the framework hands it to the function: its body is read. */
export type ReadRequest = IncomingMessage & { rawBody?: Buffer | undefined; body?: unknown };

export interface GuardOptions {
  /** Judges a request by its head. Throws what it is refused with. */
  readonly admit: (request: IncomingMessage) => Admission;
  readonly slots: Slots;
  readonly lingering: Lingering;
  readonly leaving: Leaving;
  readonly bodyTimeoutMs: number;
  readonly host: string;
  readonly onRefused: (request: IncomingMessage, error: EisError) => void;
  readonly onListening: (server: Server) => void;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** The framework's handlers of these answer the latest request with a stack trace, or end the process at once. */
const TAKEN_OVER = ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection', 'exit'] as const;

/** Wraps the next call of `http.createServer`, and only that. */
export function guardFramework(options: GuardOptions): void {
  const createServer = http.createServer;
  http.createServer = ((app: Listener) => {
    http.createServer = createServer;
    return guardServer(createServer(), app, options);
  }) as typeof http.createServer;
}

function guardServer(server: Server, app: Listener, options: GuardOptions): Server {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => void receive({ request, response, app }, options));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => void receive({ request, response, app, expectsContinue: true }, options));
  server.on('clientError', answerMalformed);
  const listen = server.listen.bind(server) as (where: object, listening: () => void) => Server;
  server.listen = ((port: string | number, listening: () => void) =>
    listen({ port: Number(port), host: options.host }, () => {
      withoutItsHandlers(listening);
      options.onListening(server);
    })) as typeof server.listen;
  return server;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly app: Listener;
  readonly expectsContinue?: boolean;
}

/** Never rejects. */
async function receive({ request, response, app, expectsContinue = false }: Exchange, options: GuardOptions): Promise<void> {
  const requestId = acceptRequestId(request.headers[HEADERS.requestId]);
  request.headers[HEADERS.requestId] = requestId;
  response.setHeader(HEADERS.requestId, requestId);
  options.leaving.follow(response);
  try {
    const { route, body: bound } = options.admit(request);
    if (route === 'ready' && options.leaving.hasBegun) throw new EisError('EIS_NOT_READY', { detail: 'This instance is closing.' }, { retryAfterS: 1 });
    const slot = route === 'embed' ? takeSlot(request, response, options.slots) : undefined;
    if (expectsContinue) response.writeContinue();
    const onBytes: BodyOptions['onBytes'] = (bytes, total) => {
      if (total > bound.bytesMax) throw bound.tooLarge();
      slot?.grow(bytes);
    };
    const body = await readBody(request, { onBytes, timeoutMs: options.bodyTimeoutMs });
    slot?.enter();
    Object.assign(request, { body, rawBody: body });
    app(request, response);
  } catch (thrown) {
    if (thrown instanceof ClientGone) return;
    const error = toEisError(thrown);
    options.slots.disconnect(request);
    await refuse(request, response, error, options.lingering);
    options.onRefused(request, error);
  }
}

/** The place of one request among those that are held. */
interface Slot {
  /** @throws EisError EIS_OVERLOADED */
  readonly grow: (bytes: number) => void;
  /** @throws EisError EIS_OVERLOADED */
  readonly enter: () => void;
}

/** @throws EisError EIS_OVERLOADED */
function takeSlot(request: IncomingMessage, response: ServerResponse, slots: Slots): Slot {
  const { workingMax, receivingMax, bytesMax } = slots.bounds;
  const demand = (isGranted: boolean, held: string): void => {
    if (!isGranted) throw new EisError('EIS_OVERLOADED', { detail: `This instance ${held} already, as many as it takes at once.` }, { retryAfterS: 1 });
  };
  const isBackground = request.headers[HEADERS.priority] === BACKGROUND;
  demand(slots.receive(request), `receives ${receivingMax} images`);
  response.once('close', () => slots.disconnect(request));
  return {
    grow: (bytes) => demand(slots.grow(request, bytes), `holds images of ${bytesMax} bytes`),
    enter: () => demand(slots.enter(request, { isBackground }), isBackground ? 'works on images that are waited for' : `works on ${workingMax} images`),
  };
}

/** Answers a request that is not handed on. What has arrived with its head may be all of it; else the rest is thrown away. */
async function refuse(request: IncomingMessage, response: ServerResponse, error: EisError, lingering: Lingering): Promise<void> {
  request.on('error', () => undefined).resume();
  await nextTurn();
  if (request.complete) sendError(request, response, error);
  else if (sendErrorEarly(request, response, error)) lingering.hold(request, response);
}

/** Runs the framework's own listening callback without the process handlers that it registers there. */
function withoutItsHandlers(listening: () => void): void {
  const before = new Map(TAKEN_OVER.map((event) => [event, process.rawListeners(event)]));
  listening();
  for (const [event, kept] of before) {
    for (const listener of process.rawListeners(event)) if (!kept.includes(listener)) process.off(event, listener as () => void);
  }
}

/** Answers what is not HTTP at all. There is no request yet, so no framework sees it, and the answer goes to the socket. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { EisError, errorBody, type ErrorBody } from './errors.js';

/** For the event `clientError` of an HTTP server: answers in the shape of every other error, and closes the connection. */
export function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { _httpMessage: begun } = socket as Duplex & { _httpMessage?: ServerResponse | null };
  if (error.code === 'ECONNRESET' || !socket.writable || begun?.headersSent === true) return void socket.destroy();
  const body = describe(error.code);
  const json = JSON.stringify(body);
  const head = [`HTTP/1.1 ${body.statusCode} ${body.error}`, 'Content-Type: application/json; charset=utf-8', `Content-Length: ${Buffer.byteLength(json)}`, 'Connection: close'];
  socket.end(`${head.join('\r\n')}\r\n\r\n${json}`, () => socket.destroy());
}

function describe(code: string | undefined): ErrorBody {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new EisError('EIS_HEADERS_TOO_LARGE', {}).toBody();
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return errorBody(408, 'EIS_BODY_TIMEOUT', 'The request did not arrive in time. Send it again, all at once.');
    default:
      return errorBody(400, 'EIS_BAD_REQUEST', 'The request is not well-formed HTTP. Send it with an HTTP client.');
  }
}

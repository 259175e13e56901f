/** The id that follows a request through every service: taken over from its caller when it is fit for a log, or made. */
import { randomUUID } from 'node:crypto';

const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;

/** @param sent the value of the `X-Request-Id` header as Node has it */
export function acceptRequestId(sent: string | string[] | undefined): string {
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : randomUUID();
}

/** What goes wrong with Cloud Storage: what may pass, and how it is said. */
import { withDeadline } from '../deadline.js';
import { EisError, isEisError } from '../errors.js';

/** Answers that another attempt may not get. */
const TRANSIENT_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const CONNECTION_CODES = new Set(['ECONNRESET', 'ECONNREFUSED', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'EAI_AGAIN', 'ERR_STREAM_PREMATURE_CLOSE', 'REQUEST-TIMEOUT']);

const BEARER = /Bearer\s+\S+/gi;

/** What the client throws has these, one or the other, depending on the way that a request took through it. */
interface ClientFailure {
  readonly message?: string;
  readonly code?: string | number;
  readonly type?: string;
  readonly status?: number;
  readonly response?: { readonly status?: number; readonly statusCode?: number };
  readonly errors?: readonly { readonly reason?: string }[];
}

/** An attempt that brought nothing, or something else than what lies there: another one may do better. */
export class AttemptFailure extends Error {
  readonly code = 'ECONNABORTED';
}

/** What lies there is not what was stored, as its checksum or its packing tells. Perhaps it was damaged on the way. */
export class DamagedObject extends AttemptFailure {}

/** The time for an operation is up. */
export class OutOfTime extends Error {}

/** The HTTP status that a failure is about; undefined: there was no answer. */
export function statusOf(thrown: unknown): number | undefined {
  const { code, status, response } = (thrown ?? {}) as ClientFailure;
  const found = [code, response?.status, response?.statusCode, status].map(Number).find((number) => number >= 100 && number < 600);
  return found;
}

/** Whether another attempt may succeed. */
export function isTransient(thrown: unknown): boolean {
  const status = statusOf(thrown);
  if (status !== undefined) return TRANSIENT_STATUS.has(status);
  const { code, type, errors = [], message = '' } = (thrown ?? {}) as ClientFailure;
  const reasons = [code, type, ...errors.map(({ reason }) => reason)];
  return reasons.some((reason) => CONNECTION_CODES.has(String(reason).toUpperCase())) || /network timeout|socket hang up/i.test(message);
}

/** Whether there is no such object; a bucket that is missing is another matter. */
export function isObjectMissing(thrown: unknown): boolean {
  return statusOf(thrown) === 404 && !/bucket does not exist/i.test((thrown as Error).message);
}

export interface FailureContext {
  readonly bucket: string;
  /** What the operation takes: `storage.objects.create`. */
  readonly permission: string;
}

/** What was thrown, as the bucket's error. Errors of our own pass, so do those of the stream that was to be stored. */
export function toBucketError(thrown: unknown, context: FailureContext): EisError {
  if (isEisError(thrown)) return thrown;
  if (thrown instanceof DamagedObject) return new EisError('EIS_OBJECT_DAMAGED', { detail: `${thrown.message}.` }, { cause: thrown });
  return new EisError('EIS_BUCKET_UNAVAILABLE', { detail: describeFailure(thrown, context) }, { cause: withoutSecrets(thrown), retryAfterS: 1 });
}

/** What is wrong and what would be right, as a sentence. */
export function describeFailure(thrown: unknown, { bucket, permission }: FailureContext): string {
  const status = statusOf(thrown);
  const { message = '', code } = (thrown ?? {}) as ClientFailure;
  const login = 'Run "gcloud auth application-default login", or name the key file of a service account in GOOGLE_APPLICATION_CREDENTIALS.';
  if (/invalid_grant|invalid_rapt/.test(message)) return `the credentials of this machine for Google Cloud have expired. ${login}`;
  if (status === 401 || /default credentials/i.test(message)) return `the bucket gs://${bucket} asks for credentials, and none that hold were found. ${login}`;
  if (status === 403) return `the account that this runs as lacks the permission ${permission} in gs://${bucket}. Grant it a role that holds it: Storage Object User (roles/storage.objectUser).`;
  if (status === 404) return `there is no bucket gs://${bucket}.`;
  if (status !== undefined) return `Cloud Storage answered ${status}${isTransient(thrown) ? ', also when it was asked again' : ''}.`;
  if (thrown instanceof OutOfTime) return thrown.message;
  return `Cloud Storage cannot be reached${typeof code === 'string' ? ` (${code})` : ''}.`;
}

/** The client's errors carry the request with its bearer token; the log gets none of that. */
export function withoutSecrets(thrown: unknown): Error {
  const { message = String(thrown), code } = (thrown ?? {}) as ClientFailure;
  const clean = new Error(message.replace(BEARER, 'Bearer …').slice(0, 500));
  return Object.assign(clean, { ...(code === undefined ? {} : { code }), ...(thrown instanceof Error ? { stack: thrown.stack?.replace(BEARER, 'Bearer …') } : {}) });
}

/** The result of an operation, or `OutOfTime`: nothing of the client's is relied on to end. */
export function withinTime<T>(timeoutMs: number, operation: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withDeadline({ timeoutMs, timeoutError: () => new OutOfTime(`Cloud Storage did not finish within ${timeoutMs} ms.`) }, operation);
}

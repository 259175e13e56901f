/**
 * What a failure of MongoDB or of its driver means to a caller. Messages are our own: the driver's name hosts, and
 * some of them users.
 */
import { MongoAPIError, MongoBulkWriteError, MongoError, MongoServerError } from 'mongodb';
import { EisError, isEisError, toEisError } from '../errors.js';

/**
 * - `passing`: the world's: no primary at the moment, the network, a timeout, a full disk. The same may succeed later.
 * - `forbidden`: for the operator to mend, and no fault of what is written; until then it is like `passing`.
 * - `refused`: what was asked is at fault, and will be the next time.
 */
export type MongoFailure = 'passing' | 'forbidden' | 'refused';

/** Codes of the server (its `error_codes.yml`) that say nothing against what was asked. */
const PASSING: ReadonlySet<number> = new Set([
  // The network and the members: HostUnreachable, HostNotFound, FailedToSatisfyReadPreference, ShardNotFound, ReplicaSetNotFound, NodeNotFound…
  6, 7, 70, 71, 74, 89, 94, 133, 202, 317, 384, 9001,
  // Elections and shutdown: PrimarySteppedDown, NotWritablePrimary, InterruptedAtShutdown…
  91, 189, 10058, 10107, 11600, 11601, 11602, 13435, 13436,
  // Too few members took it in time, or can be asked for a majority's state
  64, 79, 100, 134, 246,
  // Time and locks: LockTimeout, LockBusy, MaxTimeMSExpired, WriteConflict, ExceededTimeLimit…
  24, 46, 50, 112, 117, 262, 365, 462,
  // Chunks that moved: StaleShardVersion, StaleEpoch, StaleConfig…
  63, 150, 234, 13388,
  // Cursors and plans that were killed
  43, 136, 175, 237,
  // Keys of the cluster's time, credentials that ran out
  211, 391,
  // No disk, no memory
  146, 14031,
  // Another upsert of the same id was faster
  11000,
]);

/** Unauthorized, AuthenticationFailed, AtlasError (what MongoDB's own service calls a wrong password, or a quota that is used up). */
const FORBIDDEN: ReadonlySet<number> = new Set([13, 18, 8000]);

const PASSING_LABELS = ['RetryableWriteError', 'RetryableError', 'SystemOverloadedError', 'TransientTransactionError'];

/** Of the driver's errors that are of the API, those of a client or session that was lost or closed meanwhile. */
const PASSING_API_ERRORS: ReadonlySet<string> = new Set(['MongoNotConnectedError', 'MongoTopologyClosedError', 'MongoClientClosedError', 'MongoServerClosedError', 'MongoExpiredSessionError']);
const REFUSING_DRIVER_ERRORS: ReadonlySet<string> = new Set(['MongoParseError', 'MongoMissingDependencyError', 'MongoMissingCredentialsError', 'MongoCompatibilityError']);

/** The error of a bulk write may only be a wrapping of what went wrong. */
function unwrap(error: unknown): unknown {
  return error instanceof MongoBulkWriteError && error.errorResponse instanceof Error ? error.errorResponse : error;
}

/** What kind of failure an error of the driver is; undefined when it is none of the driver's. */
export function mongoFailure(thrown: unknown): MongoFailure | undefined {
  const error = unwrap(thrown);
  if (error instanceof Error && error.name === 'BSONError') return 'refused';
  if (!(error instanceof MongoError)) return undefined;
  if (PASSING_LABELS.some((label) => error.hasErrorLabel(label))) return 'passing';
  if (error instanceof MongoServerError) {
    const code = Number(error.code);
    return FORBIDDEN.has(code) ? 'forbidden' : PASSING.has(code) ? 'passing' : 'refused';
  }
  if (error instanceof MongoAPIError) return PASSING_API_ERRORS.has(error.name) ? 'passing' : 'refused';
  return REFUSING_DRIVER_ERRORS.has(error.name) ? 'refused' : 'passing';
}

/** The code of an error that the server answered; undefined of any other error. */
export function serverCode(thrown: unknown): number | undefined {
  const error = unwrap(thrown);
  return error instanceof MongoServerError && error.code !== undefined ? Number(error.code) : undefined;
}

/** An error of the driver as one that a caller can act on, its cause kept; any other is not the store's. */
export function toStoreError(cause: unknown): EisError {
  if (isEisError(cause)) return cause;
  const failure = mongoFailure(cause);
  if (failure === undefined) return toEisError(cause);
  if (failure === 'refused') return new EisError('EIS_STORE_REFUSED', { detail: `${describe(cause)}.` }, { cause });
  const detail = failure === 'forbidden' ? 'the user of MONGODB_URI may not do this. Grant it readWrite on the database, or correct user and password.' : `${describe(cause)}.`;
  return new EisError('EIS_STORE_UNAVAILABLE', { detail }, { cause, retryAfterS: 1 });
}

/** Whether the same may succeed in a moment without anybody doing anything; of an error that `toStoreError` made. */
export function isPassing(error: unknown): error is EisError {
  return isEisError(error) && error.code === 'EIS_STORE_UNAVAILABLE' && mongoFailure(error.cause) !== 'forbidden';
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  MongoServerSelectionError: 'no server that takes this can be reached',
  MongoNetworkError: 'the connection was lost',
  MongoNetworkTimeoutError: 'the server did not answer in time',
  MongoWaitQueueTimeoutError: 'every connection is in use',
  MongoPoolClearedError: 'the connection was lost',
};

const CODE_DESCRIPTIONS: Readonly<Record<number, string>> = {
  64: 'too few members of the replica set took the write in time',
  189: 'the primary stepped down',
  10107: 'the primary changed',
  10334: 'the document is larger than the server takes',
  14031: 'its disk is full',
};

/** In words that name no host: by what the server calls its code, or by the kind of the driver's error. */
function describe(thrown: unknown): string {
  const error = unwrap(thrown) as Error & { readonly codeName?: unknown };
  const code = serverCode(error);
  if (code === undefined) return DESCRIPTIONS[error.name] ?? `the driver reports a ${error.name}`;
  const name = typeof error.codeName === 'string' && /^\w+$/.test(error.codeName) ? `${error.codeName}, ` : '';
  return `${CODE_DESCRIPTIONS[code] ?? 'the server refused it'} (${name}code ${code})`;
}

/** What MONGODB_URI says, and what it leaves to us. */
import { MongoClient, type MongoClientOptions } from 'mongodb';
import { EisError } from '../errors.js';

const DEFAULT_DATABASE = 'eis';
const APP_NAME = 'elastic-image-search';
const POOL_SIZE_MAX = 20;

/** The database that a URI names, else `eis`. */
export function databaseOf(uri: string): string {
  const [, name] = /^[^:]+:\/\/[^/?]+\/([^?]+)/.exec(uri) ?? [];
  return name === undefined ? DEFAULT_DATABASE : decodeURIComponent(name);
}

/** Where a URI points to, without user, password and options: for messages. */
export function hostsOf(uri: string): string {
  return /^[^:]+:\/\/(?:[^@/?]*@)?([^@/?]+)/.exec(uri)?.[1] ?? 'the servers of MONGODB_URI';
}

/**
 * A client of a URI, not yet connected. What the URI sets wins over what is set here.
 *
 * A server is looked for during half of an operation's time, so that the reason is known before the time is up. A socket
 * is given up after twice that time: only where nothing answers any more, because a majority may use all of it.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID when the driver cannot read the URI; without the URI, which may hold a password
 */
export function createClient(uri: string, timeoutMs: number): MongoClient {
  const options: MongoClientOptions = {
    appName: APP_NAME,
    maxPoolSize: POOL_SIZE_MAX,
    serverSelectionTimeoutMS: Math.ceil(timeoutMs / 2),
    connectTimeoutMS: timeoutMs,
    socketTimeoutMS: timeoutMs * 2,
    waitQueueTimeoutMS: timeoutMs,
  };
  const given = new Set([...new URLSearchParams(uri.split('?')[1] ?? '').keys()].map((name) => name.toLowerCase()));
  try {
    return new MongoClient(uri, Object.fromEntries(Object.entries(options).filter(([name]) => !given.has(name.toLowerCase()))));
  } catch (cause) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MONGODB_URI', detail: `the driver cannot use it: ${describe(cause)}.` }, { cause });
  }
}

/** Only messages about options are passed on: others quote what stands where a user or a password may stand. */
function describe(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : '';
  const [options] = /^options? [\w, ]+ (?:is|are) not supported/i.exec(message) ?? [];
  return options ?? 'check its hosts, its options and their values';
}

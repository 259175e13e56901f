/** API keys as EIS_API_KEYS lists them: who may do what at a gateway. Of a key only its digest is held. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** `admin` may do everything; `write` may not search. */
export const SCOPES = ['search', 'write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiKey {
  /** sha256 of the key. */
  readonly digest: Buffer;
  readonly scopes: ReadonlySet<Scope>;
}

export interface ApiKeys {
  readonly keys: readonly ApiKey[];
  /** What may be done without a key. */
  readonly everybody: ReadonlySet<Scope>;
}

const EVERYBODY = '*';
const FORM = 'Write scopes:key, the scopes of search, write, admin joined by "+", such as search+write:KEY, or search:* to let everybody search.';

/** What a Bearer token may be made of (RFC 6750), long enough that it cannot be guessed. */
const KEY = /^[\w.~+/-]{16,256}={0,2}$/;

/** Whether a text can be an API key: 16 to 256 letters, digits and -._~+/ */
export function isKey(text: string): boolean {
  return KEY.test(text);
}

/**
 * Reads entries of the form `scopes:key`.
 *
 * @param invalid is told what is wrong with an entry, never the key
 */
export function parseApiKeys(entries: readonly string[], invalid: (detail: string) => never): ApiKeys {
  const keys: ApiKey[] = [];
  let everybody: ReadonlySet<Scope> = new Set();
  for (const [i, entry] of entries.entries()) {
    const place = `entry ${i + 1} of ${entries.length}`;
    const colon = entry.indexOf(':');
    if (colon === -1) invalid(`${place} has no ":" between scopes and key. ${FORM}`);
    const scopes = parseScopes(entry.slice(0, colon)) ?? invalid(`${place} does not begin with scopes. ${FORM}`);
    const key = entry.slice(colon + 1);
    if (key === EVERYBODY) {
      if (scopes.size > 1 || !scopes.has('search')) invalid(`${place} would let everybody do more than search. ${FORM}`);
      everybody = scopes;
      continue;
    }
    if (!isKey(key)) invalid(`the key of ${place} is not 16 to 256 letters, digits, "-", ".", "_", "~", "+" or "/". "openssl rand -hex 32" makes one.`);
    if (findKey(key, keys)) invalid(`${place} has the key of another entry. Give a key once, its scopes joined by "+".`);
    keys.push({ digest: digestOf(key), scopes });
  }
  return { keys, everybody };
}

function parseScopes(text: string): ReadonlySet<Scope> | undefined {
  const names = text.split('+') as Scope[];
  if (!names.every((name) => SCOPES.includes(name))) return undefined;
  return new Set(names.includes('admin') ? SCOPES : names);
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** The entry of a key; how long that takes says neither whether there is one nor which. */
export function findKey(key: string, keys: readonly ApiKey[]): ApiKey | undefined {
  const digest = digestOf(key);
  let found: ApiKey | undefined;
  for (const candidate of keys) {
    const isEqual = timingSafeEqual(candidate.digest, digest);
    found = isEqual ? candidate : found;
  }
  return found;
}

/** What a key is called where it may be read by others: the first bytes of its digest. */
export function keyName({ digest }: ApiKey): string {
  return digest.toString('hex', 0, 6);
}

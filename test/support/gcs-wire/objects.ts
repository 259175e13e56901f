/** The objects of the wire server, each whole or not there, with the generations and checksums that Cloud Storage keeps. */
import { createHash } from 'node:crypto';
import { CRC32C } from '@google-cloud/storage';

export interface StoredObject {
  readonly name: string;
  readonly bytes: Buffer;
  readonly generation: number;
  readonly contentType: string;
  readonly contentEncoding: string | undefined;
}

export interface NewObject {
  readonly name: string;
  readonly bytes: Buffer;
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly md5Hash?: string | undefined;
}

/** A status other than 200, with the text that Google's API has for it. */
export class WireError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export class Objects {
  readonly byName = new Map<string, StoredObject>();
  #generation = 1_700_000_000_000_000;

  /** @throws WireError 412 against the precondition, 400 against the checksum */
  insert({ name, bytes, contentType = 'application/octet-stream', contentEncoding, md5Hash }: NewObject, ifGenerationMatch: string | null): StoredObject {
    this.check(name, ifGenerationMatch);
    if (md5Hash !== undefined && md5Hash !== md5(bytes)) throw new WireError(400, `Provided MD5 hash "${md5Hash}" doesn't match calculated MD5 hash "${md5(bytes)}".`);
    const object = { name, bytes, generation: ++this.#generation, contentType, contentEncoding };
    this.byName.set(name, object);
    return object;
  }

  /** @throws WireError 412 */
  check(name: string, ifGenerationMatch: string | null): void {
    const generation = this.byName.get(name)?.generation ?? 0;
    if (ifGenerationMatch !== null && Number(ifGenerationMatch) !== generation) throw new WireError(412, 'At least one of the pre-conditions you specified did not hold.');
  }

  /** @throws WireError 404 */
  require(name: string): StoredObject {
    const object = this.byName.get(name);
    if (!object) throw new WireError(404, `No such object: ${name}`);
    return object;
  }

  /** @returns a page of the listing, in the order of names, as the API answers it */
  list(query: URLSearchParams): { kind: string; items: object[]; nextPageToken?: string } {
    const [prefix, start, token, max] = [query.get('prefix') ?? '', query.get('startOffset') ?? '', query.get('pageToken'), Math.min(Number(query.get('maxResults') ?? 1000), 1000)];
    const names = [...this.byName.keys()].sort().filter((name) => name.startsWith(prefix) && name >= start && (token === null || name > Buffer.from(token, 'base64url').toString()));
    const page = names.slice(0, max);
    const last = page.at(-1);
    return { kind: 'storage#objects', items: page.map((name) => toResource(this.require(name))), ...(names.length > max && last !== undefined ? { nextPageToken: Buffer.from(last).toString('base64url') } : {}) };
  }
}

/** An object's metadata as the API answers them. */
export function toResource({ name, bytes, generation, contentType, contentEncoding }: StoredObject): object {
  return { kind: 'storage#object', name, bucket: 'bucket', generation: String(generation), metageneration: '1', size: String(bytes.length), contentType, ...(contentEncoding === undefined ? {} : { contentEncoding }), md5Hash: md5(bytes), crc32c: crc32c(bytes) };
}

export function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('base64');
}

export function crc32c(bytes: Buffer): string {
  const sum = new CRC32C();
  sum.update(bytes);
  return sum.toString();
}

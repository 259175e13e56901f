/** Uploads to the wire server: in one request (multipart), or in a session of several that goes on where it was cut. */
import { randomUUID } from 'node:crypto';
import { WireError, type Objects, type StoredObject } from './objects.js';

/** What a session keeps of a chunk that is cut is a multiple of this. */
const UNIT_BYTES = 256 * 1024;

interface Metadata {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly md5Hash?: string;
}

/** The two parts of a multipart/related body. */
export function readMultipart(type: string, body: Buffer): { readonly metadata: Metadata; readonly bytes: Buffer } {
  const boundary = `--${/boundary="?([^";]+)/.exec(type)?.[1] ?? ''}`;
  const first = body.indexOf(boundary);
  const second = body.indexOf(boundary, first + boundary.length);
  const end = body.lastIndexOf(`\r\n${boundary}--`);
  if (first < 0 || second < 0 || end < second) throw new WireError(400, 'Malformed multipart body.');
  const content = (from: number): number => body.indexOf('\r\n\r\n', from) + 4;
  return { metadata: JSON.parse(body.subarray(content(first), second).toString()) as Metadata, bytes: body.subarray(content(second), end) };
}

interface SessionTarget {
  readonly name: string;
  readonly md5Hash: string | undefined;
  readonly ifGenerationMatch: string | null;
}

export class Session {
  readonly #target: SessionTarget;
  readonly #objects: Objects;
  #bytes = Buffer.alloc(0);
  #coming: Buffer[] = [];
  #finished: StoredObject | undefined;

  constructor(target: SessionTarget, objects: Objects) {
    this.#target = target;
    this.#objects = objects;
  }

  /** Bytes that are kept whatever happens. */
  get size(): number {
    return this.#bytes.length;
  }

  /** @param range `bytes <first>-<last>/<total>`, or `bytes *\/<total>` to ask how far it is */
  begin(range: string): void {
    const [, from] = /^bytes (\d+)-/.exec(range) ?? [];
    if (from !== undefined && Number(from) !== this.size) throw new WireError(400, `Expected bytes from ${this.size}.`);
    this.#coming = [];
  }

  receive(bytes: Buffer): void {
    this.#coming.push(bytes);
  }

  /** Of a chunk that was cut, whole units stay. */
  cut(): void {
    const coming = Buffer.concat(this.#coming);
    this.#bytes = Buffer.concat([this.#bytes, coming.subarray(0, coming.length - (coming.length % UNIT_BYTES))]);
  }

  forget(): void {
    this.#bytes = Buffer.alloc(0);
  }

  /** @returns the object once it is whole; until then there is none */
  finish(range: string): StoredObject | undefined {
    if (this.#finished) return this.#finished;
    this.#bytes = Buffer.concat([this.#bytes, ...this.#coming]);
    this.#coming = [];
    const [, total] = /\/(\d+)$/.exec(range) ?? [];
    if (total === undefined || Number(total) !== this.size) return undefined;
    const { name, md5Hash, ifGenerationMatch } = this.#target;
    this.#finished = this.#objects.insert({ name, bytes: this.#bytes, md5Hash }, ifGenerationMatch);
    return this.#finished;
  }
}

export class Sessions {
  readonly #objects: Objects;
  readonly #open = new Map<string, Session>();

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** @throws WireError 412: the precondition is looked at when a session begins, and when it ends */
  open(target: SessionTarget): string {
    this.#objects.check(target.name, target.ifGenerationMatch);
    const id = randomUUID();
    this.#open.set(id, new Session(target, this.#objects));
    return id;
  }

  require(id: string): Session {
    const session = this.#open.get(id);
    if (!session) throw new WireError(404, 'No such upload.');
    return session;
  }
}

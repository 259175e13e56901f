/** A model's main file, looked at as little as it takes to know what it is. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { tryParseJson } from '../../common/read-bounded.js';
import { containerOf, readHead } from './file-signature.js';
import type { ModelFile } from './model.js';

/**
 * Opens the main file of a model. Its JSON is read when it is first asked for.
 *
 * @throws what the disk throws
 */
export async function openModelFile(path: string): Promise<ModelFile> {
  const head = await readHead(path);
  let read: { readonly json: unknown } | undefined;
  return {
    path,
    head,
    get json() {
      read ??= { json: containerOf(head) === undefined && looksLikeJson(head) ? tryParseJson(readFileSync(path, 'utf8').replace(/^\uFEFF/, '')) : undefined };
      return read.json;
    },
  };
}

/** A model.json is an object; what begins otherwise is not read, whatever its size. */
export function looksLikeJson(head: Buffer): boolean {
  return /^\uFEFF?\s*(\{|$)/.test(head.toString('utf8'));
}

/** The sha256 of a file of any size, in hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

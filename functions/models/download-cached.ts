/** Tells whether a model that lies in its place is still whole, by the sizes of its files: without reading its weights. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isEisError } from '../../common/errors.js';
import { tryParseJson } from '../../common/read-bounded.js';
import { fileBytes } from './download-progress.js';
import { groupBytes, parseManifest } from './weights.js';

/** `damaged`: it was fetched, and something cut or removed a file of it since. */
export type CachedState = 'whole' | 'damaged' | 'absent';

/**
 * What lies at the path of a downloaded model's main file. A disk that does not let it be read makes it `whole`:
 * whoever loads it says what is wrong, and fetching it again would not help.
 *
 * @param sha256 of the main file, where it is known
 */
export async function inspectCached(main: string, sha256: string | undefined): Promise<CachedState> {
  let bytes: Buffer;
  try {
    bytes = await readFile(main);
  } catch (error) {
    return stateOfUnreadable((error as NodeJS.ErrnoException).code, await fileBytes(dirname(main)));
  }
  if (sha256 !== undefined && createHash('sha256').update(bytes).digest('hex') !== sha256) return 'damaged';
  return (await hasItsWeights(bytes, main)) ? 'whole' : 'damaged';
}

function stateOfUnreadable(code: string | undefined, folder: number | undefined): CachedState {
  if (code === 'EISDIR') return 'damaged';
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return 'whole';
  return folder === undefined ? 'absent' : 'damaged';
}

/** Whether the files of each group have together the bytes that the manifest announces. */
async function hasItsWeights(main: Buffer, path: string): Promise<boolean> {
  try {
    const groups = parseManifest((tryParseJson(main) as { weightsManifest?: unknown } | null | undefined)?.weightsManifest, path);
    for (const group of groups) {
      const sizes = await Promise.all(group.paths.map((part) => fileBytes(join(dirname(path), part))));
      if (sizes.includes(undefined) || sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) !== groupBytes(group)) return false;
    }
    return groups.length > 0;
  } catch (error) {
    if (isEisError(error)) return false;
    throw error;
  }
}

/** Tells whether a model that lies in its place is still whole, by the sizes of its files: without reading its weights. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isEisError } from '../../common/errors.js';
import { tryParseJson } from '../../common/read-bounded.js';
import { fileBytes } from './download-progress.js';
import { MAIN, SINGLE_MAIN } from './download-plan.js';
import { containerOf, endsAsItShould, readHead } from './file-signature.js';
import { sha256Of } from './model-file.js';
import { groupBytes, parseManifest } from './weights.js';

/** `damaged`: it was fetched, and something cut or removed a file of it since. */
export type CachedState = 'whole' | 'damaged' | 'absent';

export interface CachedModel {
  readonly state: CachedState;
  /** Its main file; where there is none, where a model.json would be. */
  readonly main: string;
}

/**
 * What lies in the folder of a downloaded model. A disk that does not let it be read makes it `whole`: whoever loads it
 * says what is wrong, and fetching it again would not help.
 *
 * @param sha256 of the main file, where it is known
 */
export async function inspectCached(folder: string, sha256: string | undefined): Promise<CachedModel> {
  const main = await findMain(folder);
  try {
    const container = containerOf(await readHead(main));
    if (sha256 !== undefined && (await sha256Of(main)) !== sha256) return { state: 'damaged', main };
    const isWhole = container === undefined ? await hasItsWeights(await readFile(main), main) : await endsAsItShould(main, container);
    return { state: isWhole ? 'whole' : 'damaged', main };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { state: stateOfUnreadable(code, await fileBytes(folder)), main };
  }
}

async function findMain(folder: string): Promise<string> {
  for (const name of [MAIN, ...Object.values(SINGLE_MAIN)]) if ((await fileBytes(join(folder, name))) !== undefined) return join(folder, name);
  return join(folder, MAIN);
}

function stateOfUnreadable(code: string, folder: number | undefined): CachedState {
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

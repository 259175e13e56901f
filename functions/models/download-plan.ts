/** Which files a model consists of, as its model.json says, and whether they can be put side by side into a folder. */
import { tryParseJson } from '../../common/read-bounded.js';
import type { Container } from './file-signature.js';
import { failModel } from './model.js';
import { parseManifest, type WeightGroup } from './weights.js';

export const MAIN = 'model.json';
/** What the main file is called where it is a whole model. */
export const SINGLE_MAIN: Readonly<Record<Container, string>> = { hdf5: 'model.h5', zip: 'model.keras' };
/** Of a name in a folder: ext4, APFS and NTFS allow no longer ones. */
const NAME_BYTES_MAX = 255;

/**
 * The weights that a model.json names.
 *
 * @param name of the model in errors
 * @throws EisError EIS_MODEL_FILE when it is none, names no weights, or names files that no folder can hold
 */
export function planWeights(main: Buffer, name: string): WeightGroup[] {
  const json = tryParseJson(main) as { weightsManifest?: unknown } | null | undefined;
  if (json === undefined) failModel(name, 'what its host sent is not JSON, and no file of Keras. Does the URL name a TF.js model.json, its folder, or a .keras or .h5 file?');
  const groups = parseManifest(json?.weightsManifest, name);
  const paths = new Set(groups.flatMap((group) => group.paths));
  if (paths.size === 0) failModel(name, 'it names no weights: its list "weightsManifest" is empty. Convert the model again, with its weights.');
  for (const path of paths) checkPlace(path, new Set([MAIN, ...paths]), name);
  return groups;
}

function checkPlace(path: string, files: ReadonlySet<string>, name: string): void {
  const parts = path.split('/');
  const long = parts.find((part) => Buffer.byteLength(part) > NAME_BYTES_MAX);
  if (long !== undefined) failModel(name, `its weights lie in a file or folder whose name has ${Buffer.byteLength(long)} bytes (${JSON.stringify(`${long.slice(0, 40)}…`)}); at most ${NAME_BYTES_MAX} can be stored.`);
  const folder = parts.slice(0, -1).map((_, i) => parts.slice(0, i + 1).join('/')).find((prefix) => files.has(prefix));
  if (folder !== undefined) failModel(name, `its weights lie in ${JSON.stringify(path)}, and ${JSON.stringify(folder)} is a file of it too: it cannot be a file and a folder.`);
}

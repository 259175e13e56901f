/** Finds the images of an evaluation: which files, what they are by content, and their labels. */
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { EisError, isEisError } from '../common/errors.js';
import { sha256 } from '../common/sha256.js';
import { drawImages, mergeImages, parseGroups, type EvaluatedImage } from '../evaluation/collection.js';
import type { Material, Mode, Unreadable } from '../evaluation/evaluation.js';
import { findSources, unreadable as describeUnreadable } from '../ingest/upload-walk.js';

export interface ImageSource {
  readonly mode: Mode;
  /** Absolute path of a folder, or of a groups file. */
  readonly path: string;
  readonly imageBytesMax: number;
  /** Undefined: every image. */
  readonly limit: number | undefined;
  readonly seed: number;
  readonly signal: AbortSignal;
}

export type FoundImages = Omit<Material, 'queries'>;

interface ImageFile {
  readonly path: string;
  readonly name: string;
  readonly label?: string;
}

/** @throws EisError EIS_EVALUATION when there is none, EIS_SOURCE_UNREADABLE when the folder or file cannot be read */
export async function findImages({ mode, path, imageBytesMax, limit, seed, signal }: ImageSource): Promise<FoundImages> {
  const listed = mode === 'groups' ? await readGroups(path) : await walkFolder(path);
  const isLabelled = mode !== 'altered';
  const files = listed.files.map((file) => (mode === 'labelled' ? { ...file, ...labelOf(file.name) } : file)).filter(({ label }) => !isLabelled || label !== undefined);
  const read: EvaluatedImage[] = [];
  const unreadable: Unreadable[] = [...listed.unreadable];
  for (const { path: file, name, label } of files) {
    signal.throwIfAborted();
    try {
      const bytes = await readFile(file).catch((cause: unknown) => Promise.reject(describeUnreadable(file, cause)));
      if (bytes.length > imageBytesMax) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
      read.push({ id: await sha256(bytes), path: file, name, labels: new Set(label === undefined ? [] : [label]) });
    } catch (error) {
      if (!isEisError(error)) throw error;
      unreadable.push(toUnreadable(name, error));
    }
  }
  if (read.length === 0) throw new EisError('EIS_EVALUATION', { detail: describeEmpty(path, mode, { unlabelled: listed.files.length - files.length, unreadable }) });
  const images = mergeImages(read);
  const drawn = limit === undefined ? images : drawImages(images, limit, seed);
  return { images: drawn, duplicates: read.length - new Set(read.map(({ id }) => id)).size, unlabelled: listed.files.length - files.length, unreadable };
}

export function toUnreadable(name: string, { code, message }: EisError): Unreadable {
  return { name, code, message };
}

interface Listed {
  readonly files: readonly ImageFile[];
  readonly unreadable: readonly Unreadable[];
}

async function walkFolder(folder: string): Promise<Listed> {
  const files: ImageFile[] = [];
  const unreadable: Unreadable[] = [];
  for await (const found of findSources([folder], noLines())) {
    if (found.kind === 'file') files.push({ path: found.path, name: found.name });
    if (found.kind !== 'unreadable') continue;
    if (found.path === folder) throw found.error;
    unreadable.push(toUnreadable(found.path, found.error));
  }
  return { files, unreadable };
}

async function* noLines(): AsyncGenerator<Uint8Array> {}

/** The folder that an image lies in, below the one that was named. */
function labelOf(name: string): Pick<ImageFile, 'label'> {
  const folder = dirname(name);
  return folder === '.' ? {} : { label: folder };
}

async function readGroups(file: string): Promise<Listed> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => Promise.reject(describeUnreadable(file, cause)));
  const groups = parseGroups(text, file);
  const files = [...groups].flatMap(([label, paths]) => paths.map((path) => ({ path: resolve(dirname(file), path), name: join(path), label })));
  return { files, unreadable: [] };
}

function describeEmpty(path: string, mode: Mode, { unlabelled, unreadable }: { readonly unlabelled: number; readonly unreadable: readonly Unreadable[] }): string {
  const [first] = unreadable;
  if (first) return `${path} has no image that can be read; ${first.name}, for one: ${first.message}`;
  if (unlabelled > 0) return `the ${unlabelled} images in ${path} are in no folder of a class. Put each into a folder that is named after its class, or use --altered.`;
  return `${path} has no images${mode === 'groups' ? '' : ' (.jpg, .jpeg, .png, .webp, .gif, .avif), nor have the folders in it'}.`;
}

/**
 * What is searched, what is searched for, and what is right. An image is its content: files of the same bytes are one
 * image, which has the labels of all of them.
 */
import { createHash } from 'node:crypto';
import { EisError } from '../common/errors.js';

export interface EvaluatedImage {
  /** sha256 of its bytes. */
  readonly id: string;
  /** Where it lies. */
  readonly path: string;
  /** As it is shown: relative to the folder that was named. */
  readonly name: string;
  /** Classes or groups; images that share one are right answers to each other. */
  readonly labels: ReadonlySet<string>;
}

/** One search, with what would be right. */
export interface Query {
  /** Of an altered copy `<image>/<alteration>`, else the image's. */
  readonly id: string;
  readonly image: EvaluatedImage;
  /** Undefined: the image itself is searched for, among the others. */
  readonly alteration?: string;
  readonly relevant: ReadonlySet<string>;
}

/** Every image once, in the order of names, whatever the order in which they were found. */
export function mergeImages(found: readonly EvaluatedImage[]): EvaluatedImage[] {
  const byId = new Map<string, EvaluatedImage>();
  for (const image of [...found].sort((a, b) => compare(a.name, b.name))) {
    const known = byId.get(image.id);
    byId.set(image.id, known ? { ...known, labels: new Set([...known.labels, ...image.labels]) } : image);
  }
  return [...byId.values()];
}

/** At most so many, drawn by the seed. Which they are follows from each image and the seed alone: a higher limit adds to them. */
export function drawImages(images: readonly EvaluatedImage[], limit: number, seed: number): EvaluatedImage[] {
  const lots = new Map(images.map(({ id }) => [id, createHash('sha256').update(`${seed}/${id}`).digest('hex')]));
  const drawn = new Set([...images].sort((a, b) => compare(lots.get(a.id) as string, lots.get(b.id) as string)).slice(0, limit));
  return images.filter((image) => drawn.has(image));
}

/** Each altered copy is to find its original, and nothing else. */
export function queriesOfCopies(images: readonly EvaluatedImage[], alterations: readonly string[]): Query[] {
  return images.flatMap((image) => alterations.map((alteration) => ({ id: `${image.id}/${alteration}`, image, alteration, relevant: new Set([image.id]) })));
}

/** Each image is to find the others that share a label with it. One that is alone with its labels is searched among, and not for. */
export function queriesOfLabels(images: readonly EvaluatedImage[]): Query[] {
  const members = new Map<string, string[]>();
  for (const { id, labels } of images) {
    for (const label of labels) {
      const known = members.get(label);
      if (known) known.push(id);
      else members.set(label, [id]);
    }
  }
  return images.flatMap((image) => {
    const relevant = new Set([...image.labels].flatMap((label) => members.get(label) as string[]));
    relevant.delete(image.id);
    return relevant.size === 0 ? [] : [{ id: image.id, image, relevant }];
  });
}

/**
 * What makes figures mean nothing is an error before anything is embedded.
 *
 * @param depth the largest k
 * @throws EisError EIS_EVALUATION
 */
export function checkCollection(images: readonly EvaluatedImage[], { depth, isLabelled }: { readonly depth: number; readonly isLabelled: boolean }): void {
  const memberships = images.flatMap((image) => [...image.labels]);
  const labels = new Set(memberships);
  if (isLabelled && labels.size < 2) throw new EisError('EIS_EVALUATION', { detail: `there is ${labels.size === 1 ? `one class only, ${JSON.stringify([...labels][0])}` : 'no class'}, so every answer would be right. Name a folder that holds a folder for each of two classes or more.` });
  if (isLabelled && memberships.length === labels.size) throw new EisError('EIS_EVALUATION', { detail: 'no class has two images, so nothing could be found again. Give some classes more.' });
  const candidates = isLabelled ? images.length - 1 : images.length; // an image is no answer to itself
  if (depth > candidates) throw new EisError('EIS_EVALUATION', { detail: `k is ${depth}, and a search has only ${candidates} image${candidates === 1 ? '' : 's'} to answer with. Give a smaller --k, or more images.` });
}

/**
 * The groups of a file: an object with a list of paths for each group.
 *
 * @param file is named in errors
 * @throws EisError EIS_EVALUATION
 */
export function parseGroups(text: string, file: string): ReadonlyMap<string, readonly string[]> {
  const fail = (detail: string): never => {
    throw new EisError('EIS_EVALUATION', { detail: `${file} is no groups file: ${detail} Write { "group": ["a.jpg", "b.jpg"], … }, paths relative to the file.` });
  };
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    return fail(`it is not JSON (${(error as Error).message}).`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('it is no object.');
  const groups = Object.entries(value);
  for (const [name, paths] of groups) {
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string' && path !== '')) fail(`group ${JSON.stringify(name)} is no list of paths.`);
  }
  return new Map(groups as [string, string[]][]);
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Recognises the networks of `tf.keras.applications` by their weights: files that hold those alone do not say what they are of. */
import type { Preprocess } from '../../../common/config.js';
import type { LayerJson } from '../model.js';
import { ARCHITECTURES, describeArchitecture } from './architectures.js';
import { listCandidates, type Candidate } from './candidates.js';
import { describeMismatch } from './mismatch.js';
import { haveSameShapes, pairByName } from './pair-layers.js';
import type { WeightedLayer, WeightSlot } from './weighted-layer.js';

export interface RecognisedArchitecture {
  /** What it is, in words: `MobileNetV2 0.35 of Keras`. */
  readonly title: string;
  /** Without its classifier when the file has none; its output is then pooled. */
  readonly topology: LayerJson;
  /** What it was trained with. */
  readonly preprocess: Preprocess;
  /** Pixels of the square image that the topology takes. */
  readonly inputSize: number;
  /** From the file's `layer/weight`, as it was given, to the topology's `layer/kernel`. */
  readonly weightNames: ReadonlyMap<string, string>;
}

/** What is wrong with weights that are nearly those of a known network, in a sentence on a file (`its layers are …`) and one on what to do. */
export class ArchitectureMismatch extends Error {}

/**
 * The network that weights are of, by the names and order of its layers and the shapes of their weights. Names are taken
 * as they come: counters may begin anywhere, a classifier may be called anything and have any number of classes. Where
 * names say nothing, the order does, as in Keras, which reads such files by it alone.
 *
 * @param layers in the order of the file, each with its weights in the order of the file; those without are passed over
 * @param options.inputSize pixels of the square image it shall take, where its weights leave that open; by default what it was trained with
 * @returns undefined for weights of no network that is known
 * @throws ArchitectureMismatch for weights of one, but for some
 */
export function recogniseArchitecture(layers: readonly WeightedLayer[], { inputSize }: { readonly inputSize?: number | undefined } = {}): RecognisedArchitecture | undefined {
  const stored = withoutScalars(layers);
  const classes = stored.at(-1)?.weights.at(-1)?.shape.at(-1);
  if (classes === undefined) return undefined;
  for (const candidate of listCandidates(classes)) {
    const pairing = pair(stored, candidate);
    if (pairing) return { ...describe(candidate, { classes, inputSize }), weightNames: nameWeights(stored, pairing) };
  }
  const mismatch = describeMismatch(stored, [...listCandidates(classes)]);
  if (mismatch !== undefined) throw new ArchitectureMismatch(mismatch);
  return undefined;
}

/** A scalar counts (`Normalization` keeps how many images it has seen), and has no part in what a network computes. */
function withoutScalars(layers: readonly WeightedLayer[]): WeightedLayer[] {
  return layers.map(({ name, weights }) => ({ name, weights: weights.filter(({ shape }) => shape.length > 0) })).filter(({ weights }) => weights.length > 0);
}

/** The candidate's layer for each of the file's. */
function pair(stored: readonly WeightedLayer[], { weighted, top }: Candidate): readonly WeightedLayer[] | undefined {
  if (stored.length !== weighted.length) return undefined;
  const fits = (pairing: readonly (WeightedLayer | undefined)[]): pairing is readonly WeightedLayer[] => stored.every((layer, i) => haveSameShapes(layer, pairing[i]));
  return [pairByName(stored, weighted, { top }), weighted].find(fits);
}

function describe({ name, alpha, top, title, weighted }: Candidate, { classes, inputSize }: { readonly classes: number; readonly inputSize: number | undefined }): Omit<RecognisedArchitecture, 'weightNames'> {
  const { inputSize: trainedSize, preprocess } = ARCHITECTURES[name];
  const wanted = describeArchitecture(name, { alpha, top, classes, inputSize });
  const isOpen = wanted.weighted.every((layer, i) => haveSameShapes(layer, weighted[i]));
  const { topology } = isOpen ? wanted : describeArchitecture(name, { alpha, top, classes });
  return { title, topology, preprocess, inputSize: isOpen ? (inputSize ?? trainedSize) : trainedSize };
}

function nameWeights(stored: readonly WeightedLayer[], pairing: readonly WeightedLayer[]): Map<string, string> {
  return new Map(stored.flatMap(({ name, weights }, i) => {
    const known = pairing[i] as WeightedLayer;
    return weights.map((weight, j): [string, string] => [`${name}/${weight.name}`, `${known.name}/${(known.weights[j] as WeightSlot).name}`]);
  }));
}

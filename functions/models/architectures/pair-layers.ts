/** Which layer of a known network is which of a file's. */
import type { WeightedLayer, WeightSlot } from './weighted-layer.js';

/** Names that Keras gives to layers that were given none. */
const AUTOMATIC = /^(batch_normalization|conv2d|dense|depthwise_conv2d|normalization|separable_conv2d)(_\d+)?$/;
const CLASSIFIER = 'the classifier';

/** What layers are told apart by: their names; the counters of automatic names begin anew; the last of a network with a classifier is that, whatever its name. */
export function keysOf(layers: readonly WeightedLayer[], { top }: { readonly top: boolean }): string[] {
  const counts = new Map<string, number>();
  return layers.map(({ name }, i) => {
    if (top && i === layers.length - 1) return CLASSIFIER;
    const automatic = AUTOMATIC.exec(name)?.[1];
    if (automatic === undefined) return name;
    const count = counts.get(automatic) ?? 0;
    counts.set(automatic, count + 1);
    return `${automatic} ${count}`; // a space: no layer is named so
  });
}

/** Whether a key is a name that somebody chose. */
export function isChosen(key: string): boolean {
  return !key.includes(' ');
}

/** The layer of `known` for each of `stored`, in its order; undefined: it has none of that name. */
export function pairByName(stored: readonly WeightedLayer[], known: readonly WeightedLayer[], form: { readonly top: boolean }): (WeightedLayer | undefined)[] {
  const keys = keysOf(known, form);
  const byKey = new Map(known.map((layer, i) => [keys[i] as string, layer]));
  return keysOf(stored, form).map((key) => {
    const layer = byKey.get(key);
    byKey.delete(key);
    return layer;
  });
}

export function haveSameShapes(a: WeightedLayer, b: WeightedLayer | undefined): boolean {
  return b !== undefined && a.weights.length === b.weights.length && a.weights.every(({ shape }, i) => isSame(shape, (b.weights[i] as WeightSlot).shape));
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

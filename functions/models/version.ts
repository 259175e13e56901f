/** The hash that says which embeddings may be compared. Those that are stored carry it, so its text must not change. */
import { createHash } from 'node:crypto';
import type { GraphNetwork, LayerJson, LoadedModel, NamedWeight } from './model.js';

/** Changes with everything that changes embeddings, and with nothing else: not with a classifier that was cut away. */
export function versionOf(description: Pick<LoadedModel, 'layer' | 'input' | 'preprocess'> & ({ readonly topology: LayerJson } | { readonly graph: GraphNetwork }), weights: readonly NamedWeight[]): string {
  const hash = createHash('sha256').update(canonicalJson(description));
  for (const { name, shape, dtype, values } of weights) hash.update(canonicalJson({ name, shape, dtype })).update(values);
  return hash.digest('hex');
}

/** JSON whose objects have their keys in order, so that equal values are equal text. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

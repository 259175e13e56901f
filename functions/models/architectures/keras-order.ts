/**
 * The order in which Keras keeps the layers of a model, and its files their weights: the longer the way to the output,
 * the earlier; layers of one distance as they are met on a walk from the output downwards (`functional.py`,
 * `_map_graph_network`).
 */
import type { WrittenLayer } from './weighted-layer.js';

/**
 * The layers that `output` is computed from.
 *
 * @param layers each after those that feed it
 */
export function sortLikeKeras(layers: readonly WrittenLayer[], output: string): WrittenLayer[] {
  const met = walkDown(layers, output);
  const distances = new Map<string, number>();
  for (const { name, inputs } of layers.toReversed()) {
    const distance = distances.get(name) ?? 0;
    distances.set(name, distance);
    for (const input of met.has(name) ? inputs : []) distances.set(input, Math.max(distance + 1, distances.get(input) ?? 0));
  }
  const order = (a: string, b: string): number => (distances.get(b) as number) - (distances.get(a) as number) || (met.get(a) as number) - (met.get(b) as number);
  return layers.filter(({ name }) => met.has(name)).sort((a, b) => order(a.name, b.name));
}

/** When each layer is first met on the way from the output down, the inputs of each in turn. */
function walkDown(layers: readonly WrittenLayer[], output: string): ReadonlyMap<string, number> {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const met = new Map<string, number>();
  const open = [output];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (met.has(name)) continue;
    met.set(name, met.size);
    open.push(...(byName.get(name) as WrittenLayer).inputs.toReversed());
  }
  return met;
}

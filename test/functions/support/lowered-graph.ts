/** Lowers graphs written by hand, and computes networks with TF.js on whichever backend is set. */
import * as core from '@tensorflow/tfjs-core';
import { interpret } from '../../../functions/engines/tfjs-interpreter.js';
import { cutGraph, weightsInOrder } from '../../../functions/models/graph-cut.js';
import { parseGraph } from '../../../functions/models/graph-file.js';
import { orderedAncestors } from '../../../functions/models/graph-order.js';
import { lowerGraph } from '../../../functions/models/lower-graph.js';
import type { GraphNetwork, InputShape, NamedWeight } from '../../../functions/models/model.js';
import type { Network } from '../../../functions/network/network.js';
import { graphModel, graphValues, image, type NodeJson } from './tiny-graph.js';
import type { ModelJson } from './tiny-model.js';

/** Of the images that `graph-operations.ts` is about. */
export const SIZE = 9;
const INPUT: InputShape = { height: SIZE, width: SIZE, channels: 3 };

export interface Result {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The graph of a model.json, cut at a node, which is left as it is. */
export function graphOf(json: ModelJson, { inputName = 'image', output = 'out', input = INPUT } = {}): GraphNetwork {
  return cutGraph(orderedAncestors(parseGraph(json, 'x'), output, 'x'), { inputName, input, shape: undefined }).network;
}

export function weightsOf(nodes: readonly NodeJson[]): NamedWeight[] {
  const values = graphValues(nodes);
  return nodes.flatMap(({ name, weight }) => (weight ? [{ name, shape: weight.shape, dtype: weight.dtype, values: values.get(name)! }] : []));
}

/** Nodes that end in `out` and take `image`, lowered. */
export function lower(nodes: readonly NodeJson[]): Network {
  const all = [image([-1, SIZE, SIZE, 3]), ...nodes];
  const graph = graphOf(graphModel(all));
  return lowerGraph(graph, weightsInOrder(graph, weightsOf(all), 'x'), { input: INPUT, file: 'model.json' });
}

/** @param numbers of images side by side */
export function compute(network: Network, numbers: Float32Array, { count = 1, size = SIZE } = {}): Result {
  const running = interpret(core, network);
  const picture = core.tensor4d(numbers, [count, size, size, 3]);
  try {
    return core.tidy(() => {
      const result = running.run(picture);
      return { shape: result.shape, values: Float32Array.from(result.dataSync()) };
    });
  } finally {
    picture.dispose();
    running.dispose();
  }
}

/** How far apart numbers are, at most: of those beyond 1, as a part of them. */
export function furthest(ours: Float32Array, theirs: Float32Array): number {
  return ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i]!) / Math.max(1, Math.abs(theirs[i]!))), 0);
}

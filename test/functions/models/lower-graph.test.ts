/** Graphs lowered into the typed network: computed node by node they give what TF.js's own converter gives. */
import * as converter from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { dot, normalise } from '../../../common/vector.js';
import { interpret } from '../../../functions/engines/tfjs-interpreter.js';
import { cutGraph, weightsInOrder } from '../../../functions/models/graph-cut.js';
import { parseGraph } from '../../../functions/models/graph-file.js';
import { orderedAncestors } from '../../../functions/models/graph-order.js';
import { lowerGraph } from '../../../functions/models/lower-graph.js';
import type { NamedWeight } from '../../../functions/models/model.js';
import { decodeGroup, parseManifest } from '../../../functions/models/weights.js';
import type { Network } from '../../../functions/network/network.js';
import { inferShapes, isBatchable } from '../../../functions/network/shapes.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { FURTHER, fused, OPERATIONS, SAME, UNTOLD } from '../support/graph-operations.js';
import { constant, graphBytes, graphModel, graphValues, image, integers, ints, node, seededQuantised, text, texts, type NodeJson } from '../support/tiny-graph.js';
import { seededRandom, type ModelJson } from '../support/tiny-model.js';

beforeAll(() => core.setBackend('cpu'));

const random = seededRandom(3);
const pixels = (count: number, size = 9): Float32Array => Float32Array.from({ length: count * size * size * 3 }, () => random() * 4 - 2);
const PIXELS = pixels(1);

interface Result {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

function lowered(json: ModelJson, weights: readonly NamedWeight[], { size = 9, output = 'out', inputName = 'image' } = {}): Network {
  const input = { height: size, width: size, channels: 3 } as const;
  const { network, added } = cutGraph(orderedAncestors(parseGraph(json, 'x'), output, 'x'), { inputName, input, shape: undefined });
  return lowerGraph(network, weightsInOrder(network, [...weights, ...added], 'x'), { input, file: 'model.json' });
}

function lower(nodes: readonly NodeJson[]): Network {
  const all = [image([-1, 9, 9, 3]), ...nodes];
  const values = graphValues(all);
  return lowered(graphModel(all), all.flatMap(({ name, weight }) => (weight ? [{ name, shape: weight.shape, dtype: weight.dtype, values: values.get(name)! }] : [])));
}

function compute(network: Network, numbers: Float32Array, count = 1, size = 9): Result {
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

async function execute(json: ModelJson, bytes: Buffer, { numbers = PIXELS, size = 9, output = 'out' } = {}): Promise<Result> {
  const { modelTopology, weightsManifest } = json;
  const graph = await converter.loadGraphModel({ load: async () => ({ modelTopology: modelTopology as object, weightSpecs: weightsManifest[0]!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer }) });
  try {
    return core.tidy(() => {
      const result = graph.execute({ [graph.inputs[0]!.name]: core.tensor4d(numbers, [1, size, size, 3]) }, output) as core.Tensor;
      return { shape: result.shape, values: Float32Array.from(result.dataSync()) };
    });
  } finally {
    graph.dispose();
  }
}

function expectSame(ours: Result, theirs: Result): void {
  expect(ours.shape).toEqual(theirs.shape);
  const furthest = ours.values.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs.values[i]!) / Math.max(1, Math.abs(theirs.values[i]!))), 0);
  expect(furthest).toBeLessThan(1e-4);
  expect(theirs.values.every(Number.isFinite)).toBe(true);
}

describe.each(Object.entries({ ...OPERATIONS, ...UNTOLD, ...FURTHER }))('%s', (_name, nodes) => {
  it('gives what TF.js gives, in its shape', async () => {
    const all = [image([-1, 9, 9, 3]), ...nodes];
    const network = lower(nodes);
    const theirs = await execute(graphModel(all), graphBytes(all));
    expectSame(compute(network, PIXELS), theirs);
    expect(inferShapes(network).get(network.output)).toEqual(theirs.shape);
  });
});

/** What a model of layers computes: by tfjs-layers, which is the reference, and as the network that it is lowered into. */
import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import * as layers from '@tensorflow/tfjs-layers';
import { interpret } from '../../../functions/engines/tfjs-interpreter.js';
import { lowerLayers, type LowerOptions } from '../../../functions/models/lower-layers.js';
import type { LayerJson, NamedWeight } from '../../../functions/models/model.js';
import { isFromTfjs, parseTopology } from '../../../functions/models/topology.js';
import type { Network } from '../../../functions/network/network.js';
import { seededRandom } from './tiny-model.js';

export const FILE = 'model.json';
export const INPUT = { height: 9, width: 8, channels: 3 } as const;

/** Numbers around 0, from a seed. */
export function drawNumbers(count: number, seed = 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: count }, () => random() * 4 - 2);
}

/** Images side by side. */
export const drawImages = (count: number, { height, width, channels }: LowerOptions['input'] = INPUT): Float32Array => drawNumbers(count * height * width * channels, 7);

export const weight = (name: string, shape: readonly number[], values: readonly number[] | Float32Array = drawNumbers(shape.reduce((a, b) => a * b, 1), name.length)): NamedWeight => ({ name, shape, dtype: 'float32', values: Float32Array.from(values) });

export interface Written {
  readonly topology: LayerJson;
  readonly weights: readonly NamedWeight[];
  readonly isFromTfjs?: boolean;
}

/** Gives a model of tfjs-layers weights from a seed, and writes it down as TF.js does. */
export async function write(model: layers.LayersModel): Promise<Written> {
  model.setWeights(model.getWeights().map((tensor, i) => core.tensor(drawWeights(tensor, model.weights[i]!.name, i), tensor.shape)));
  const written: core.io.ModelArtifacts[] = [];
  await model.save({ save: async (artifacts: core.io.ModelArtifacts) => (written.push(artifacts), { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } }) });
  const { modelTopology, weightSpecs = [], weightData } = written[0]!;
  const tensors = core.io.decodeWeights(weightData!, weightSpecs);
  const weights = weightSpecs.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const, values: tensors[name]!.dataSync() as Float32Array }));
  core.dispose(tensors);
  return { topology: parseTopology(JSON.parse(JSON.stringify(modelTopology)))!, weights, isFromTfjs: isFromTfjs(modelTopology) };
}

function drawWeights({ size }: core.Tensor, name: string, seed: number): Float32Array {
  const numbers = drawNumbers(size, seed + 3);
  return /variance/.test(name) ? numbers.map((value) => Math.abs(value) + 0.1) : numbers;
}

export const lower = ({ topology, weights, isFromTfjs: isTfjs = false }: Written): Network => lowerLayers(topology, weights, { input: INPUT, file: FILE, isFromTfjs: isTfjs });

/** The network's result for images side by side: a vector each. */
export function compute(network: Network, images: Float32Array, input: LowerOptions['input'] = INPUT): Float32Array {
  const interpreter = interpret(core, network);
  const pixels = input.height * input.width * input.channels;
  const numbers = core.tensor4d(images, [images.length / pixels, input.height, input.width, input.channels]);
  const result = interpreter.run(numbers);
  const values = result.dataSync() as Float32Array;
  core.dispose([numbers, result]);
  interpreter.dispose();
  return values;
}

/** What tfjs-layers makes of one image. */
export function predict(model: layers.LayersModel, image: Float32Array, input: LowerOptions['input'] = INPUT): Float32Array {
  return core.tidy(() => (model.predict(core.tensor4d(image, [1, input.height, input.width, input.channels])) as core.Tensor).dataSync() as Float32Array);
}

/** The largest difference of two vectors; infinite: they are not of one length, or not of numbers. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length || a.length === 0) return Infinity;
  const apart = Array.from(a, (value, i) => Math.abs(value - b[i]!));
  return apart.some(Number.isNaN) ? Infinity : Math.max(...apart);
}

export { core, layers };

/** Small TF.js layers models, written by hand with seeded weights, and real topologies filled with such. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { LayerJson, LoadOptions, ModelFile } from '../../../functions/models/model.js';

export interface WeightJson {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: Readonly<Record<string, unknown>>;
}

export interface ModelJson {
  readonly format?: string;
  readonly modelTopology: unknown;
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: readonly WeightJson[] }[];
}

export const OPTIONS: LoadOptions = { name: 'tiny', layer: undefined, inputSize: undefined, preprocess: '[-1,1]' };

export function layer(className: string, name: string, config: Record<string, unknown> = {}, from?: string | readonly string[]): LayerJson {
  const inbound = from === undefined ? [] : [[...(typeof from === 'string' ? [from] : from)].map((feeder) => [feeder, 0, 0, {}])];
  return { class_name: className, name, config: { name, ...config }, inbound_nodes: inbound };
}

export const conv = (name: string, from?: string, filters = 4): LayerJson => layer('Conv2D', name, { filters, kernel_size: [3, 3], strides: [2, 2], padding: 'same', activation: 'relu', use_bias: true, data_format: 'channels_last' }, from);
export const dense = (name: string, units: number, activation: string, from?: string): LayerJson => layer('Dense', name, { units, activation, use_bias: true }, from);
export const input = (size: number | null = 16, channels = 3): LayerJson => layer('InputLayer', 'image', { batch_input_shape: [null, size, size, channels], dtype: 'float32', sparse: false });

export function functional(name: string, layers: readonly LayerJson[], outputs: readonly string[] = [layers.at(-1)!.name!]): LayerJson {
  return { class_name: 'Model', config: { name, layers, input_layers: [[layers[0]!.name, 0, 0]], output_layers: outputs.map((output) => [output, 0, 0]) } };
}

export function sequential(name: string, layers: readonly LayerJson[]): LayerJson {
  return { class_name: 'Sequential', name, config: { name, layers } };
}

/** 16×16×3 → convolution → pooled (4) → softmax over 3 classes. */
export function tinyClassifier(size: number | null = 16): ModelJson {
  const topology = functional('tiny', [input(size), conv('conv', 'image'), layer('GlobalAveragePooling2D', 'pooled', {}, 'conv'), dense('classes', 3, 'softmax', 'pooled')]);
  return {
    format: 'layers-model',
    modelTopology: { keras_version: 'tfjs-layers 4.22.0', backend: 'tensor_flow.js', model_config: topology },
    weightsManifest: [{ paths: ['shard1.bin', 'more/shard2.bin'], weights: [float('conv/kernel', [3, 3, 3, 4]), float('conv/bias', [4]), float('classes/kernel', [4, 3]), float('classes/bias', [3])] }],
  };
}

export const float = (name: string, shape: readonly number[]): WeightJson => ({ name, shape, dtype: 'float32' });

export function bytesOf(model: ModelJson): number {
  const size = { uint8: 1, uint16: 2, float16: 2 } as Record<string, number>;
  return model.weightsManifest.flatMap(({ weights }) => weights).reduce((sum, { shape, quantization }) => sum + shape.reduce((a, b) => a * b, 1) * (size[String(quantization?.['dtype'])] ?? 4), 0);
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** float32 weights small enough for deep networks to stay finite; what must be positive (variances) is. */
export function seededWeights(model: ModelJson, seed = 1): Buffer {
  const random = seededRandom(seed);
  const numbers = model.weightsManifest.flatMap(({ weights }) => weights).flatMap(({ name, shape }) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const fanIn = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    return /variance|gamma/.test(name) ? new Float32Array(count).fill(1) : Float32Array.from({ length: count }, () => (random() * 2 - 1) * Math.sqrt(3 / fanIn));
  });
  return Buffer.concat(numbers.map((values) => Buffer.from(values.buffer)));
}

/** Writes a model into a folder of its own; its weights spread over the files of its one group. Returns the path of its model.json. */
export async function writeModel(folder: string, model: ModelJson, bytes: Buffer = seededWeights(model)): Promise<string> {
  const paths = model.weightsManifest[0]!.paths;
  const step = Math.ceil(bytes.length / paths.length);
  await mkdir(folder, { recursive: true });
  for (const [i, path] of paths.entries()) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes.subarray(i * step, (i + 1) * step));
  }
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
  return join(folder, 'model.json');
}

/** A main file that is JSON, as loaders see it. */
export function jsonFile(path: string, json: unknown): ModelFile {
  return { path, head: Buffer.from('{'), json };
}

export async function temporaryFolder(): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'eis-function-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Computes networks in tests: with TF.js's own CPU backend, node by node, as what everything else is held to. */
import '@tensorflow/tfjs-backend-cpu';
import * as core from '@tensorflow/tfjs-core';
import { interpret } from '../../../functions/engines/tfjs-interpreter.js';
import { inputOf, sizeOf, type Network } from '../../../functions/network/network.js';
import { seededRandom } from './tiny-model.js';

/** The result of a network for numbers in the shape of its input, images side by side. */
export async function computeOnCpu(network: Network, numbers: Float32Array, backend = 'cpu'): Promise<Float32Array> {
  const before = core.getBackend();
  await core.setBackend(backend);
  try {
    const [, ...sizes] = inputOf(network).shape as [number, number, number, number];
    const interpreter = interpret(core, network);
    const images = core.tensor4d(numbers, [numbers.length / sizeOf(sizes), ...sizes]);
    const result = interpreter.run(images);
    const values = Float32Array.from(await result.data());
    core.dispose([images, result]);
    interpreter.dispose();
    return values;
  } finally {
    if (before) await core.setBackend(before);
  }
}

/** Numbers between −2 and 2 in the shape of a network's input. */
export function drawNumbers(network: Network, images = 1, seed = 3): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: images * sizeOf(inputOf(network).shape) }, () => random() * 4 - 2);
}

/** The furthest that two lists of numbers are apart, in units of their size or of 1. */
export function furthest(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => Math.max(most, value === b[i] ? 0 : Math.abs(value - b[i]!) / Math.max(1, Math.abs(b[i]!))), 0);
}

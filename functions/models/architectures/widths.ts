/** Sizes by the rules that several architectures share. */
import type { Feature } from './topology-writer.js';

/** Channels scaled by a width: a multiple of 8, and never less than nine tenths of what they would be (TF-Slim's `make_divisible`). */
export function roundChannels(channels: number): number {
  const rounded = Math.max(8, 8 * Math.floor(Math.trunc(channels + 4) / 8));
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** Zeros before and after, so that a window of stride 2 ends where TensorFlow's `SAME` would end for an even size (Keras's `correct_pad`). */
export function padForStride2({ size }: Feature, kernel: number): readonly [number, number] {
  const half = kernel >> 1;
  return [half - (1 - (size % 2)), half];
}

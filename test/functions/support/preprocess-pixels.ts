/** How pixels become the numbers that a network was trained with, written down once more: what the nodes that do it are held to. */
import type { Preprocess } from '../../../common/config.js';
import type { InputShape } from '../../../functions/models/model.js';

/** Per channel of the output: which of R, G, B it is, and `(pixel − mean) × scale`. */
interface ChannelRule {
  readonly from: 0 | 1 | 2;
  readonly mean: number;
  readonly scale: number;
}

const same = (mean: number, scale: number): readonly ChannelRule[] => ([0, 1, 2] as const).map((from) => ({ from, mean, scale }));

/**
 * `caffe` and `torch` as in Keras (`keras/applications/imagenet_utils.py`): BGR less ImageNet's mean; RGB in [0,1],
 * less ImageNet's mean and divided by its deviation.
 */
const RULES: Readonly<Record<Preprocess, readonly ChannelRule[]>> = {
  '[-1,1]': same(127.5, 1 / 127.5),
  '[0,1]': same(0, 1 / 255),
  raw: same(0, 1),
  caffe: [
    { from: 2, mean: 103.939, scale: 1 },
    { from: 1, mean: 116.779, scale: 1 },
    { from: 0, mean: 123.68, scale: 1 },
  ],
  torch: [
    { from: 0, mean: 0.485 * 255, scale: 1 / (0.229 * 255) },
    { from: 1, mean: 0.456 * 255, scale: 1 / (0.224 * 255) },
    { from: 2, mean: 0.406 * 255, scale: 1 / (0.225 * 255) },
  ],
};

/**
 * The numbers that go into the network, row by row, channels last.
 *
 * @param pixels RGB, 8 bits, of the size of `input`
 */
export function preprocess(pixels: Uint8Array, input: InputShape, kind: Preprocess): Float32Array {
  const rules = RULES[kind];
  const count = input.height * input.width;
  const numbers = new Float32Array(count * input.channels);
  for (let i = 0; i < count; i++) {
    if (input.channels === 1) {
      const { mean, scale } = rules[0] as ChannelRule;
      numbers[i] = (grey(pixels, 3 * i) - mean) * scale;
      continue;
    }
    for (let c = 0; c < 3; c++) {
      const { from, mean, scale } = rules[c] as ChannelRule;
      numbers[3 * i + c] = ((pixels[3 * i + from] as number) - mean) * scale;
    }
  }
  return numbers;
}

/** Luma of ITU-R BT.601, as image tools turn colours to grey. */
function grey(pixels: Uint8Array, at: number): number {
  return 0.299 * (pixels[at] as number) + 0.587 * (pixels[at + 1] as number) + 0.114 * (pixels[at + 2] as number);
}

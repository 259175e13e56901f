/**
 * InceptionV3 (Szegedy 2015), as `keras/applications/inception_v3.py` builds it. Its convolutions are named by counters,
 * so that the order of writing is part of the definition.
 */
import type { Feature, TopologyWriter } from './topology-writer.js';

/** A convolution with its normalisation and activation: filters, rows, columns of its window; a stride of 2 leaves the borders out. */
type Conv = readonly [filters: number, rows: number, columns: number, stride?: 2];
/** A step of a branch; `split`: convolutions side by side, put together under a name of their own or a counter. */
type Step = Conv | 'average' | 'max' | { readonly split: readonly Conv[]; readonly name?: string };
interface Block {
  readonly name: string;
  readonly branches: readonly (readonly Step[])[];
}

/** 35×35: windows of 1, 5 and twice 3. */
const narrow = (name: string, pooled: number): Block => ({ name, branches: [[[64, 1, 1]], [[48, 1, 1], [64, 5, 5]], [[64, 1, 1], [96, 3, 3], [96, 3, 3]], ['average', [pooled, 1, 1]]] });

/** 17×17: windows of 7, each in two parts. */
const factorised = (name: string, filters: number): Block => ({
  name,
  branches: [
    [[192, 1, 1]],
    [[filters, 1, 1], [filters, 1, 7], [192, 7, 1]],
    [[filters, 1, 1], [filters, 7, 1], [filters, 1, 7], [filters, 7, 1], [192, 1, 7]],
    ['average', [192, 1, 1]],
  ],
});

/** 8×8: the parts of a window of 3 side by side. */
const wide = (name: string, firstSplit: string): Block => ({
  name,
  branches: [
    [[320, 1, 1]],
    [[384, 1, 1], { split: [[384, 1, 3], [384, 3, 1]], name: firstSplit }],
    [[448, 1, 1], [384, 3, 3], { split: [[384, 1, 3], [384, 3, 1]] }],
    ['average', [192, 1, 1]],
  ],
});

const BLOCKS: readonly Block[] = [
  narrow('mixed0', 32), narrow('mixed1', 64), narrow('mixed2', 64),
  { name: 'mixed3', branches: [[[384, 3, 3, 2]], [[64, 1, 1], [96, 3, 3], [96, 3, 3, 2]], ['max']] },
  factorised('mixed4', 128), factorised('mixed5', 160), factorised('mixed6', 160), factorised('mixed7', 192),
  { name: 'mixed8', branches: [[[192, 1, 1], [320, 3, 3, 2]], [[192, 1, 1], [192, 1, 7], [192, 7, 1], [192, 3, 3, 2]], ['max']] },
  wide('mixed9', 'mixed9_0'), wide('mixed10', 'mixed9_1'),
];

export function writeInceptionV3(w: TopologyWriter): Feature {
  let x = convolve(w, w.image, [32, 3, 3, 2]);
  x = convolve(w, x, [32, 3, 3], 'valid');
  x = w.pool(convolve(w, x, [64, 3, 3]), 'Max', { size: 3, stride: 2 });
  x = convolve(w, x, [80, 1, 1], 'valid');
  x = w.pool(convolve(w, x, [192, 3, 3], 'valid'), 'Max', { size: 3, stride: 2 });
  for (const { name, branches } of BLOCKS) {
    const input = x;
    x = w.concat(branches.map((steps) => steps.reduce((feature: Feature, step) => take(w, feature, step), input)), name);
  }
  return x;
}

function take(w: TopologyWriter, x: Feature, step: Step): Feature {
  if (step === 'average') return w.pool(x, 'Average', { size: 3, stride: 1, padding: 'same' });
  if (step === 'max') return w.pool(x, 'Max', { size: 3, stride: 2 });
  if ('split' in step) return w.concat(step.split.map((conv) => convolve(w, x, conv)), step.name);
  return convolve(w, x, step);
}

function convolve(w: TopologyWriter, x: Feature, [filters, rows, columns, stride]: Conv, padding: 'same' | 'valid' = stride === 2 ? 'valid' : 'same'): Feature {
  const convolved = w.conv(x, { filters, kernel: [rows, columns], stride: stride ?? 1, padding, bias: false });
  return w.activation(w.batchNorm(convolved, { scale: false }), 'relu');
}

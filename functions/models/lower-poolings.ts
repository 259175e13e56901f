/** Layers that pool, in windows or over all positions. */
import { NO_PADDING, samePadding, type Pair, type ReduceNode } from '../network/network.js';
import type { LayerUse } from './layer-use.js';
import { asRow, channelsLast } from './lower-axes.js';

type Kind = 'max' | 'average';

export function lowerPooling2d(use: LayerUse, kind: Kind): string {
  const size = use.config.pair('pool_size', { fallback: 2 });
  const strides = use.config.raw('strides') === undefined ? size : use.config.pair('strides');
  return channelsLast(use, use.input, (x) => pool(use, x, { kind, size, strides }));
}

export function lowerPooling1d(use: LayerUse, kind: Kind): string {
  const size = use.config.single('pool_size', { fallback: 2 });
  const stride = use.config.raw('strides') === undefined ? size : use.config.single('strides');
  return channelsLast(use, use.input, (x) => asRow(use, x, (row) => pool(use, row, { kind, size: [1, size], strides: [1, stride] })));
}

function pool(use: LayerUse, x: string, { kind, size, strides }: { readonly kind: Kind; readonly size: Pair; readonly strides: Pair }): string {
  const [, rows, columns] = use.ranked(x, 4) as [number, number, number];
  const isSame = use.config.choice('padding', ['valid', 'same'], 'valid') === 'same';
  return use.add({ op: 'pool', kind, size, strides, padding: isSame ? samePadding([rows, columns], { size, strides }) : NO_PADDING, inputs: [x] });
}

/** @param rank of what it takes: 4 for images, 3 for sequences */
export function lowerGlobalPooling(use: LayerUse, kind: ReduceNode['kind'], rank: 3 | 4): string {
  const isFirst = use.config.choice('data_format', ['channels_last', 'channels_first'], 'channels_last') === 'channels_first';
  const axes = rank === 4 ? [1, 2] : [1];
  use.ranked(use.input, rank);
  return use.add({ op: 'reduce', kind, axes: isFirst ? axes.map((axis) => axis + 1) : axes, keepDims: use.config.flag('keepdims', false), inputs: [use.input] });
}

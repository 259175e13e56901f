/** Puts tensors into the form in which the operations of a network take them: channels last, rows before columns; and puts results back. */
import type { Shape } from '../network/network.js';
import type { LayerUse } from './layer-use.js';

type Compute = (x: string) => string;

/** Computes with channels last what the layer computes; of a layer whose `data_format` is `channels_first`, between two transpositions. */
export function channelsLast(use: LayerUse, x: string, compute: Compute): string {
  const format = use.config.choice('data_format', ['channels_last', 'channels_first'], 'channels_last');
  return format === 'channels_last' ? compute(x) : axisLast(use, x, { axis: 1, compute });
}

/** Computes with an axis as the last, which it is not. */
export function axisLast(use: LayerUse, x: string, { axis, compute }: { readonly axis: number; readonly compute: Compute }): string {
  const { length: rank } = use.shape(x);
  if (axis === rank - 1) return compute(x);
  const axes = Array.from({ length: rank }, (_, i) => i);
  const order = [...axes.filter((each) => each !== axis), axis];
  const last = use.add({ op: 'transpose', order, inputs: [x] }, 'last');
  return use.add({ op: 'transpose', order: axes.map((each) => order.indexOf(each)), inputs: [compute(last)] }, 'back');
}

/** Computes with sequences (batch × steps × channels) as images of one row. */
export function asRow(use: LayerUse, x: string, compute: Compute): string {
  const [, steps, channels] = use.ranked(x, 3) as [number, number, number];
  const row = use.add({ op: 'reshape', shape: [0, 1, steps, channels], inputs: [x] }, 'row');
  const result = compute(row);
  const [, , left, given] = use.shape(result) as [number, number, number, number];
  return use.add({ op: 'reshape', shape: [0, left, given], inputs: [result] }, 'sequence');
}

/** The same numbers in another shape, given for one image; nothing where it has that shape. */
export function reshapeTo(use: LayerUse, x: string, perImage: Shape): string {
  const shape = use.shape(x);
  if (shape.length === perImage.length + 1 && perImage.every((size, i) => size === shape[i + 1])) return x;
  return use.add({ op: 'reshape', shape: [0, ...perImage], inputs: [x] });
}

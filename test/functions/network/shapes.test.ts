import { describe, expect, it } from 'vitest';
import { NetworkBuilder, type NodeSpec } from '../../../functions/network/network-builder.js';
import { NO_PADDING, samePadding } from '../../../functions/network/network.js';
import { inferShapes, isBatchable, ShapeError } from '../../../functions/network/shapes.js';
import { TinyNetwork } from '../support/tiny-network.js';

describe('samePadding()', () => {
  it('is what TensorFlow pads, the odd row below and the odd column to the right', () => {
    const pad = (size: number, kernel: number, stride: number, dilation = 1): readonly number[] => samePadding([size, size], { size: [kernel, kernel], strides: [stride, stride], dilations: [dilation, dilation] }).slice(0, 2);
    expect(pad(224, 3, 2)).toEqual([0, 1]);
    expect(pad(225, 3, 2)).toEqual([1, 1]);
    expect(pad(9, 3, 1)).toEqual([1, 1]);
    expect(pad(9, 2, 1)).toEqual([0, 1]);
    expect(pad(9, 3, 1, 2)).toEqual([2, 2]);
    expect(pad(8, 1, 2)).toEqual([0, 0]);
    expect(samePadding([9, 10], { size: [3, 5], strides: [2, 2] })).toEqual([1, 1, 1, 2]);
  });
});

describe('a network builder', () => {
  const refusal = (make: (b: NetworkBuilder) => unknown): string => {
    try {
      make(new NetworkBuilder({ height: 9, width: 11, channels: 3 }));
    } catch (error) {
      expect(error).toBeInstanceOf(ShapeError);
      return (error as Error).message;
    }
    throw new Error('nothing was refused');
  };
  const sliding = { strides: [1, 1], dilations: [1, 1], padding: NO_PADDING } as const;

  it('refuses what does not fit together, and says what', () => {
    const kernel = (b: NetworkBuilder, shape: readonly number[]): string => b.addWeight('kernel', shape, new Float32Array(shape.reduce((a, c) => a * c, 1)));
    expect(refusal((b) => b.add('x', { op: 'conv', inputs: ['image', kernel(b, [3, 3, 4, 8])], groups: 1, ...sliding }))).toBe('its kernel takes 4 channels and its input has 3');
    expect(refusal((b) => b.add('x', { op: 'conv', inputs: ['image', kernel(b, [3, 3])], groups: 1, ...sliding }))).toContain('both have four sizes');
    expect(refusal((b) => b.add('x', { op: 'conv', inputs: ['image', kernel(b, [3, 3, 3, 8]), b.addWeight('bias', [7], new Float32Array(7))], groups: 1, ...sliding }))).toContain('[7] where it gives 8 channels');
    expect(refusal((b) => b.add('x', { op: 'conv', inputs: ['image', kernel(b, [12, 3, 3, 8])], groups: 1, ...sliding }))).toContain('its input is too small for it');
    expect(refusal((b) => b.add('x', { op: 'conv', inputs: ['image', kernel(b, [3, 3, 3, 8])], groups: 1, ...sliding, strides: [0, 1] }))).toContain('strides');
    expect(refusal((b) => b.add('x', { op: 'depthwise', inputs: ['image', kernel(b, [3, 3, 4, 1])], ...sliding }))).toBe('its kernel takes 4 channels and its input has 3');
    expect(refusal((b) => b.add('x', { op: 'matmul', inputs: ['image', kernel(b, [4, 8])], transposeA: false, transposeB: false }))).toBe('its weights take 4 numbers and its input has 3');
    expect(refusal((b) => b.add('x', { op: 'binary', fn: 'add', inputs: ['image', kernel(b, [4])] }))).toContain('do not fit');
    expect(refusal((b) => b.add('x', { op: 'reshape', inputs: ['image'], shape: [0, 7] }))).toContain('another number of numbers');
    expect(refusal((b) => b.add('x', { op: 'transpose', inputs: ['image'], order: [0, 1, 1, 2] }))).toContain('order');
    expect(refusal((b) => b.add('x', { op: 'concat', inputs: ['image', b.add('y', { op: 'pool', kind: 'max', inputs: ['image'], size: [2, 2], strides: [2, 2], padding: NO_PADDING })], axis: 3 }))).toContain('which do not fit');
    expect(refusal((b) => b.add('x', { op: 'slice', inputs: ['image'], begin: [0, 8, 0, 0], count: [-1, 2, 11, 3], step: [1, 1, 1, 1] }))).toContain('along axis 1');
    expect(refusal((b) => b.add('x', { op: 'gather', inputs: ['image'], axis: 3, indices: [3] }))).toContain('not there');
    expect(refusal((b) => b.add('x', { op: 'reduce', kind: 'mean', inputs: ['image'], axes: [4], keepDims: false }))).toContain('[4]');
  });

  it('refuses tensors of absurd sizes before anything is allocated', () => {
    expect(refusal((b) => b.add('x', { op: 'tile', inputs: ['image'], repeats: [1, 1e6, 1e6, 1] }))).toContain('more than 2 GB');
    expect(refusal((b) => b.add('x', { op: 'pad', mode: 'constant', value: 0, inputs: ['image'], before: [0, 1e9, 0, 0], after: [0, 1e9, 0, 0] }))).toContain('more than 2 GB');
    expect(refusal((b) => b.add('x', { op: 'reshape', inputs: ['image'], shape: [0, 1, 1, 1, 1, 1, 1, 1, -1] }))).toContain('9 axes');
  });

  it('gives names that are taken another form', () => {
    const b = new NetworkBuilder({ height: 2, width: 2, channels: 3 }, 'x');
    const relu = (x: string): NodeSpec => ({ op: 'elementwise', inputs: [x], apply: { fn: 'relu' } });
    expect([b.add('x', relu('x')), b.add('x', relu('x')), b.addWeight('x', [1], [1])]).toEqual(['x_', 'x__', 'x___']);
  });
});

describe('isBatchable()', () => {
  it('is true where every tensor has the batch as its first size', () => {
    const n = new TinyNetwork();
    const network = n.flat(n.conv(n.input, [3, 3], 4));
    expect(isBatchable(network)).toBe(true);
    expect(inferShapes(network, 5).get(network.output)).toEqual([5, 7 * 9 * 4]);
  });

  it.each<[string, (n: TinyNetwork) => string]>([
    ['a batch of one is written into a reshape', (n) => n.node({ op: 'reshape', inputs: [n.input], shape: [1, -1] })],
    ['the batch is softened over', (n) => n.node({ op: 'softmax', inputs: [n.input], axis: 0, log: false })],
    ['the batch is reversed', (n) => n.node({ op: 'slice', inputs: [n.input], begin: [0, 0, 0, 0], count: [-1, 9, 11, 3], step: [-1, 1, 1, 1] })],
    ['the batch is averaged over', (n) => n.node({ op: 'reduce', kind: 'mean', inputs: [n.input], axes: [0], keepDims: true })],
    ['the batch goes into rows', (n) => n.node({ op: 'transpose', inputs: [n.input], order: [1, 0, 2, 3] })],
    ['a batch is stretched over rows', (n) => n.node({ op: 'binary', fn: 'add', inputs: [n.node({ op: 'reshape', inputs: [n.input], shape: [0, 3, 99] }), n.node({ op: 'reshape', inputs: [n.node({ op: 'slice', inputs: [n.input], begin: [0, 0, 0, 0], count: [-1, 9, 11, 1], step: [1, 1, 1, 1] })], shape: [-1, 99] })] })],
    ['images are put behind each other', (n) => n.node({ op: 'concat', inputs: [n.input, n.input], axis: 0 })],
    ['one image is picked', (n) => n.node({ op: 'gather', inputs: [n.input], axis: 0, indices: [0] })],
    ['a vector is made of all images', (n) => n.node({ op: 'reshape', inputs: [n.input], shape: [-1, 3] })],
  ])('is false where %s', (_, make) => {
    const n = new TinyNetwork();
    expect(isBatchable(n.build(make(n)))).toBe(false);
  });
});

/** Every operation of a network: what onnxruntime computes of it is what TF.js does, as it stands and optimised, for one image and for two side by side. */
import { describe, expect, it } from 'vitest';
import { onnxruntime } from '../../../functions/engines/onnxruntime.js';
import { loadTfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { prepareNetwork } from '../../../functions/engines/prepare.js';
import { BINARY_FUNCTIONS, PLAIN_FUNCTIONS, samePadding, type Elementwise, type Network } from '../../../functions/network/network.js';
import { optimise } from '../../../functions/network/optimise.js';
import { computeOnCpu, drawNumbers, furthest } from '../support/compute.js';
import { modelOf, TinyNetwork } from '../support/tiny-network.js';
import { drawPixels, ENGINE } from './engine-contract.js';

type Make = (n: TinyNetwork, x: string) => string;

const same = (n: TinyNetwork, x: string, size: readonly [number, number], strides: readonly [number, number], dilations: readonly [number, number] = [1, 1]) => samePadding([n.shape(x)[1]!, n.shape(x)[2]!], { size, strides, dilations });
const elementwise = (apply: Elementwise): Make => (n, x) => n.node({ op: 'elementwise', inputs: [x], apply });
/** Numbers above 0, for functions that have no others. */
const positive: Make = (n, x) => n.node({ op: 'binary', fn: 'add', inputs: [n.node({ op: 'elementwise', inputs: [x], apply: { fn: 'abs' } }), n.scalar(0.1)] });
const POSITIVE_ONLY = new Set(['log', 'rsqrt', 'sqrt', 'log1p', 'reciprocal']);

const CASES: Readonly<Record<string, Make>> = {
  ...Object.fromEntries(PLAIN_FUNCTIONS.map((fn): [string, Make] => [fn, (n, x) => elementwise({ fn })(n, POSITIVE_ONLY.has(fn) ? positive(n, x) : x)])),
  'clip to 0 to 6': (n, x) => elementwise({ fn: 'clip', min: 0, max: 6 })(n, n.node({ op: 'binary', fn: 'mul', inputs: [x, n.scalar(9)] })),
  'clip on one side': (n, x) => elementwise({ fn: 'clip', min: -Infinity, max: 0.5 })(n, elementwise({ fn: 'clip', min: -0.5, max: Infinity })(n, x)),
  leakyRelu: elementwise({ fn: 'leakyRelu', alpha: 0.3 }),
  elu: elementwise({ fn: 'elu', alpha: 1 }),
  'elu of another alpha': elementwise({ fn: 'elu', alpha: 0.5 }),
  hardSigmoid: elementwise({ fn: 'hardSigmoid', alpha: 0.2, beta: 0.5 }),
  thresholdedRelu: elementwise({ fn: 'thresholdedRelu', theta: 0.3 }),
  ...Object.fromEntries(BINARY_FUNCTIONS.map((fn): [string, Make] => [`${fn} of two tensors`, (n, x) => n.node({ op: 'binary', fn, inputs: fn === 'pow' ? [positive(n, x), positive(n, n.conv(x, [1, 1], 3))] : fn === 'floorDiv' ? [n.node({ op: 'binary', fn: 'mul', inputs: [x, n.scalar(50)] }), n.scalar(0.7)] : [x, n.conv(x, [1, 1], 3)] })])),
  'sum with a weight of rows': (n, x) => n.node({ op: 'binary', fn: 'add', inputs: [n.conv(x, [1, 1], 4), n.numbers([9, 1, 1])] }),
  'a weight less a tensor': (n, x) => n.node({ op: 'binary', fn: 'sub', inputs: [n.numbers([3]), x] }),
  'a weight over a tensor': (n, x) => n.node({ op: 'binary', fn: 'div', inputs: [n.numbers([3]), positive(n, x)] }),
  'a choice between two tensors': (n, x) => n.node({ op: 'select', inputs: [n.node({ op: 'elementwise', inputs: [x], apply: { fn: 'relu' } }), n.conv(x, [1, 1], 3), n.numbers([3])] }),
  'product with a gate of one number a channel': (n, x) => {
    const features = n.conv(x, [3, 3], 4);
    const gate = n.node({ op: 'matmul', inputs: [n.node({ op: 'reduce', kind: 'mean', inputs: [features], axes: [1, 2], keepDims: false }), n.numbers([4, 4])], transposeA: false, transposeB: false });
    return n.node({ op: 'binary', fn: 'mul', inputs: [features, n.node({ op: 'reshape', inputs: [gate], shape: [0, 1, 1, 4] })] });
  },
  prelu: (n, x) => n.node({ op: 'prelu', inputs: [n.conv(x, [1, 1], 4), n.numbers([1, 1, 4])] }),
  'prelu of a vector': (n, x) => n.node({ op: 'prelu', inputs: [n.node({ op: 'reshape', inputs: [x], shape: [0, -1] }), n.numbers([297])] }),
  'convolution': (n, x) => n.conv(x, [3, 2], 5),
  'convolution without a bias': (n, x) => n.conv(x, [1, 1], 5, { bias: false }),
  'convolution with "same" padding that is not symmetric': (n, x) => n.conv(x, [3, 2], 5, { strides: [2, 2], padding: same(n, x, [3, 2], [2, 2]) }),
  'convolution with unequal strides': (n, x) => n.conv(x, [3, 3], 5, { strides: [1, 2], padding: [2, 0, 1, 1] }),
  'dilated convolution': (n, x) => n.conv(x, [3, 3], 5, { dilations: [2, 3], padding: same(n, x, [3, 3], [1, 1], [2, 3]) }),
  'grouped convolution': (n, x) => n.conv(n.conv(x, [1, 1], 6), [3, 3], 4, { groups: 2, padding: [1, 1, 1, 1] }),
  'depthwise convolution': (n, x) => n.depthwise(x, [3, 3], 1, { strides: [2, 2], padding: same(n, x, [3, 3], [2, 2]) }),
  'depthwise convolution with depth multiplier 2': (n, x) => n.depthwise(x, [3, 3], 2, { padding: [1, 1, 1, 1] }),
  'dilated depthwise convolution': (n, x) => n.depthwise(x, [3, 3], 2, { dilations: [2, 2] }),
  'separable convolution': (n, x) => n.conv(n.depthwise(x, [3, 3], 2, { padding: same(n, x, [3, 3], [1, 1]) }), [1, 1], 5),
  'transposed convolution': (n, x) => n.node({ op: 'convTranspose', inputs: [x, n.numbers([3, 3, 4, 3]), n.numbers([4])], strides: [2, 2], padding: [0, 1, 1, 0], extra: [0, 0] }),
  'transposed convolution with extra rows': (n, x) => n.node({ op: 'convTranspose', inputs: [x, n.numbers([2, 2, 4, 3])], strides: [3, 3], padding: [0, 0, 0, 0], extra: [1, 1] }),
  'average pooling that leaves its padding out': (n, x) => n.node({ op: 'pool', kind: 'average', inputs: [x], size: [3, 3], strides: [2, 2], padding: same(n, x, [3, 3], [2, 2]) }),
  'average pooling with padding of another shape': (n, x) => n.node({ op: 'pool', kind: 'average', inputs: [x], size: [3, 2], strides: [1, 2], padding: [2, 1, 1, 0] }),
  'maximum pooling': (n, x) => n.node({ op: 'pool', kind: 'max', inputs: [n.conv(x, [1, 1], 3)], size: [3, 3], strides: [2, 2], padding: [1, 1, 1, 0] }),
  'pooling of the whole': (n, x) => n.node({ op: 'pool', kind: 'average', inputs: [x], size: [9, 11], strides: [1, 1], padding: [0, 0, 0, 0] }),
  'batch norm of an image': (n, x) => n.batchNorm(x),
  'batch norm after a convolution': (n, x) => n.relu(n.batchNorm(n.conv(x, [3, 3], 4, { padding: [1, 1, 1, 1] }))),
  'batch norm of a vector': (n, x) => n.batchNorm(n.node({ op: 'reduce', kind: 'max', inputs: [x], axes: [1, 2], keepDims: false })),
  'batch norm of three sizes': (n, x) => n.batchNorm(n.node({ op: 'reshape', inputs: [x], shape: [0, 99, 3] })),
  ...Object.fromEntries((['mean', 'sum', 'max', 'min', 'prod'] as const).flatMap((kind) => [[[1, 2], false], [[1, 2], true], [[3], false], [[2], false], [[1, 2, 3], true]].map(([axes, keepDims]): [string, Make] => [`${kind} over ${String(axes)}${keepDims ? ', kept' : ''}`, (n, x) => n.node({ op: 'reduce', kind, inputs: [x], axes: axes as number[], keepDims: keepDims as boolean })]))),
  'mean of a convolution over columns': (n, x) => n.node({ op: 'reduce', kind: 'mean', inputs: [n.conv(x, [1, 1], 4)], axes: [2], keepDims: false }),
  'softmax over channels': (n, x) => n.node({ op: 'softmax', inputs: [n.conv(x, [1, 1], 4)], axis: 3, log: false }),
  'logarithm of the softmax over rows': (n, x) => n.node({ op: 'softmax', inputs: [n.conv(x, [1, 1], 4)], axis: 1, log: true }),
  'flattening of a convolution': (n, x) => n.node({ op: 'matmul', inputs: [n.node({ op: 'reshape', inputs: [n.conv(x, [3, 3], 2)], shape: [0, -1] }), n.numbers([126, 7]), n.numbers([7])], transposeA: false, transposeB: false }),
  'matrix product of three sizes, transposed': (n, x) => n.node({ op: 'matmul', inputs: [n.node({ op: 'reshape', inputs: [x], shape: [0, 9, 33] }), n.numbers([5, 33]), n.numbers([5])], transposeA: false, transposeB: true }),
  'matrix product of two tensors, the first transposed': (n, x) => {
    const flat = n.node({ op: 'reshape', inputs: [x], shape: [0, 9, 33] });
    return n.node({ op: 'matmul', inputs: [flat, flat], transposeA: true, transposeB: false });
  },
  'dense with an activation': (n, x) => n.relu(n.node({ op: 'matmul', inputs: [n.node({ op: 'reshape', inputs: [x], shape: [0, -1] }), n.numbers([7, 297]), n.numbers([7])], transposeA: false, transposeB: true })),
  'transposition to channels first': (n, x) => n.node({ op: 'transpose', inputs: [n.conv(x, [1, 1], 4)], order: [0, 3, 1, 2] }),
  'concatenation of channels': (n, x) => n.node({ op: 'concat', inputs: [n.conv(x, [1, 1], 4), x, n.conv(x, [1, 1], 2)], axis: 3 }),
  'concatenation of rows': (n, x) => n.node({ op: 'concat', inputs: [n.conv(x, [1, 1], 3), x], axis: 1 }),
  ...Object.fromEntries((['constant', 'reflect', 'symmetric'] as const).map((mode): [string, Make] => [`padding: ${mode}`, (n, x) => n.node({ op: 'pad', inputs: [n.conv(x, [1, 1], 4)], mode, before: [0, 1, 2, 0], after: [0, 3, 1, 0], value: 0.5 })])),
  'padding of channels': (n, x) => n.node({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 0, 0, 1], after: [0, 0, 0, 2], value: -1 }),
  'padding before a convolution': (n, x) => n.conv(n.node({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 0, 0, 0], after: [0, 1, 1, 0], value: 0 }), [3, 3], 4, { strides: [2, 2] }),
  'padding before a maximum of what is not negative': (n, x) => n.node({ op: 'pool', kind: 'max', inputs: [n.node({ op: 'pad', inputs: [n.relu(n.conv(x, [1, 1], 4))], mode: 'constant', before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: 0 })], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] }),
  'padding before a maximum of what may be negative': (n, x) => n.node({ op: 'pool', kind: 'max', inputs: [n.node({ op: 'pad', inputs: [n.node({ op: 'binary', fn: 'sub', inputs: [n.conv(x, [1, 1], 4), n.scalar(9)] })], mode: 'constant', before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: 0 })], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] }),
  'padding before an average': (n, x) => n.node({ op: 'pool', kind: 'average', inputs: [n.node({ op: 'pad', inputs: [n.relu(n.conv(x, [1, 1], 4))], mode: 'constant', before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: 0 })], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] }),
  slice: (n, x) => n.node({ op: 'slice', inputs: [n.conv(x, [1, 1], 4)], begin: [0, 1, 8, 1], count: [-1, 4, 4, 2], step: [1, 2, -2, 1] }),
  'slice backwards to the first': (n, x) => n.node({ op: 'slice', inputs: [x], begin: [0, 8, 0, 0], count: [-1, 9, 11, 3], step: [1, -1, 1, 1] }),
  gather: (n, x) => n.node({ op: 'gather', inputs: [n.conv(x, [1, 1], 4)], axis: 3, indices: [3, 0, 0, 1, 2] }),
  tile: (n, x) => n.node({ op: 'tile', inputs: [n.conv(x, [1, 1], 2)], repeats: [1, 2, 1, 3] }),
  ...Object.fromEntries((['bilinear', 'nearest'] as const).flatMap((method) => [[false, false], [true, false], [false, true]].flatMap(([alignCorners, halfPixelCenters]) => ([[5, 17], [18, 6]] as const).map((size): [string, Make] => [`resize to ${String(size)}, ${method}${alignCorners ? ', corners aligned' : ''}${halfPixelCenters ? ', centres halved' : ''}`, (n, x) => n.node({ op: 'resize', inputs: [x], method, size, alignCorners: alignCorners!, halfPixelCenters: halfPixelCenters! })])))),
  'local response normalisation': (n, x) => n.node({ op: 'lrn', inputs: [n.conv(x, [1, 1], 6)], radius: 2, bias: 1, alpha: 0.1, beta: 0.5 }),
  'hard swish in parts': (n, x) => n.node({ op: 'binary', fn: 'mul', inputs: [x, n.node({ op: 'binary', fn: 'mul', inputs: [elementwise({ fn: 'clip', min: 0, max: 6 })(n, n.node({ op: 'binary', fn: 'add', inputs: [x, n.scalar(3)] })), n.scalar(1 / 6)] })] }),
  'a kernel that two convolutions share': (n, x) => {
    const kernel = n.numbers([3, 3, 3, 3]);
    const once = (from: string): string => n.batchNorm(n.node({ op: 'conv', inputs: [from, kernel], strides: [1, 1], dilations: [1, 1], padding: [1, 1, 1, 1], groups: 1 }));
    return once(once(x));
  },
};

async function compute(network: Network, pixels: Uint8Array, count: number): Promise<Float32Array> {
  const engine = await onnxruntime.create(modelOf(network), ENGINE);
  try {
    return await engine.embed(pixels, count);
  } finally {
    await engine.dispose();
  }
}

describe.each(Object.entries(CASES))('%s', (name, make) => {
  it('gives in onnxruntime what it gives in TF.js', async () => {
    const tiny = new TinyNetwork();
    const network = tiny.flat(make(tiny, tiny.input));
    const model = modelOf(network);
    const prepared = prepareNetwork(model);
    const images = [1, 2].map((seed) => drawPixels(model, seed));
    const expected = await Promise.all(images.map((pixels) => computeOnCpu(prepared.network, Float32Array.from(pixels))));
    expect(new Set(expected[0]).size).toBeGreaterThan(expected[0]!.length > 3 && !/sign|floor|ceil|round/i.test(name) ? 3 : 0);
    const both = await compute(network, Uint8Array.from([...images[0]!, ...images[1]!]), 2);
    expect(furthest(both, Float32Array.from([...expected[0]!, ...expected[1]!]))).toBeLessThan(1e-4);
    expect(furthest(await compute(network, images[0]!, 1), expected[0]!)).toBeLessThan(1e-4);
    expect(furthest(await computeOnCpu(optimise(prepared.network), Float32Array.from(images[1]!)), expected[1]!)).toBeLessThan(1e-4);
  });

  it('can be computed by TF.js on WebAssembly, which every engine is compared with', async () => {
    await loadTfjsWasm();
    const tiny = new TinyNetwork();
    const network = tiny.flat(make(tiny, tiny.input));
    const numbers = drawNumbers(network);
    expect(furthest(await computeOnCpu(network, numbers, 'wasm'), await computeOnCpu(network, numbers))).toBeLessThan(1e-4);
  });
});

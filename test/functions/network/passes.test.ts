/** Each pass alone: fewer nodes, the same numbers. */
import { describe, expect, it } from 'vitest';
import { dropIdleNodes } from '../../../functions/network/drop-idle.js';
import { foldAffineIntoConsumers, foldAffineIntoProducers } from '../../../functions/network/fold-affine.js';
import { fuseActivations } from '../../../functions/network/fuse-activations.js';
import { mergePadding } from '../../../functions/network/merge-padding.js';
import type { Network, NetworkNode } from '../../../functions/network/network.js';
import { optimise } from '../../../functions/network/optimise.js';
import { recogniseActivations } from '../../../functions/network/recognise-activations.js';
import { prune, type Pass } from '../../../functions/network/rewrite.js';
import { computeOnCpu, drawNumbers, furthest } from '../support/compute.js';
import { TinyNetwork } from '../support/tiny-network.js';

const ops = ({ nodes }: Network): string[] => nodes.map(({ op }) => op).filter((op) => op !== 'input' && op !== 'reshape');
const find = <Op extends NetworkNode['op']>({ nodes }: Network, op: Op): Extract<NetworkNode, { op: Op }> => nodes.find((node) => node.op === op) as Extract<NetworkNode, { op: Op }>;

/** Applies a pass, and holds its result to the numbers of the network as it was. */
async function apply(pass: Pass, network: Network): Promise<Network> {
  const before = structuredClone(network);
  const rewritten = pass(network);
  expect(network).toEqual(before);
  const numbers = drawNumbers(network);
  expect(furthest(await computeOnCpu(rewritten, numbers), await computeOnCpu(network, numbers))).toBeLessThan(1e-5);
  expect(new Set(rewritten.nodes.flatMap(({ inputs }) => inputs).filter((name) => rewritten.weights.has(name)))).toEqual(new Set(rewritten.weights.keys()));
  return rewritten;
}

describe('prune()', () => {
  it('keeps what the output is computed from, and the weights of that', async () => {
    const n = new TinyNetwork();
    const features = n.conv(n.input, [3, 3], 4);
    const head = n.conv(features, [1, 1], 9);
    const whole = n.build(head);
    const cut = prune({ ...whole, output: features });
    expect(cut.nodes.map(({ name }) => name)).toEqual([n.input, features]);
    expect(cut.weights.size).toBe(2);
    await apply(prune, { ...whole, output: features });
  });

  it('keeps the input of a network that does not look at its image', () => {
    const n = new TinyNetwork();
    const constant = n.node({ op: 'elementwise', inputs: [n.numbers([1, 4])], apply: { fn: 'relu' } });
    expect(prune(n.build(constant)).nodes.map(({ op }) => op)).toEqual(['input', 'elementwise']);
  });
});

describe('foldAffineIntoProducers()', () => {
  it('folds a batch norm into the convolution before it', async () => {
    const n = new TinyNetwork();
    const folded = await apply(foldAffineIntoProducers, n.flat(n.relu(n.batchNorm(n.conv(n.input, [3, 3], 4, { bias: false })))));
    expect(ops(folded)).toEqual(['conv', 'elementwise']);
    expect(find(folded, 'conv').inputs).toHaveLength(3);
  });

  it.each(['depthwise', 'convTranspose', 'matmul', 'transposed matmul', 'grouped conv'])('folds a batch norm into a %s', async (kind) => {
    const n = new TinyNetwork();
    const linear = {
      depthwise: () => n.depthwise(n.input, [3, 3], 2),
      convTranspose: () => n.node({ op: 'convTranspose', inputs: [n.input, n.numbers([2, 3, 4, 3])], strides: [2, 2], padding: [0, 0, 0, 0], extra: [0, 0] }),
      matmul: () => n.node({ op: 'matmul', inputs: [n.input, n.numbers([3, 5])], transposeA: false, transposeB: false }),
      'transposed matmul': () => n.node({ op: 'matmul', inputs: [n.input, n.numbers([5, 3]), n.numbers([5])], transposeA: false, transposeB: true }),
      'grouped conv': () => n.conv(n.conv(n.input, [1, 1], 4), [3, 3], 6, { groups: 2 }),
    }[kind]!();
    expect(ops(await apply(foldAffineIntoProducers, n.flat(n.batchNorm(linear))))).not.toContain('batchNorm');
  });

  it('folds constants that are added, taken off, multiplied with and divided by, one after the other', async () => {
    const n = new TinyNetwork();
    let x = n.conv(n.input, [1, 1], 4);
    for (const fn of ['add', 'mul', 'sub', 'div'] as const) x = n.node({ op: 'binary', fn, inputs: [x, n.numbers([4], [0.5, 1, 2, -3])] });
    x = n.node({ op: 'binary', fn: 'sub', inputs: [n.scalar(1), x] });
    x = n.node({ op: 'binary', fn: 'mul', inputs: [n.numbers([1, 1, 1, 4]), x] });
    expect(ops(await apply(foldAffineIntoProducers, n.flat(x)))).toEqual(['conv']);
  });

  it('leaves what something else takes too, what is behind an activation, and what is not by channel', async () => {
    const n = new TinyNetwork();
    const features = n.conv(n.input, [1, 1], 4);
    const normalised = n.batchNorm(features);
    const activated = n.batchNorm(n.relu(n.conv(n.input, [1, 1], 4)));
    const byRow = n.node({ op: 'binary', fn: 'add', inputs: [n.conv(n.input, [1, 1], 4), n.numbers([9, 1, 1])] });
    const quotient = n.node({ op: 'binary', fn: 'div', inputs: [n.numbers([4]), n.conv(n.input, [1, 1], 4)] });
    const sum = [normalised, activated, byRow, quotient].reduce((a, b) => n.node({ op: 'binary', fn: 'add', inputs: [a, b] }), features);
    const network = n.flat(sum);
    expect(foldAffineIntoProducers(network).nodes).toHaveLength(network.nodes.length);
  });

  it('leaves a scale that is not finite to the engine', () => {
    const n = new TinyNetwork();
    const network = n.flat(n.node({ op: 'binary', fn: 'div', inputs: [n.conv(n.input, [1, 1], 2), n.numbers([2], [0, 1])] }));
    expect(ops(foldAffineIntoProducers(network))).toEqual(['conv', 'binary']);
  });

  it('gives each use of a shared kernel a kernel of its own', async () => {
    const n = new TinyNetwork();
    const kernel = n.numbers([1, 1, 3, 3]);
    const once = (x: string): string => n.batchNorm(n.node({ op: 'conv', inputs: [x, kernel], strides: [1, 1], dilations: [1, 1], padding: [0, 0, 0, 0], groups: 1 }));
    const folded = await apply(foldAffineIntoProducers, n.flat(once(once(n.input))));
    expect(ops(folded)).toEqual(['conv', 'conv']);
    expect(folded.weights.size).toBe(4);
  });
});

describe('foldAffineIntoConsumers()', () => {
  const scaled = (n: TinyNetwork, scale: readonly number[], shift: readonly number[]): string => n.node({ op: 'binary', fn: 'add', inputs: [n.node({ op: 'binary', fn: 'mul', inputs: [n.input, n.numbers([3], scale)] }), n.numbers([3], shift)] });

  it('folds the scaling of pixels into the convolution behind it', async () => {
    const n = new TinyNetwork();
    expect(ops(await apply(foldAffineIntoConsumers, n.flat(n.conv(scaled(n, [0.5, 2, 3], [-1, 0.2, 5]), [3, 3], 4))))).toEqual(['conv']);
  });

  it('pads with what becomes 0 where the convolution pads, if that is the same for all channels', async () => {
    const n = new TinyNetwork();
    const folded = await apply(foldAffineIntoConsumers, n.flat(n.conv(scaled(n, [0.5, 2, 4], [-1, -4, -8]), [3, 3], 4, { strides: [2, 2], padding: [0, 1, 1, 1] })));
    expect(ops(folded)).toEqual(['pad', 'conv']);
    expect(find(folded, 'pad').value).toBe(2);
  });

  it('leaves a shift that differs by channel before padding, and folds a mere scale', async () => {
    const n = new TinyNetwork();
    expect(ops(await apply(foldAffineIntoConsumers, n.flat(n.conv(scaled(n, [0.5, 2, 4], [1, 2, 3]), [3, 3], 4, { padding: [1, 1, 1, 1] }))))).toEqual(['binary', 'binary', 'conv']);
    const m = new TinyNetwork();
    expect(ops(await apply(foldAffineIntoConsumers, m.flat(m.depthwise(m.node({ op: 'binary', fn: 'mul', inputs: [m.input, m.numbers([3])] }), [3, 3], 2, { padding: [1, 1, 1, 1] }))))).toEqual(['depthwise']);
  });

  it.each([false, true])('folds into a matrix product (transposed: %s)', async (transposeB) => {
    const n = new TinyNetwork();
    expect(ops(await apply(foldAffineIntoConsumers, n.flat(n.node({ op: 'matmul', inputs: [n.batchNorm(n.input), n.numbers(transposeB ? [5, 3] : [3, 5])], transposeA: false, transposeB }))))).toEqual(['matmul']);
  });

  it('leaves grouped convolutions, and what something else takes too', () => {
    const n = new TinyNetwork();
    const normalised = n.batchNorm(n.conv(n.input, [1, 1], 4));
    const network = n.flat(n.node({ op: 'concat', inputs: [n.conv(n.batchNorm(n.conv(n.input, [1, 1], 4)), [1, 1], 4, { groups: 2 }), n.conv(normalised, [1, 1], 2), normalised], axis: 3 }));
    expect(foldAffineIntoConsumers(network).nodes).toHaveLength(network.nodes.length);
  });
});

describe('fuseActivations()', () => {
  it('puts an activation into what is before it, one only', async () => {
    const n = new TinyNetwork();
    const twice = n.node({ op: 'elementwise', inputs: [n.relu(n.conv(n.input, [3, 3], 4))], apply: { fn: 'tanh' } });
    const fused = await apply(fuseActivations, n.flat(twice));
    expect(ops(fused)).toEqual(['conv', 'elementwise']);
    expect(find(fused, 'conv').activation).toEqual({ fn: 'relu' });
  });

  it('leaves one whose argument something else takes too', async () => {
    const n = new TinyNetwork();
    const features = n.conv(n.input, [3, 3], 4);
    expect(ops(await apply(fuseActivations, n.flat(n.node({ op: 'binary', fn: 'add', inputs: [n.relu(features), features] }))))).toEqual(['conv', 'elementwise', 'binary']);
  });

  it('follows names: what took the activation takes the convolution, the output too', async () => {
    const n = new TinyNetwork();
    const last = n.relu(n.conv(n.relu(n.conv(n.input, [1, 1], 4)), [9, 11], 2));
    const fused = await apply(fuseActivations, n.build(last));
    expect(ops(fused)).toEqual(['conv', 'conv']);
    expect(fused.output).toBe(fused.nodes.at(-1)!.name);
  });
});

describe('mergePadding()', () => {
  const pad = (n: TinyNetwork, x: string, value = 0): string => n.node({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 1, 2, 0], after: [0, 0, 1, 0], value });

  it('merges zeros into a convolution, on top of its own padding', async () => {
    const n = new TinyNetwork();
    const merged = await apply(mergePadding, n.flat(n.conv(pad(n, n.input), [3, 3], 4, { padding: [1, 1, 0, 0] })));
    expect(ops(merged)).toEqual(['conv']);
    expect(find(merged, 'conv').padding).toEqual([2, 1, 2, 1]);
  });

  it('merges zeros into a maximum of numbers that are not negative, and of no others', async () => {
    const max = (n: TinyNetwork, x: string): Network => n.flat(n.node({ op: 'pool', kind: 'max', inputs: [pad(n, x)], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] }));
    const [n, m] = [new TinyNetwork(), new TinyNetwork()];
    expect(ops(await apply(mergePadding, max(n, n.relu(n.conv(n.input, [1, 1], 4)))))).toEqual(['conv', 'elementwise', 'pool']);
    expect(ops(await apply(mergePadding, max(m, m.conv(m.input, [1, 1], 4))))).toEqual(['conv', 'pad', 'pool']);
  });

  it('leaves other values, an average, and what something else takes too', async () => {
    for (const make of [
      (n: TinyNetwork): string => n.conv(pad(n, n.input, 1), [3, 3], 4),
      (n: TinyNetwork): string => n.node({ op: 'pool', kind: 'average', inputs: [pad(n, n.relu(n.input))], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] }),
      (n: TinyNetwork): string => {
        const padded = pad(n, n.input);
        return n.node({ op: 'concat', inputs: [n.conv(padded, [1, 1], 3), padded], axis: 3 });
      },
    ]) {
      const n = new TinyNetwork();
      expect(ops(await apply(mergePadding, n.flat(make(n))))).toContain('pad');
    }
  });
});

describe('recogniseActivations()', () => {
  type Make = (n: TinyNetwork, x: string) => string;
  const pair = (n: TinyNetwork, fn: 'add' | 'mul' | 'div', a: string, b: string): string => n.node({ op: 'binary', fn, inputs: [a, b] });
  const relu6 = (n: TinyNetwork, x: string): string => n.node({ op: 'elementwise', inputs: [x], apply: { fn: 'clip', min: 0, max: 6 } });
  const shifted: Make = (n, x) => relu6(n, pair(n, 'add', x, n.scalar(3)));
  it.each<[string, Make, string]>([
    ['x · sigmoid(x)', (n, x) => pair(n, 'mul', n.node({ op: 'elementwise', inputs: [x], apply: { fn: 'sigmoid' } }), x), 'swish'],
    ['relu6(x + 3) / 6', (n, x) => pair(n, 'div', shifted(n, x), n.scalar(6)), 'hardSigmoid'],
    ['relu6(3 + x) · ⅙', (n, x) => pair(n, 'mul', n.scalar(1 / 6), relu6(n, pair(n, 'add', n.scalar(3), x))), 'hardSigmoid'],
    ['x · (relu6(x + 3) · ⅙)', (n, x) => pair(n, 'mul', x, pair(n, 'mul', shifted(n, x), n.scalar(1 / 6))), 'hardSwish'],
    ['(x · relu6(x + 3)) / 6', (n, x) => pair(n, 'div', pair(n, 'mul', x, shifted(n, x)), n.scalar(6)), 'hardSwish'],
    ['(relu6(x + 3) · x) · ⅙', (n, x) => pair(n, 'mul', pair(n, 'mul', shifted(n, x), x), n.scalar(1 / 6)), 'hardSwish'],
  ])('recognises %s', async (_, make, fn) => {
    const n = new TinyNetwork();
    const rewritten = await apply(recogniseActivations, n.flat(make(n, n.input)));
    expect(ops(rewritten)).toEqual(['elementwise']);
    expect(find(rewritten, 'elementwise').apply.fn).toBe(fn);
  });

  it('leaves what only looks like them', async () => {
    const n = new TinyNetwork();
    const y = n.conv(n.input, [1, 1], 3);
    const gate = n.node({ op: 'elementwise', inputs: [y], apply: { fn: 'sigmoid' } });
    const almost = pair(n, 'mul', relu6(n, pair(n, 'add', n.input, n.scalar(2))), n.scalar(1 / 6));
    const network = n.flat(pair(n, 'add', pair(n, 'mul', n.input, gate), almost));
    expect(ops(await apply(recogniseActivations, network))).toEqual(ops(network));
  });
});

describe('passes over networks that nobody trained', () => {
  const grown = (n: TinyNetwork, x: string, links: number, spec: (from: string) => Parameters<TinyNetwork['node']>[0]): string => Array.from({ length: links }).reduce<string>((from) => n.node(spec(from)), x);

  it('end, however long the chains are', () => {
    const n = new TinyNetwork({ height: 2, width: 2, channels: 3 });
    const factor = n.numbers([3], [1, 1, 1]);
    const idle = grown(n, n.input, 20_000, (x) => ({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 0, 0, 0], after: [0, 0, 0, 0], value: 0 }));
    const scaled = grown(n, idle, 20_000, (x) => ({ op: 'binary', fn: 'mul', inputs: [x, factor] }));
    expect(ops(optimise(n.flat(n.conv(scaled, [1, 1], 4)))).at(-1)).toBe('conv');
  });

  it('end, however often tensors are taken', () => {
    const n = new TinyNetwork({ height: 4, width: 4, channels: 1 });
    let x = n.relu(n.input);
    for (let i = 0; i < 12; i++) x = n.node({ op: 'pool', kind: 'max', size: [1, 1], strides: [1, 1], padding: [0, 0, 0, 0], inputs: [n.node({ op: 'reduce', kind: 'max', inputs: [n.node({ op: 'concat', inputs: Array<string>(40).fill(x), axis: 3 })], axes: [3], keepDims: true })] });
    const padded = n.node({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: 0 });
    expect(ops(optimise(n.flat(n.node({ op: 'pool', kind: 'max', size: [3, 3], strides: [1, 1], padding: [0, 0, 0, 0], inputs: [padded] }))))).toContain('pad');
  });

  it('leave a gate that grows an axis', async () => {
    const n = new TinyNetwork({ height: 1, width: 1, channels: 3 });
    const flat = n.node({ op: 'reshape', inputs: [n.input], shape: [0, 3] });
    const gate = n.node({ op: 'binary', fn: 'div', inputs: [n.node({ op: 'elementwise', inputs: [n.node({ op: 'binary', fn: 'add', inputs: [flat, n.numbers([1, 1, 1, 1], [3])] })], apply: { fn: 'clip', min: 0, max: 6 } }), n.scalar(6)] });
    expect(ops(await apply(recogniseActivations, n.build(gate)))).toContain('binary');
  });
});

describe('dropIdleNodes()', () => {
  it('drops what gives back what it takes', async () => {
    const n = new TinyNetwork();
    let x = n.conv(n.input, [1, 1], 4);
    x = n.node({ op: 'elementwise', inputs: [x], apply: { fn: 'clip', min: -Infinity, max: Infinity } });
    x = n.node({ op: 'pad', inputs: [x], mode: 'constant', before: [0, 0, 0, 0], after: [0, 0, 0, 0], value: 0 });
    x = n.node({ op: 'reshape', inputs: [x], shape: [0, 9, 11, 4] });
    x = n.node({ op: 'transpose', inputs: [x], order: [0, 1, 2, 3] });
    x = n.node({ op: 'concat', inputs: [x], axis: 3 });
    x = n.node({ op: 'tile', inputs: [x], repeats: [1, 1, 1, 1] });
    x = n.node({ op: 'slice', inputs: [x], begin: [0, 0, 0, 0], count: [-1, 9, 11, 4], step: [1, 1, 1, 1] });
    x = n.node({ op: 'pool', kind: 'max', inputs: [x], size: [1, 1], strides: [1, 1], padding: [0, 0, 0, 0] });
    const dropped = await apply(dropIdleNodes, n.build(x));
    expect(dropped.nodes.map(({ op }) => op)).toEqual(['input', 'conv']);
  });

  it('keeps what only seems to', async () => {
    const n = new TinyNetwork();
    let x = n.node({ op: 'slice', inputs: [n.input], begin: [0, 8, 0, 0], count: [-1, 9, 11, 3], step: [1, -1, 1, 1] });
    x = n.node({ op: 'pool', kind: 'max', inputs: [x], size: [1, 1], strides: [2, 2], padding: [0, 0, 0, 0] });
    const network = n.flat(n.node({ op: 'reshape', inputs: [x], shape: [0, 6, 5, 3] }));
    expect((await apply(dropIdleNodes, network)).nodes).toHaveLength(network.nodes.length);
  });
});

describe('optimise()', () => {
  it('leaves of a block of ResNet its convolutions and their sum', async () => {
    const n = new TinyNetwork({ height: 16, width: 16, channels: 3 });
    const start = n.relu(n.batchNorm(n.conv(n.node({ op: 'pad', inputs: [n.input], mode: 'constant', before: [0, 3, 3, 0], after: [0, 3, 3, 0], value: 0 }), [7, 7], 4, { strides: [2, 2] })));
    const pooled = n.node({ op: 'pool', kind: 'max', inputs: [n.node({ op: 'pad', inputs: [start], mode: 'constant', before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: 0 })], size: [3, 3], strides: [2, 2], padding: [0, 0, 0, 0] });
    const branch = n.batchNorm(n.conv(n.relu(n.batchNorm(n.conv(pooled, [1, 1], 4))), [3, 3], 4, { padding: [1, 1, 1, 1] }));
    const block = n.relu(n.node({ op: 'binary', fn: 'add', inputs: [branch, n.batchNorm(n.conv(pooled, [1, 1], 4))] }));
    const network = n.build(n.node({ op: 'reduce', kind: 'mean', inputs: [block], axes: [1, 2], keepDims: false }));
    expect(ops(await apply(optimise, network))).toEqual(['conv', 'pool', 'conv', 'conv', 'conv', 'binary', 'elementwise', 'reduce']);
  });
});

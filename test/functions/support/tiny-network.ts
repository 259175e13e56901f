/** Small networks, written with the builder, with seeded weights. */
import type { LoadedModel } from '../../../functions/models/model.js';
import { NetworkBuilder, type NodeSpec } from '../../../functions/network/network-builder.js';
import { NO_PADDING, sizeOf, type Network, type Pair, type Shape, type Sides } from '../../../functions/network/network.js';
import { seededRandom } from './tiny-model.js';

/** A builder with short words for what tests add. */
export class TinyNetwork extends NetworkBuilder {
  readonly #random = seededRandom(5);
  #count = 0;

  constructor(readonly size: { readonly height: number; readonly width: number; readonly channels: 1 | 3 } = { height: 9, width: 11, channels: 3 }) {
    super(size);
  }

  /** Adds a node; gives its name. */
  node(spec: NodeSpec): string {
    return this.add(`${spec.op}${this.#count++}`, spec);
  }

  /** Seeded numbers, small enough for sums of them to stay so; or those that are given. */
  numbers(shape: Shape, values?: readonly number[]): string {
    const reach = Math.sqrt(3 / Math.max(1, sizeOf(shape.slice(0, -1))));
    return this.addWeight(`weight${this.#count++}`, shape, values ?? Array.from({ length: sizeOf(shape) }, () => (this.#random() * 2 - 1) * reach));
  }

  conv(x: string, kernel: readonly [number, number], channels: number, changes: Partial<{ strides: Pair; dilations: Pair; padding: Sides; groups: number; bias: boolean }> = {}): string {
    const { strides = [1, 1], dilations = [1, 1], padding = NO_PADDING, groups = 1, bias = true } = changes;
    const taken = this.shape(x)[3] as number;
    return this.node({ op: 'conv', inputs: [x, this.numbers([...kernel, taken / groups, channels]), ...(bias ? [this.numbers([channels])] : [])], strides, dilations, padding, groups });
  }

  depthwise(x: string, kernel: readonly [number, number], multiplier: number, changes: Partial<{ strides: Pair; dilations: Pair; padding: Sides }> = {}): string {
    const { strides = [1, 1], dilations = [1, 1], padding = NO_PADDING } = changes;
    const taken = this.shape(x)[3] as number;
    return this.node({ op: 'depthwise', inputs: [x, this.numbers([...kernel, taken, multiplier]), this.numbers([taken * multiplier])], strides, dilations, padding });
  }

  batchNorm(x: string): string {
    const channels = this.shape(x).at(-1) as number;
    const variance = Array.from({ length: channels }, () => 0.5 + this.#random());
    return this.node({ op: 'batchNorm', inputs: [x, ...[0, 1, 2].map(() => this.numbers([channels])), this.numbers([channels], variance)], epsilon: 1e-3 });
  }

  relu(x: string): string {
    return this.node({ op: 'elementwise', inputs: [x], apply: { fn: 'relu' } });
  }

  scalar(value: number): string {
    return this.numbers([], [value]);
  }

  /** The network whose result is all numbers of `x` side by side. */
  flat(x: string): Network {
    return this.build(this.shape(x).length === 2 ? x : this.node({ op: 'reshape', inputs: [x], shape: [0, -1] }));
  }
}

/** A network as a loader gives it. */
export function modelOf(network: Network, changes: Partial<LoadedModel> = {}): LoadedModel {
  const [, height, width, channels] = network.nodes[0]!.op === 'input' ? network.nodes[0].shape : [];
  return { name: 'tiny', format: 'test', file: 'tiny.json', version: 'f'.repeat(64), network, input: { height: height!, width: width!, channels: channels as 1 | 3 }, layer: network.output, preprocess: '[-1,1]', ...changes };
}

/** How pixels become the numbers that a network was trained with: as nodes of the network, where passes fold them into its first convolution. */
import type { Preprocess } from '../../common/config.js';
import { inputOf, unusedName, type Network, type NetworkNode, type Weight } from '../network/network.js';

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

/** Luma of ITU-R BT.601, as image tools turn colours to grey. */
const GREY = [0.299, 0.587, 0.114];

/**
 * The network that takes pixels: RGB, 0 to 255, `[batch, rows, columns, 3]`.
 *
 * @param network takes rows × columns × channels (1: grey, 3) as it was trained with
 */
export function prependPreprocess(network: Network, kind: Preprocess): Network {
  const input = inputOf(network);
  const [batch, rows, columns, channels] = input.shape as [number, number, number, number];
  const weights = new Map(network.weights);
  const steps = channels === 1 ? greySteps(RULES[kind]) : colourSteps(RULES[kind]);
  if (steps.length === 0) return network;
  const pixels = unused(network, 'eis_pixels');
  const nodes: NetworkNode[] = [{ op: 'input', name: pixels, inputs: [], shape: [batch, rows, columns, 3] }];
  for (const [i, { node, constants = [] }] of steps.entries()) {
    const name = i === steps.length - 1 ? input.name : `${pixels}/${i}`;
    const inputs = [(nodes.at(-1) as NetworkNode).name, ...constants.map((_, c) => `${pixels}/${i}/${c}`)];
    for (const [c, constant] of constants.entries()) weights.set(`${pixels}/${i}/${c}`, constant);
    nodes.push({ ...node, name, inputs } as NetworkNode);
  }
  return { nodes: [...nodes, ...network.nodes.filter((node) => node !== input)], weights, output: network.output };
}

interface Step {
  readonly node: Readonly<Record<string, unknown>> & { readonly op: NetworkNode['op'] };
  readonly constants?: readonly Weight[];
}

function greySteps([rule]: readonly ChannelRule[]): Step[] {
  const { mean, scale } = rule as ChannelRule;
  const kernel: Weight = { shape: [1, 1, 3, 1], values: Float32Array.from(GREY, (factor) => factor * scale) };
  return [{ node: { op: 'conv', strides: [1, 1], dilations: [1, 1], padding: [0, 0, 0, 0], groups: 1 }, constants: [kernel, constant([-mean * scale])] }];
}

function colourSteps(rules: readonly ChannelRule[]): Step[] {
  const steps: Step[] = [];
  if (rules.some(({ from }, i) => from !== i)) steps.push({ node: { op: 'gather', axis: 3, indices: rules.map(({ from }) => from) } });
  if (rules.some(({ scale }) => scale !== 1)) steps.push({ node: { op: 'binary', fn: 'mul' }, constants: [constant(rules.map(({ scale }) => scale))] });
  if (rules.some(({ mean }) => mean !== 0)) steps.push({ node: { op: 'binary', fn: 'add' }, constants: [constant(rules.map(({ mean, scale }) => -mean * scale))] });
  return steps;
}

function constant(values: readonly number[]): Weight {
  return { shape: [values.length], values: Float32Array.from(values) };
}

function unused({ nodes, weights }: Network, wanted: string): string {
  const names = [...nodes.map(({ name }) => name), ...weights.keys()];
  return unusedName(wanted, (name) => names.some((taken) => taken.startsWith(name)));
}

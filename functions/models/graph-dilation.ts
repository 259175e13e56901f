/**
 * Dilated convolutions as TensorFlow 1 wrote them: SpaceToBatchND makes an image of every how manieth row and column, a
 * convolution goes over each, and BatchToSpaceND puts them back. They become one node that says its dilations, so that
 * images of a batch stay apart and engines have one thing to compute.
 */
import { sizeOf } from '../network/network.js';
import { numbersOf, textOf } from './graph-attributes.js';
import { nodeOf } from './graph-file.js';
import type { GraphNode, NamedWeight } from './model.js';

const CONVOLVING = new Set(['Conv2D', '_FusedConv2D', 'DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative']);

/**
 * The nodes with such convolutions put together.
 *
 * @param nodes in the order of computing
 * @param constants by name
 */
export function withDilations(nodes: readonly GraphNode[], constants: ReadonlyMap<string, NamedWeight>): readonly GraphNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const uses = new Map<string, number>();
  for (const input of nodes.flatMap(({ inputs }) => inputs)) uses.set(nodeOf(input), (uses.get(nodeOf(input)) ?? 0) + 1);
  const inner = (name: string | undefined): GraphNode | undefined => (name !== undefined && uses.get(name) === 1 ? byName.get(name) : undefined);
  const replaced = new Map<string, GraphNode>();
  const gone = new Set<string>();
  for (const node of nodes) {
    const convolution = node.op === 'BatchToSpaceND' ? inner(node.inputs[0]) : undefined;
    const apart = convolution && isPlain(convolution) ? inner(convolution.inputs[0]) : undefined;
    const dilated = apart?.op === 'SpaceToBatchND' && convolution ? dilate({ apart, convolution, together: node }, constants) : undefined;
    if (!dilated || !apart || !convolution) continue;
    replaced.set(node.name, dilated);
    gone.add(apart.name).add(convolution.name);
  }
  return replaced.size === 0 ? nodes : nodes.filter(({ name }) => !gone.has(name)).map((node) => replaced.get(node.name) ?? node);
}

/** Whether a convolution goes over its images step by step, without padding or dilation of its own. */
function isPlain(node: GraphNode): boolean {
  const isOnes = (attribute: string): boolean => (numbersOf(node, attribute) ?? []).every((each) => each === 1);
  return CONVOLVING.has(node.op) && textOf(node, 'padding') === 'VALID' && isOnes('strides') && isOnes('dilations');
}

/** Rows and columns that are cropped off the result need not be padded before: both stand at the same place, as the step is 1. */
function dilate({ apart, convolution, together }: { readonly apart: GraphNode; readonly convolution: GraphNode; readonly together: GraphNode }, constants: ReadonlyMap<string, NamedWeight>): GraphNode | undefined {
  const numbers = (node: GraphNode, i: number): readonly number[] => {
    const constant = constants.get(node.inputs[i] ?? '');
    return constant && sizeOf(constant.shape) <= 4 ? Array.from(constant.values) : [];
  };
  const [blocks, sameBlocks, pads, crops] = [numbers(apart, 1), numbers(together, 1), numbers(apart, 2), numbers(together, 2)];
  const padding = pads.map((pad, side) => pad - (crops[side] ?? NaN));
  const fits = blocks.length === 2 && pads.length === 4 && blocks.every((size, axis) => size >= 1 && size === sameBlocks[axis]) && padding.every((rows) => rows >= 0);
  if (!fits) return undefined;
  const ints = (values: readonly number[]): GraphNode['attr'][string] => ({ list: { i: values.map(String) } });
  const attr = { ...convolution.attr, padding: { s: Buffer.from('EXPLICIT').toString('base64') }, explicit_paddings: ints([0, 0, ...padding, 0, 0]), dilations: ints([1, ...blocks, 1]) };
  return { name: together.name, op: convolution.op, inputs: [apart.inputs[0] as string, ...convolution.inputs.slice(1)], attr };
}

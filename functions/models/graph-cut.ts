/** Cuts a graph at its embedding, and makes a vector of what is still a feature map. */
import { unusedName } from '../network/network.js';
import { failModel, type GraphNetwork, type GraphNode, type InputShape, type NamedWeight } from './model.js';
import { quote } from './graph-attributes.js';
import type { Shape } from './graph-shapes.js';

/** The node that a feature map is averaged with; its name stands in the version, so it stays. */
const POOLING = 'eis_pooled';

export interface GraphCut {
  readonly network: GraphNetwork;
  /** What the cut itself adds to the weights of the file. */
  readonly added: readonly NamedWeight[];
}

/**
 * The network of nodes in the order of computing, the last of which is the embedding.
 *
 * @param options.shape of the embedding, as far as it can be told
 */
export function cutGraph(ordered: readonly GraphNode[], options: { readonly inputName: string; readonly input: InputShape; readonly shape: Shape | undefined }): GraphCut {
  const { inputName, input, shape } = options;
  const nodes = ordered.map((node) => (node.name === inputName ? placeholder(inputName, input) : node.op === 'Const' ? { ...node, inputs: [], attr: {} } : node));
  const output = nodes.at(-1) as GraphNode;
  if (shape?.length !== 4) return { network: { kind: 'graph', nodes, inputName, outputName: output.name }, added: [] };
  const axes: GraphNode = { name: nameBeside(nodes, `${POOLING}/axes`), op: 'Const', inputs: [], attr: {} };
  const pooled: GraphNode = { name: nameBeside(nodes, POOLING), op: 'Mean', inputs: [output.name, axes.name], attr: { keep_dims: { b: false } } };
  const values = new Int32Array(new SharedArrayBuffer(8));
  values.set([1, 2]);
  return { network: { kind: 'graph', nodes: [...nodes, axes, pooled], inputName, outputName: pooled.name }, added: [{ name: axes.name, shape: [2], dtype: 'int32', values }] };
}

/** The input for one image, its size no longer open. */
function placeholder(name: string, { height, width, channels }: InputShape): GraphNode {
  return { name, op: 'Placeholder', inputs: [], attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [1, height, width, channels].map((size) => ({ size: String(size) })) } } } };
}

function nameBeside(nodes: readonly GraphNode[], wanted: string): string {
  const used = new Set(nodes.map(({ name }) => name));
  return unusedName(wanted, (name) => used.has(name));
}

/**
 * The weights of a network's constants, in the order of its nodes.
 *
 * @throws EisError EIS_MODEL_FILE when a constant has none
 */
export function weightsInOrder({ nodes }: GraphNetwork, weights: readonly NamedWeight[], file: string): NamedWeight[] {
  const byName = new Map(weights.map((weight) => [weight.name, weight]));
  return nodes.filter(({ op }) => op === 'Const').map(({ name }) => byName.get(name) ?? failModel(file, `its constant ${quote(name)} is not among its weights.`));
}

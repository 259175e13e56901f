/** Lowers TensorFlow's graphs into the typed network that engines run: node by node, in the order of computing. */
import { sizeOf, type Network } from '../network/network.js';
import { dependents, ShapeError } from '../network/shapes.js';
import { ARITHMETIC_LOWERINGS } from './graph-arithmetic.js';
import { quote } from './graph-attributes.js';
import { COMPARISON_LOWERINGS } from './graph-comparisons.js';
import { CONSTANT_LOWERINGS } from './graph-constants.js';
import { withDilations } from './graph-dilation.js';
import { nodeOf } from './graph-file.js';
import { GraphLowering, type Known, type Value } from './graph-lowering.js';
import { PRODUCT_LOWERINGS } from './graph-products.js';
import { RESHAPING_LOWERINGS } from './graph-reshaping.js';
import { NodeScope, refuseLowering, type Lowering, type Outputs } from './graph-scope.js';
import { SLICING_LOWERINGS } from './graph-slicing.js';
import { WINDOW_LOWERINGS } from './graph-windows.js';
import { failModel, type GraphNetwork, type GraphNode, type InputShape, type NamedWeight } from './model.js';

const LOWERINGS: ReadonlyMap<string, Lowering> = new Map([...ARITHMETIC_LOWERINGS, ...COMPARISON_LOWERINGS, ...CONSTANT_LOWERINGS, ...PRODUCT_LOWERINGS, ...RESHAPING_LOWERINGS, ...SLICING_LOWERINGS, ...WINDOW_LOWERINGS]);

/**
 * The network of a graph: shapes are for one image, and the first size of what depends on the image is the batch
 * wherever the graph leaves it so. Its nodes bear the names of the graph's; what becomes of several has others beside it,
 * `node/eis_…`. Expressions of constants are computed, and what gives its input back is gone.
 *
 * @param weights of the graph's constants
 * @param options.file to be named in errors
 * @throws EisError EIS_MODEL_FILE about a node that cannot be computed: its name, its operation, and what is wrong
 */
export function lowerGraph(cut: GraphNetwork, weights: readonly NamedWeight[], { input, file }: { readonly input: InputShape; readonly file: string }): Network {
  const constants = new Map(weights.map((weight) => [weight.name, weight]));
  const lowering = new GraphLowering(cut, { input, weightNumbers: weights.reduce((sum, { values }) => sum + values.length, 0) });
  const results = new Map<string, Outputs>();
  for (const node of withDilations(cut.nodes, constants)) {
    const scopeOf = (): NodeScope => new NodeScope(node, node.inputs.map((reference) => takeInput(node, reference, { results, file })), lowering, file);
    if (node.name === cut.inputName) results.set(node.name, single(lowering.image));
    else if (node.op === 'Const') results.set(node.name, single(constantOf(node, constants, file)));
    else results.set(node.name, lowerNode(node, scopeOf, file));
  }
  const output = results.get(cut.outputName)?.at(0);
  const network = output?.kind === 'computed' ? lowering.build(output) : undefined;
  return network && dependents(network).includes(network.output) ? network : failModel(file, `its embedding ${quote(cut.outputName)} is not computed from the image. Set "layer" to a node that is.`);
}

function single(value: Value): Outputs {
  return { count: 1, at: () => value };
}

function constantOf(node: GraphNode, constants: ReadonlyMap<string, NamedWeight>, file: string): Known {
  const { name, shape, dtype, values } = constants.get(node.name) ?? failModel(file, `its constant ${quote(node.name)} is not among its weights.`);
  if (sizeOf(shape) !== values.length) failModel(file, `its constant ${quote(name)} is of the shape ${JSON.stringify(shape)} and has ${values.length} numbers.`);
  return { kind: 'known', name, shape, dtype, values };
}

/** What `node` or `node:1` refers to. */
function takeInput(node: GraphNode, reference: string, { results, file }: { readonly results: ReadonlyMap<string, Outputs>; readonly file: string }): Value {
  const from = results.get(nodeOf(reference)) ?? refuseLowering(node, `it takes ${quote(reference)}, which is not computed before it`, file);
  const output = Number(reference.split(':')[1] ?? 0);
  return !(Number.isInteger(output) && output >= 0 && output < from.count) ? refuseLowering(node, `it takes ${quote(reference)}, and what that node gives beyond its first ${from.count === 1 ? 'result' : `${from.count} results`} is not computed`, file) : from.at(output);
}

/** What a node gives; what is wrong with it, even if it shows only when a result is taken, is said of this node. */
function lowerNode(node: GraphNode, scopeOf: () => NodeScope, file: string): Outputs {
  const lowered = guarded(node, file, () => (LOWERINGS.get(node.op) ?? refuseLowering(node, 'networks that embed images are not known to need it', file))(checked(scopeOf())));
  if (!('at' in lowered)) return single(lowered);
  const taken = new Map<number, Value>();
  return {
    count: lowered.count,
    at: (i) => {
      const value = taken.get(i) ?? guarded(node, file, () => lowered.at(i));
      taken.set(i, value);
      return value;
    },
  };
}

function checked(scope: NodeScope): NodeScope {
  const format = scope.text('data_format') ?? 'NHWC';
  return format === 'NHWC' ? scope : scope.refuse(`its data_format is ${JSON.stringify(format.slice(0, 60))}; images are given with channels last (NHWC)`);
}

function guarded<T>(node: GraphNode, file: string, lower: () => T): T {
  try {
    return lower();
  } catch (error) {
    if (error instanceof ShapeError) return refuseLowering(node, error.message, file);
    throw error;
  }
}

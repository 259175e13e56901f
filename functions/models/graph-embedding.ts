/**
 * Which node's output is the embedding: the rule of embedding-layer.ts, where there are operations and no layers.
 *
 * When the configuration names no `layer`: follow the chain of nodes down from the model's output.
 *
 * 1. The output is not a classifier's: the model is made to embed, and its output is the embedding. A classifier's last
 *    MatMul (or Conv2D on a map of 1×1, or on one that is pooled afterwards: SqueezeNet) has a Softmax or Sigmoid above
 *    it, or gives 1,000 or 1,001 numbers: ImageNet's classes, from which TF-Hub's classifiers take no softmax.
 * 2. It is one, and under its head (reshaping, adding and multiplying constants, hidden MatMuls and 1×1 Conv2Ds, their
 *    activations, normalisation) positions are pooled (Mean over them, or AvgPool or MaxPool over the whole map): the
 *    pooled features, after the Squeeze or Reshape that makes a vector of them. MobileNet, ResNet, EfficientNet.
 * 3. It is one, and nothing is pooled: what feeds the classifier. VGG's last hidden MatMul.
 *
 * An output that is still a feature map (rows × columns × channels) is averaged over its positions (`graph-cut.ts`).
 */
import { failModel, type GraphNode } from './model.js';
import { textsOf } from './graph-attributes.js';
import { nodeOf } from './graph-file.js';
import { isComputed } from './graph-find.js';
import { ARITHMETIC, CLASSIFYING, CONVOLVING, ELEMENTWISE, MULTIPLYING, NORMALISING, PASSING, RESHAPING } from './graph-ops.js';
import { dependentsOf } from './graph-order.js';
import { REDUCING, type Constant, type Shapes } from './graph-shapes.js';

/** The outputs of classifiers of ImageNet, without and with a class for "nothing". */
const IMAGENET_CLASSES = new Set([1000, 1001]);
/** Take their data first; what follows says how, and may be computed too (the batch of a shape). */
const DATA_FIRST = new Set([...RESHAPING, ...REDUCING, ...NORMALISING, 'ResizeBilinear', 'ResizeNearestNeighbor']);
/** Tell which class it is. */
const DECIDING = new Set([...CLASSIFYING, 'ArgMax', 'TopKV2']);
/** Branches side by side within an activation; hard swish has two. */
const BRANCHES_MAX = 4;

/** The part of a graph that leads to a node, and what is known about it. */
export interface GraphView {
  /** In the order of computing. */
  readonly ordered: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  readonly shapes: Shapes;
}

/**
 * The embedding node of a graph by the rule above.
 *
 * @param view of the model's output, which is its last node
 * @throws EisError EIS_MODEL_FILE when there is nothing under the classifier
 */
export function chooseEmbeddingNode(view: GraphView, file: string): GraphNode {
  const chain = outputChain(view);
  const classifier = findClassifier(view, chain);
  if (classifier === undefined) return view.ordered.at(-1) as GraphNode;
  let bottom = classifier + 1;
  while (chain[bottom] && !isGlobalPooling(view, chain[bottom] as GraphNode) && isHead(view, chain[bottom] as GraphNode)) bottom++;
  const pooling = chain[bottom];
  if (pooling && isGlobalPooling(view, pooling)) return vectorAbove(view, chain.slice(classifier + 1, bottom + 1));
  const feeding = chain.slice(classifier + 1).find(({ op }) => !PASSING.has(op));
  return feeding ?? failModel(file, 'there is nothing under its classifier. Set "layer" to the node to embed with.');
}

/**
 * The chain of nodes from the output downwards, until they branch or the image is met. Branches of which every node
 * computes number by number are an activation (hard swish: `x · relu6(x + 3) / 6`), and are stepped over.
 */
function outputChain({ ordered }: GraphView): GraphNode[] {
  const indexes = new Map(ordered.map((node, i) => [node.name, i]));
  const dependent = dependentsOf(ordered);
  const feedersOf = (node: GraphNode): number[] => [...new Set((DATA_FIRST.has(node.op) ? node.inputs.slice(0, 1) : node.inputs).map(nodeOf).filter((name) => dependent.has(name)))].map((name) => indexes.get(name) as number);
  const chain: GraphNode[] = [];
  for (let node = ordered.at(-1); node && isComputed(node);) {
    chain.push(node);
    const open = new Set(feedersOf(node));
    if (open.size > 1 && !ARITHMETIC.has(node.op)) break;
    while (open.size > 1) {
      if (open.size > BRANCHES_MAX) return chain;
      const highest = Math.max(...open);
      const inner = ordered[highest] as GraphNode;
      if (!ELEMENTWISE.has(inner.op) && !ARITHMETIC.has(inner.op)) return chain;
      open.delete(highest);
      for (const feeder of feedersOf(inner)) open.add(feeder);
    }
    node = ordered[[...open][0] ?? -1];
  }
  return chain;
}

/** Where in the chain the classifying MatMul or Conv2D stands; undefined: the model is no classifier. */
function findClassifier(view: GraphView, chain: readonly GraphNode[]): number | undefined {
  const top = chain.findIndex((node) => !isAboveClassifier(view, node));
  const linear = chain[top];
  if (!linear || !isLinear(linear)) return undefined;
  const above = chain.slice(0, top);
  if (CONVOLVING.has(linear.op) && !isPoint(view, linear.inputs[0]) && !above.some((node) => isGlobalPooling(view, node))) return undefined;
  const isClassifying = above.some(({ op }) => DECIDING.has(op)) || textsOf(linear, 'fused_ops').includes('Sigmoid') || IMAGENET_CLASSES.has(view.shapes.get(linear.name)?.at(-1) ?? 0);
  return isClassifying ? top : undefined;
}

function isAboveClassifier(view: GraphView, node: GraphNode): boolean {
  return PASSING.has(node.op) || DECIDING.has(node.op) || RESHAPING.has(node.op) || node.op === 'BiasAdd' || node.op === 'Relu' || isWithConstant(view, node) || isGlobalPooling(view, node);
}

function isHead(view: GraphView, node: GraphNode): boolean {
  if (ELEMENTWISE.has(node.op) || ARITHMETIC.has(node.op) || NORMALISING.has(node.op) || RESHAPING.has(node.op)) return true;
  return MULTIPLYING.has(node.op) || (CONVOLVING.has(node.op) && isPoint(view, node.inputs[0]));
}

function isLinear({ op }: GraphNode): boolean {
  return MULTIPLYING.has(op) || CONVOLVING.has(op);
}

function isWithConstant(view: GraphView, node: GraphNode): boolean {
  return ARITHMETIC.has(node.op) && node.inputs.some((input) => view.constants.has(input));
}

/** Whether a map has one position. */
function isPoint(view: GraphView, name: string | undefined): boolean {
  const shape = view.shapes.get(name ?? '');
  return shape?.length === 4 && shape[1] === 1 && shape[2] === 1;
}

/** Whether a node makes one position of a map's many. */
function isGlobalPooling(view: GraphView, node: GraphNode): boolean {
  const from = view.shapes.get(node.inputs[0] ?? '');
  if (from?.length !== 4 || isPoint(view, node.inputs[0])) return false;
  if (node.op === 'AvgPool' || node.op === 'MaxPool') return isPoint(view, node.name);
  if (node.op !== 'Mean' && node.op !== 'Max') return false;
  const axes = view.constants.get(node.inputs[1] ?? '')?.values?.map((axis) => (axis < 0 ? axis + 4 : axis)) ?? [];
  return axes.length === 2 && axes.includes(1) && axes.includes(2);
}

/** The lowest vector of a chain that ends in a pooling, reshapings only between them; else the pooling itself. */
function vectorAbove(view: GraphView, chain: readonly GraphNode[]): GraphNode {
  const pooling = chain.at(-1) as GraphNode;
  for (const node of chain.toReversed()) {
    if (node !== pooling && !RESHAPING.has(node.op) && !PASSING.has(node.op)) break;
    if (view.shapes.get(node.name)?.length === 2) return node;
  }
  return pooling;
}

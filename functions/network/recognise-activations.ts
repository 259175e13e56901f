/** Recognises activations that are written as several nodes: swish, and the hard sigmoid and swish of MobileNetV3 (Howard et al. 2019). */
import { isSameShape, type BinaryNode, type Elementwise, type Network, type NetworkNode } from './network.js';
import { Rewrite } from './rewrite.js';

/** Of x. */
interface Applied {
  readonly x: string;
  readonly apply: Elementwise;
}

export function recogniseActivations(network: Network): Network {
  const rewrite = new Rewrite(network);
  for (const node of network.nodes) {
    const found = node.op === 'binary' ? recognise(rewrite, node) : undefined;
    const keepsShape = found && isSameShape(rewrite.shape(found.x), rewrite.shape(node.name));
    rewrite.keep(keepsShape ? { op: 'elementwise', name: node.name, inputs: [found.x], apply: found.apply } : node);
  }
  return rewrite.finish();
}

function recognise(rewrite: Rewrite, node: BinaryNode): Applied | undefined {
  if (node.fn !== 'mul' && node.fn !== 'div') return undefined;
  const [left, right] = node.inputs.map((input) => rewrite.resolve(input)) as [string, string];
  const gated = node.fn === 'mul' ? (recogniseGated(rewrite, left, right) ?? recogniseGated(rewrite, right, left)) : undefined;
  return gated ?? recogniseHardSigmoid(rewrite, node) ?? recogniseLateDivision(rewrite, node);
}

/** x · gate(x) */
function recogniseGated(rewrite: Rewrite, x: string, gate: string): Applied | undefined {
  const node = rewrite.node(gate);
  if (node?.op !== 'elementwise' || node.inputs[0] !== x) return undefined;
  if (node.apply.fn === 'sigmoid') return { x, apply: { fn: 'swish' } };
  return node.apply.fn === 'hardSigmoid' && isNear(node.apply.alpha, 1 / 6) && isNear(node.apply.beta, 0.5) ? { x, apply: { fn: 'hardSwish' } } : undefined;
}

/** clip(x + 3, 0, 6) / 6 */
function recogniseHardSigmoid(rewrite: Rewrite, node: BinaryNode): Applied | undefined {
  const x = sixthOf(rewrite, node);
  const shifted = x === undefined ? undefined : readShiftedRelu6(rewrite, rewrite.node(x));
  return shifted === undefined ? undefined : { x: shifted, apply: { fn: 'hardSigmoid', alpha: 1 / 6, beta: 0.5 } };
}

/** (x · clip(x + 3, 0, 6)) / 6 */
function recogniseLateDivision(rewrite: Rewrite, node: BinaryNode): Applied | undefined {
  const product = rewrite.node(sixthOf(rewrite, node));
  if (product?.op !== 'binary' || product.fn !== 'mul') return undefined;
  const [left, right] = product.inputs as [string, string];
  const isGate = (x: string, gate: string): boolean => readShiftedRelu6(rewrite, rewrite.node(gate)) === x;
  return isGate(left, right) ? { x: left, apply: { fn: 'hardSwish' } } : isGate(right, left) ? { x: right, apply: { fn: 'hardSwish' } } : undefined;
}

/** What a node divides by six. */
function sixthOf(rewrite: Rewrite, node: BinaryNode): string | undefined {
  const [left, right] = node.inputs as [string, string];
  if (node.fn === 'div') return isNear(scalar(rewrite, right), 6) ? rewrite.resolve(left) : undefined;
  if (isNear(scalar(rewrite, right), 1 / 6)) return rewrite.resolve(left);
  return isNear(scalar(rewrite, left), 1 / 6) ? rewrite.resolve(right) : undefined;
}

/** The x of clip(x + 3, 0, 6). */
function readShiftedRelu6(rewrite: Rewrite, node: NetworkNode | undefined): string | undefined {
  if (node?.op !== 'elementwise' || node.apply.fn !== 'clip' || node.apply.min !== 0 || node.apply.max !== 6) return undefined;
  const shifted = rewrite.node(node.inputs[0]);
  if (shifted?.op !== 'binary' || shifted.fn !== 'add') return undefined;
  const [left, right] = shifted.inputs as [string, string];
  return isNear(scalar(rewrite, right), 3) ? left : isNear(scalar(rewrite, left), 3) ? right : undefined;
}

function scalar(rewrite: Rewrite, name: string): number {
  const weight = rewrite.weight(name);
  return weight?.values.length === 1 ? (weight.values[0] as number) : NaN;
}

function isNear(value: number, wanted: number): boolean {
  return Math.abs(value - wanted) <= 1e-6 * wanted;
}

/** Merges padding with zeros into the convolution or the maximum that takes it, so that no padded copy is made. */
import type { Elementwise, Network, NetworkNode, PadNode, Sides } from './network.js';
import { Rewrite } from './rewrite.js';

/** Tensors of a network that are looked at for it. */
const LOOKED_AT_MAX = 2_000;

export function mergePadding(network: Network): Network {
  const rewrite = new Rewrite(network);
  const known = new Map<string, boolean>();
  for (const node of network.nodes) {
    const before = 'padding' in node ? rewrite.node(node.inputs[0]) : undefined;
    const pad = before?.op === 'pad' && isOfZeros(before) && rewrite.uses(before.name) === 1 ? before : undefined;
    const merges = pad && ((node.op === 'conv' || node.op === 'depthwise') || (node.op === 'pool' && node.kind === 'max' && isCovered(pad, node.size, node.padding) && isNonNegative(rewrite, pad.inputs[0] as string, known)));
    rewrite.keep(merges ? { ...node, inputs: [pad.inputs[0] as string, ...node.inputs.slice(1)], padding: sidesOf(pad).map((side, i) => side + (node.padding[i] as number)) as unknown as Sides } : node);
  }
  return rewrite.finish();
}

function isOfZeros({ mode, value, before, after }: PadNode): boolean {
  return mode === 'constant' && value === 0 && before.length === 4 && [before[0], after[0], before[3], after[3]].every((count) => count === 0) && [...before, ...after].every((count) => count >= 0);
}

function sidesOf({ before, after }: PadNode): Sides {
  return [before[1], after[1], before[2], after[2]] as [number, number, number, number];
}

/** Whether every window has a number of the image in it, so that a maximum without the zeros is one of something. */
function isCovered(pad: PadNode, [rows, columns]: readonly [number, number], padding: Sides): boolean {
  const [top, bottom, left, right] = sidesOf(pad);
  return padding.every((side) => side === 0) && Math.max(top, bottom) < rows && Math.max(left, right) < columns;
}

/** Whether a tensor has no number below 0, so that zeros at its edge change no maximum. */
function isNonNegative(rewrite: Rewrite, name: string, known: Map<string, boolean>): boolean {
  const found = known.get(name) ?? (known.size < LOOKED_AT_MAX && tellNonNegative(rewrite, name, known));
  known.set(name, found);
  return found;
}

function tellNonNegative(rewrite: Rewrite, name: string, known: Map<string, boolean>): boolean {
  const node = rewrite.node(name);
  if (!node) return false;
  known.set(name, false); // until it is known
  if ('activation' in node && node.activation) return givesNoneNegative(node.activation);
  return node.op === 'elementwise' ? givesNoneNegative(node.apply) : node.op === 'softmax' ? !node.log : isKeptNonNegative(node) && node.inputs.every((input) => isNonNegative(rewrite, input, known));
}

function givesNoneNegative(apply: Elementwise): boolean {
  return ['relu', 'sigmoid', 'hardSigmoid', 'exp', 'abs', 'square', 'softplus'].includes(apply.fn) || (apply.fn === 'clip' && apply.min >= 0) || (apply.fn === 'thresholdedRelu' && apply.theta >= 0);
}

function isKeptNonNegative(node: NetworkNode): boolean {
  return node.op === 'concat' || node.op === 'pool' || (node.op === 'binary' && ['add', 'mul', 'max', 'min'].includes(node.fn));
}

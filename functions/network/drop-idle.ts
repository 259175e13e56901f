/** Drops nodes that give back what they take: clips without bounds, paddings of nothing, reshapes to the same shape. */
import { isSameShape, type Network, type NetworkNode } from './network.js';
import { Rewrite } from './rewrite.js';

export function dropIdleNodes(network: Network): Network {
  const rewrite = new Rewrite(network);
  for (const node of network.nodes) {
    const [x] = node.inputs;
    if (x !== undefined && !rewrite.weight(x) && isIdle(rewrite, node, x)) rewrite.replace(node, x);
    else rewrite.keep(node);
  }
  return rewrite.finish();
}

function isIdle(rewrite: Rewrite, node: NetworkNode, x: string): boolean {
  switch (node.op) {
    case 'elementwise': return node.apply.fn === 'clip' && node.apply.min === -Infinity && node.apply.max === Infinity;
    case 'pad': return [...node.before, ...node.after].every((count) => count === 0);
    case 'reshape': return node.shape[0] === 0 && isSameShape(rewrite.shape(x), rewrite.shape(node.name));
    case 'transpose': return node.order.every((axis, i) => axis === i);
    case 'concat': return node.inputs.length === 1;
    case 'tile': return node.repeats.every((count) => count === 1);
    case 'reduce': return node.axes.length === 0;
    case 'pool': return node.size.every((size) => size === 1) && node.strides.every((stride) => stride === 1) && node.padding.every((side) => side === 0);
    case 'slice': return node.begin.every((from, i) => from === 0 && node.step[i] === 1 && (node.count[i] === -1 || node.count[i] === rewrite.shape(x)[i]));
    default: return false;
  }
}

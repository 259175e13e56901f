/** Puts an activation into the convolution or matrix product before it: engines compute both in one pass over memory. */
import type { Network } from './network.js';
import { Rewrite } from './rewrite.js';

export function fuseActivations(network: Network): Network {
  const rewrite = new Rewrite(network);
  for (const node of network.nodes) {
    const before = node.op === 'elementwise' ? rewrite.node(node.inputs[0]) : undefined;
    const isFusible = (before?.op === 'conv' || before?.op === 'depthwise' || before?.op === 'matmul') && !before.activation && rewrite.uses(before.name) === 1;
    if (node.op !== 'elementwise' || !isFusible) {
      rewrite.keep(node);
      continue;
    }
    rewrite.keep({ ...before, activation: node.apply });
    rewrite.replace(node, before.name);
  }
  return rewrite.finish();
}

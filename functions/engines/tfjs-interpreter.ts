/** Computes a network node by node with TF.js, on whichever backend it was set to. */
import type * as core from '@tensorflow/tfjs-core';
import { inputOf, type Network, type NetworkNode } from '../network/network.js';
import { computeNode, type Tfjs } from './tfjs-operations.js';

export interface Interpreter {
  /**
   * The result of the network's output for images side by side.
   *
   * @param numbers `[images, rows, columns, channels]`; it stays the caller's
   */
  run(numbers: core.Tensor4D): core.Tensor;
  /** Frees the weights. */
  dispose(): void;
}

/** A node that fails while it is computed: which, and of what kind. */
export class NodeFailure extends Error {
  constructor(readonly node: NetworkNode, override readonly cause: Error) {
    super(`its node ${JSON.stringify(node.name)} (${node.op}) fails: ${cause.message.split('\n')[0]}`);
  }
}

/** Takes the network's weights into the backend's memory. */
export function interpret(tf: Tfjs, network: Network): Interpreter {
  const weights = new Map([...network.weights].map(([name, { shape, values }]) => [name, tf.keep(tf.tensor(values, [...shape], 'float32'))]));
  const lastUses = findLastUses(network);
  return {
    run: (numbers) => runNodes(tf, network, { numbers, weights, lastUses }),
    dispose: () => tf.dispose([...weights.values()]),
  };
}

interface Run {
  readonly numbers: core.Tensor4D;
  readonly weights: ReadonlyMap<string, core.Tensor>;
  readonly lastUses: ReadonlyMap<string, readonly string[]>;
}

/** Results are freed after their last use, so that memory holds what is needed and not the whole network's. */
function runNodes(tf: Tfjs, network: Network, { numbers, weights, lastUses }: Run): core.Tensor {
  const results = new Map<string, core.Tensor>([[inputOf(network).name, numbers]]);
  try {
    for (const node of network.nodes) {
      if (node.op !== 'input') results.set(node.name, compute(tf, node, node.inputs.map((name) => (results.get(name) ?? weights.get(name)) as core.Tensor)));
      for (const name of lastUses.get(node.name) ?? []) {
        if (results.get(name) !== numbers) results.get(name)?.dispose();
        results.delete(name);
      }
    }
    return results.get(network.output) as core.Tensor;
  } catch (error) {
    for (const tensor of results.values()) if (tensor !== numbers) tensor.dispose();
    throw error;
  }
}

function compute(tf: Tfjs, node: Exclude<NetworkNode, { readonly op: 'input' }>, inputs: readonly core.Tensor[]): core.Tensor {
  try {
    return tf.tidy(() => {
      const result = computeNode(tf, node, inputs);
      return inputs.includes(result) ? tf.clone(result) : result;
    });
  } catch (thrown) {
    throw new NodeFailure(node, thrown as Error);
  }
}

/** By node: the names of the nodes whose results nothing after it takes. */
function findLastUses({ nodes, output }: Network): Map<string, string[]> {
  const last = new Map<string, string>();
  const names = new Set(nodes.map(({ name }) => name));
  for (const { name, inputs } of nodes) for (const taken of [name, ...inputs]) if (names.has(taken)) last.set(taken, name);
  const uses = new Map<string, string[]>();
  for (const [name, user] of last) if (name !== output) uses.set(user, [...(uses.get(user) ?? []), name]);
  return uses;
}

/** What a node is computed from, in the order of computing. */
import { failModel, type GraphNode } from './model.js';
import { quote } from './graph-attributes.js';
import { nodeOf, type Graph } from './graph-file.js';
import { describeRefused } from './graph-ops.js';

/**
 * A node and everything that it is computed from, each after its inputs. The order depends on the graph alone, not on
 * where nodes stand in the file.
 *
 * @throws EisError EIS_MODEL_FILE when nodes wait for each other
 */
export function orderedAncestors(graph: Graph, name: string, file: string): GraphNode[] {
  const ordered: GraphNode[] = [];
  const states = new Map<string, 'open' | 'done'>();
  const path: { readonly node: GraphNode; next: number }[] = [];
  const enter = (entered: string): void => {
    states.set(entered, 'open');
    path.push({ node: graph.nodes.get(entered) as GraphNode, next: 0 });
  };
  enter(name);
  for (let top = path.at(-1); top; top = path.at(-1)) {
    const input = top.node.inputs[top.next++];
    if (input === undefined) {
      states.set(top.node.name, 'done');
      ordered.push(top.node);
      path.pop();
      continue;
    }
    const state = states.get(nodeOf(input));
    if (state === 'open') refuseCycle(path.map(({ node }) => node), nodeOf(input), file);
    if (state === undefined) enter(nodeOf(input));
  }
  return ordered;
}

/** TensorFlow's old loops are cycles too, and are told by their operations. */
function refuseCycle(path: readonly GraphNode[], name: string, file: string): never {
  const cycle = path.slice(path.findIndex((node) => node.name === name));
  const loop = cycle.find(({ op }) => describeRefused(op) !== undefined);
  return failModel(file, loop ? `its node ${quote(loop.name)} is of the operation ${loop.op}: control flow, which a network that embeds images does not need.` : `its nodes ${cycle.slice(0, 3).map((node) => quote(node.name)).join(', ')} wait for each other: the graph has a cycle.`);
}

/** The names of the nodes, out of some in the order of computing, that are computed from an input. */
export function dependentsOf(ordered: readonly GraphNode[]): ReadonlySet<string> {
  const dependent = new Set<string>();
  for (const node of ordered) {
    if (node.op.startsWith('Placeholder') || node.inputs.some((input) => dependent.has(nodeOf(input)))) dependent.add(node.name);
  }
  return dependent;
}

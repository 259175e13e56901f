/** Finds nodes of a graph: the one that the configuration names, and the model's output. */
import { suggest } from '../../common/suggest.js';
import { failModel, type GraphNode } from './model.js';
import { quote } from './graph-attributes.js';
import { nodeOf, type Graph } from './graph-file.js';
import { PASSING } from './graph-ops.js';

const LISTED_MAX = 12;
/** Identities one after the other at an output; more are no model that anybody saved. */
const PASSING_MAX = 10;

/**
 * The node of a name, or of the ending of a path: `AvgPool` or `Logits/AvgPool` for `MobilenetV2/Logits/AvgPool`.
 *
 * @throws EisError EIS_MODEL_FILE when there is none, or several
 */
export function findNode(graph: Graph, layer: string, file: string): GraphNode {
  const wanted = layer.replace(/:0$/, '');
  const exact = graph.nodes.get(wanted);
  if (exact && isComputed(exact)) return exact;
  const computed = [...graph.nodes.values()].filter(isComputed);
  const found = computed.filter(({ name }) => name.endsWith(`/${wanted}`));
  if (found.length === 1) return found[0] as GraphNode;
  if (found.length > 1) return failModel(file, `its node ${quote(wanted)} is there ${found.length} times: ${listNames(found)}. Set "layer" to more of one of these paths.`);
  const segments = wanted.split('/').length;
  const nearest = suggest(wanted, [...new Set(computed.map(({ name }) => name.split('/').slice(-segments).join('/')))]);
  return failModel(file, `it has no node ${quote(wanted)}${exact ? ' that is computed' : ''}.${nearest === undefined ? '' : ` Did you mean ${quote(nearest)}?`} The last ones are: ${listNames(computed)}.`);
}

/** Whether a node is neither given nor a constant. */
export function isComputed({ op }: GraphNode): boolean {
  return op !== 'Const' && op !== 'NoOp' && !op.startsWith('Placeholder');
}

function listNames(nodes: readonly GraphNode[]): string {
  return nodes.slice(-LISTED_MAX).map(({ name }) => quote(name)).join(', ');
}

/**
 * The model's one output: as its signature says, else the node that feeds no other. Of several, those that feed another
 * are inner layers that the model hands out too.
 *
 * @throws EisError EIS_MODEL_FILE when there are several, or none
 */
export function findOutput(graph: Graph, file: string): GraphNode {
  const named = graph.outputs.length > 0 ? graph.outputs.map((name) => graph.nodes.get(name) as GraphNode) : unconsumed(graph);
  const outputs = [...new Set(named.map((node) => belowPassing(graph, node)))];
  const inner = reachable(graph, outputs.flatMap(({ inputs }) => inputs));
  const last = outputs.filter((node) => !inner.has(node.name));
  if (last.length === 1) return last[0] as GraphNode;
  return failModel(file, `it has ${last.length} outputs, and none of them can be told to be the one. Set "layer" to the node to embed with: ${listNames(last.length > 0 ? last : [...graph.nodes.values()].filter(isComputed))}.`);
}

/** The names of the nodes that lie below some inputs, these included. */
function reachable(graph: Graph, inputs: readonly string[]): ReadonlySet<string> {
  const found = new Set(inputs.map(nodeOf));
  for (const name of found) for (const input of graph.nodes.get(name)?.inputs ?? []) found.add(nodeOf(input));
  return found;
}

function unconsumed(graph: Graph): GraphNode[] {
  const consumed = new Set([...graph.nodes.values()].flatMap(({ inputs }) => inputs.map(nodeOf)));
  return [...graph.nodes.values()].filter((node) => isComputed(node) && !consumed.has(node.name));
}

/** What an Identity at the output stands for, so that the layer that is reported says something. */
function belowPassing(graph: Graph, output: GraphNode): GraphNode {
  let node = output;
  for (let steps = 0; steps < PASSING_MAX && PASSING.has(node.op); steps++) {
    const below = graph.nodes.get(node.inputs[0] ?? '');
    if (!below || !isComputed(below)) return node;
    node = below;
  }
  return node;
}

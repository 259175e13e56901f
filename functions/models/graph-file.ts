/** Reads the graph of a TF.js graph model (TensorFlow's GraphDef as JSON): what a file claims to nodes that are checked. */
import { parseAttributes, quote, readShape, type OpenShape } from './graph-attributes.js';
import { failModel, type GraphNode } from './model.js';

export interface Graph {
  readonly nodes: ReadonlyMap<string, GraphNode>;
  /** The functions of its library: an operation of such a name calls one. */
  readonly functions: ReadonlySet<string>;
  /** The nodes that its signature names as outputs; empty where it has none. */
  readonly outputs: readonly string[];
  /** The shapes that its signature gives for inputs, by node. */
  readonly inputShapes: ReadonlyMap<string, OpenShape>;
}

const NAME_LENGTH_MAX = 2_000;

/** The node of `node`, `node:0` or `^node`. */
export function nodeOf(reference: string): string {
  return reference.replace(/^\^/, '').split(':', 1)[0] as string;
}

export function isGraph(json: unknown): boolean {
  const nodes = (json as { modelTopology?: { node?: unknown } | null } | null | undefined)?.modelTopology?.node;
  return Array.isArray(nodes) && nodes.length > 0;
}

/**
 * The graph of a model.json.
 *
 * @throws EisError EIS_MODEL_FILE when a node is malformed or there twice, or refers to one that is not there
 */
export function parseGraph(json: unknown, file: string): Graph {
  const { modelTopology, userDefinedMetadata, signature } = json as Record<string, Record<string, unknown> | null | undefined>;
  const nodes = new Map<string, GraphNode>();
  for (const [i, value] of (modelTopology?.['node'] as unknown[]).entries()) {
    const node = parseNode(value, `modelTopology.node[${i}]`, file);
    if (nodes.has(node.name)) failModel(file, `its node ${quote(node.name)} is there twice.`);
    nodes.set(node.name, node);
  }
  for (const node of nodes.values()) {
    const missing = node.inputs.find((input) => !nodes.has(nodeOf(input)));
    if (missing !== undefined) failModel(file, `its node ${quote(node.name)} takes ${quote(missing)}, which is not there.`);
  }
  const { inputs, outputs } = (userDefinedMetadata?.['signature'] ?? signature ?? {}) as { inputs?: unknown; outputs?: unknown };
  const named = parseTensors(outputs).map(({ name }) => name);
  const unknown = named.find((name) => !nodes.has(name));
  if (unknown !== undefined) failModel(file, `its signature names the output ${quote(unknown)}, and it has no such node.`);
  return { nodes, functions: parseFunctions(modelTopology?.['library']), outputs: [...new Set(named)], inputShapes: new Map(parseTensors(inputs).map(({ name, shape }) => [name, shape])) };
}

/** Control inputs (`^node`) say when, not what, and are dropped: what is run here has no side effects. */
function parseNode(value: unknown, where: string, file: string): GraphNode {
  const { name, op, input = [], attr = {} } = (value ?? {}) as { name?: unknown; op?: unknown; input?: unknown; attr?: unknown };
  if (typeof name !== 'string' || name === '' || typeof op !== 'string' || op === '') return failModel(file, `${where} does not say a name and an operation.`);
  // TF.js keeps nodes in plain objects, and numbers outputs behind a colon.
  if (name in {} || name.includes(':') || name.length > NAME_LENGTH_MAX) return failModel(file, `${where} has the name ${quote(name)}, which no node can have.`);
  if (!Array.isArray(input) || !input.every((each): each is string => typeof each === 'string')) return failModel(file, `${where} (${quote(name)}) has inputs that are no list of names.`);
  if (typeof attr !== 'object' || attr === null) return failModel(file, `${where} (${quote(name)}) has attributes that are no object.`);
  const inputs = input.filter((each) => !each.startsWith('^')).map((each) => each.replace(/:0$/, ''));
  return { name, op, inputs, attr: parseAttributes(attr, `${where} (${quote(name)})`, file) };
}

/** The tensors of one side of a signature, by node; those that say no name are left out. */
function parseTensors(side: unknown): { readonly name: string; readonly shape: OpenShape }[] {
  const tensors = typeof side === 'object' && side !== null ? (Object.values(side) as unknown[]) : [];
  return tensors.flatMap((tensor) => {
    const { name, tensorShape } = (tensor ?? {}) as { name?: unknown; tensorShape?: unknown };
    const shape = readShape(tensorShape);
    return typeof name === 'string' && name !== '' ? [{ name: nodeOf(name), shape: shape === 'malformed' ? undefined : shape }] : [];
  });
}

function parseFunctions(library: unknown): ReadonlySet<string> {
  const functions = (library as { function?: unknown } | null | undefined)?.function;
  const names = (Array.isArray(functions) ? (functions as unknown[]) : []).map((each) => (each as { signature?: { name?: unknown } | null } | null)?.signature?.name);
  return new Set(names.filter((name) => typeof name === 'string'));
}

/** Reads the graph of a TF.js graph model (TensorFlow's GraphDef as JSON): what a file claims to nodes that are checked. */
import { failModel, type GraphNode } from './model.js';

/** Sizes of a tensor, batch first; null where open. Undefined: not even how many there are is known. */
export type OpenShape = readonly (number | null)[] | undefined;

export interface Graph {
  readonly nodes: ReadonlyMap<string, GraphNode>;
  /** The functions of its library: an operation of such a name calls one. */
  readonly functions: ReadonlySet<string>;
  /** The nodes that its signature names as outputs; empty where it has none. */
  readonly outputs: readonly string[];
  /** The shapes that its signature gives for inputs, by node. */
  readonly inputShapes: ReadonlyMap<string, OpenShape>;
}

/** Base64, or bytes. */
type Text = string | readonly number[];
type Parser = (value: unknown) => unknown;

/** Gives a value back where it is good, else undefined. */
function check(isGood: (value: unknown) => boolean): Parser {
  return (value) => (isGood(value) ? value : undefined);
}

/** The kinds of attributes that computing needs. Tensors are weights; functions are not run. */
const ATTRIBUTE_KINDS: Readonly<Record<string, Parser>> = {
  s: check((value) => typeof value === 'string' || (Array.isArray(value) && value.every((byte) => Number.isInteger(byte)))),
  i: check(isWhole),
  f: check((value) => typeof value === 'number' || (typeof value === 'string' && /^(-?Infinity|NaN)$/.test(value))),
  b: check((value) => typeof value === 'boolean'),
  type: check((value) => typeof value === 'string' || Number.isInteger(value)),
  shape: (value) => {
    const shape = readShape(value);
    return shape === 'malformed' ? undefined : shape === undefined ? { unknownRank: true } : { dim: shape.map((size) => ({ size: String(size ?? -1) })) };
  },
};

const NAME_LENGTH_MAX = 2_000;
const SHOWN_MAX = 160;

/** A name for an error message: its end, where it is long. */
export function quote(name: string): string {
  return JSON.stringify(name.length > SHOWN_MAX ? `…${name.slice(-SHOWN_MAX)}` : name);
}

/** The node of `node`, `node:0` or `^node`. */
export function nodeOf(reference: string): string {
  return reference.replace(/^\^/, '').split(':', 1)[0] as string;
}

/** The text of an attribute: `VALID`, `NHWC`. */
export function textOf(node: GraphNode, attribute: string): string | undefined {
  const value = node.attr[attribute]?.['s'] as Text | undefined;
  return value === undefined ? undefined : decodeText(value);
}

/** The texts of an attribute that is a list: `BiasAdd`, `Relu6`. */
export function textsOf(node: GraphNode, attribute: string): readonly string[] {
  const list = node.attr[attribute]?.['list'] as { s?: readonly Text[] } | undefined;
  return (list?.s ?? []).map(decodeText);
}

function decodeText(value: Text): string {
  return (typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value)).toString('utf8');
}

/** The numbers of an attribute that is a list: `[1, 2, 2, 1]`. */
export function numbersOf(node: GraphNode, attribute: string): readonly number[] | undefined {
  const list = node.attr[attribute]?.['list'] as { i?: readonly unknown[] } | undefined;
  return list === undefined ? undefined : (list.i ?? []).map(Number);
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

function parseAttributes(attributes: object, where: string, file: string): GraphNode['attr'] {
  const entries = Object.entries(attributes as Record<string, unknown>).filter(([name]) => !name.startsWith('_') && !(name in {}));
  return Object.fromEntries(entries.flatMap(([name, value]) => {
    const kept = typeof value === 'object' ? parseAttribute(value as Record<string, unknown> | null) : 'malformed';
    if (kept === 'malformed') return failModel(file, `${where} has a malformed attribute ${quote(name)}.`);
    return kept === undefined ? [] : [[name, kept] as const];
  }));
}

/** What of an attribute is kept; undefined: nothing, it is a tensor or a function. */
function parseAttribute(value: Record<string, unknown> | null): Readonly<Record<string, unknown>> | undefined | 'malformed' {
  if (value === null) return 'malformed';
  if ('tensor' in value || 'func' in value) return undefined;
  const own = parseKinds(value, (parse) => parse);
  if (own === 'malformed' || value['list'] === undefined) return own;
  const list = typeof value['list'] === 'object' && value['list'] !== null ? parseKinds(value['list'] as Record<string, unknown>, listOf) : 'malformed';
  return list === 'malformed' ? list : { ...own, list };
}

function listOf(parse: Parser): Parser {
  return (values) => {
    const parsed = Array.isArray(values) ? values.map(parse) : [undefined];
    return parsed.includes(undefined) ? undefined : parsed;
  };
}

function parseKinds(value: Record<string, unknown>, adapt: (parse: Parser) => Parser): Readonly<Record<string, unknown>> | 'malformed' {
  const present = Object.entries(ATTRIBUTE_KINDS).filter(([kind]) => value[kind] !== undefined);
  const parsed = present.map(([kind, parse]) => [kind, adapt(parse)(value[kind])] as const);
  return parsed.some(([, each]) => each === undefined) ? 'malformed' : Object.fromEntries(parsed);
}

function isWhole(value: unknown): boolean {
  return (typeof value === 'number' || typeof value === 'string') && value !== '' && Number.isInteger(Number(value));
}

/** The sizes of `{ dim: [{ size: "224" }] }`; −1 and nothing at all are open. */
export function readShape(value: unknown): OpenShape | 'malformed' {
  if (typeof value !== 'object' || value === null) return 'malformed';
  const { dim = [], unknownRank } = value as { dim?: unknown; unknownRank?: unknown };
  if (unknownRank === true) return undefined;
  if (!Array.isArray(dim)) return 'malformed';
  const sizes = (dim as unknown[]).map((each) => (each as { size?: unknown } | null)?.size ?? -1);
  return sizes.every(isWhole) ? sizes.map((size) => (Number(size) > 0 ? Number(size) : null)) : 'malformed';
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

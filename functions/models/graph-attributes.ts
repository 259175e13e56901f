/** Reads attributes of nodes as TensorFlow writes them in JSON: `{ "s": "VkFMSUQ=" }`, `{ "list": { "i": ["1", "2"] } }`. */
import { failModel, type GraphNode } from './model.js';

/** Sizes of a tensor, batch first; null where open. Undefined: not even how many there are is known. */
export type OpenShape = readonly (number | null)[] | undefined;

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

const SHOWN_MAX = 160;

/** A name for an error message: its end, where it is long. */
export function quote(name: string): string {
  return JSON.stringify(name.length > SHOWN_MAX ? `…${name.slice(-SHOWN_MAX)}` : name);
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

/**
 * The attributes that computing needs; those that only describe begin with `_`.
 *
 * @throws EisError EIS_MODEL_FILE when one is malformed
 */
export function parseAttributes(attributes: object, where: string, file: string): GraphNode['attr'] {
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

/**
 * Writes ONNX models: the part of its Protocol Buffers schema that a compiled network needs
 * (github.com/onnx/onnx `onnx/onnx.proto`; wire format: protobuf.dev/programming-guides/encoding).
 */

/** Bytes in parts, put together once in the end, so that weights are not copied at each level of nesting. */
export interface Encoded {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

export type OnnxAttribute = number | string | { readonly float: number } | readonly number[];

export interface OnnxNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Numbers are whole ones; `{ float }` is a real one. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | BigInt64Array;
}

/** A size by number, or by name where it is open. */
export interface OnnxValue {
  readonly name: string;
  readonly type: 'float32' | 'uint8';
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly tensors: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** The newest operators that are used (Gelu) are of 20; ONNX 1.15 brought it, with IR version 9. */
const OPSET = 20;
const IR_VERSION = 9;

const DATA_TYPES = { float32: 1, uint8: 2, int64: 7 } as const;
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** The bytes of a model. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const { parts, bytes } = join([
    whole(1, IR_VERSION),
    text(2, 'elastic-image-search'),
    nested(7, encodeGraph(graph)),
    nested(8, join([text(1, ''), whole(2, OPSET)])),
  ]);
  const model = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    model.set(part, at);
    at += part.length;
  }
  return model;
}

function encodeGraph({ nodes, tensors, inputs, outputs }: OnnxGraph): Encoded {
  return join([
    ...nodes.map((node) => nested(1, encodeNode(node))),
    text(2, 'network'),
    ...tensors.map((tensor) => nested(5, encodeTensor(tensor))),
    ...inputs.map((value) => nested(11, encodeValue(value))),
    ...outputs.map((value) => nested(12, encodeValue(value))),
  ]);
}

function encodeNode({ op, name, inputs, outputs, attributes }: OnnxNode): Encoded {
  return join([
    ...inputs.map((input) => text(1, input)),
    ...outputs.map((output) => text(2, output)),
    text(3, name),
    text(4, op),
    ...Object.entries(attributes).map(([key, value]) => nested(5, join([text(1, key), encodeAttribute(value)]))),
  ]);
}

function encodeAttribute(value: OnnxAttribute): Encoded {
  if (typeof value === 'number') return join([whole(3, value), whole(20, ATTRIBUTE_TYPES.int)]);
  if (typeof value === 'string') return join([text(4, value), whole(20, ATTRIBUTE_TYPES.string)]);
  if ('float' in value) return join([real(2, value.float), whole(20, ATTRIBUTE_TYPES.float)]);
  return join([...value.map((each) => whole(8, each)), whole(20, ATTRIBUTE_TYPES.ints)]);
}

function encodeTensor({ name, shape, values }: OnnxTensor): Encoded {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return join([...shape.map((size) => whole(1, size)), whole(2, values instanceof Float32Array ? DATA_TYPES.float32 : DATA_TYPES.int64), text(8, name), nested(9, { parts: [bytes], bytes: bytes.length })]);
}

function encodeValue({ name, type, shape }: OnnxValue): Encoded {
  const dimensions = shape.map((size) => nested(1, typeof size === 'number' ? whole(1, size) : text(2, size)));
  return join([text(1, name), nested(2, nested(1, join([whole(1, DATA_TYPES[type]), nested(2, join(dimensions))])))]);
}

// ── Protocol Buffers ────────────────────────────────────────────────────────────────────────────────────────────────

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

function join(encoded: readonly Encoded[]): Encoded {
  return { parts: encoded.flatMap(({ parts }) => parts), bytes: encoded.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function own(bytes: Uint8Array): Encoded {
  return { parts: [bytes], bytes: bytes.length };
}

/** An int64: negative numbers take ten bytes, as their two's complement. */
function varint(value: number): number[] {
  const digits: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    digits.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...digits, Number(rest)];
}

function whole(field: number, value: number): Encoded {
  return own(Uint8Array.from([...varint((field << 3) | VARINT), ...varint(value)]));
}

function real(field: number, value: number): Encoded {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return own(Uint8Array.from([...varint((field << 3) | FIXED32), ...bytes]));
}

function text(field: number, value: string): Encoded {
  return nested(field, own(Buffer.from(value, 'utf8')));
}

function nested(field: number, content: Encoded): Encoded {
  return join([own(Uint8Array.from([...varint((field << 3) | LENGTH_DELIMITED), ...varint(content.bytes)])), content]);
}

/**
 * Decodes the weights of TF.js models: what the manifest announces against the bytes that are there, and quantised
 * numbers back to float32 as TF.js does (`tfjs-core/src/io/io_utils.ts`): `value × scale + min`; float16 by its bits.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isLfsPointer } from './foreign-file.js';
import { failModel, type NamedWeight } from './model.js';

interface Quantization {
  readonly dtype: 'uint8' | 'uint16' | 'float16';
  readonly scale: number;
  readonly min: number;
}

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: NamedWeight['dtype'];
  readonly quantization: Quantization | undefined;
}

/** Weights that lie one after the other in the concatenation of these files. */
export interface WeightGroup {
  readonly paths: readonly string[];
  readonly specs: readonly WeightSpec[];
}

/** They are of some 130 bytes. */
const LFS_POINTER_BYTES_MAX = 1_024;

const BYTES = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 } as const;

/**
 * Checks a `weightsManifest`.
 *
 * @throws EisError EIS_MODEL_FILE when it is none, when a dtype is not known, or when a path leaves the model's folder
 */
export function parseManifest(value: unknown, file: string): WeightGroup[] {
  if (!Array.isArray(value)) return failModel(file, 'it has no list "weightsManifest". Is it a TF.js model.json?');
  return (value as Partial<{ paths: unknown; weights: unknown }>[]).map((group, i) => {
    const { paths, weights } = group ?? {};
    if (!Array.isArray(paths) || !Array.isArray(weights)) return failModel(file, `weightsManifest[${i}] does not have the lists "paths" and "weights".`);
    return { paths: paths.map((path) => checkPath(path, file)), specs: weights.map((spec, j) => parseSpec(spec as Record<string, unknown>, `weightsManifest[${i}].weights[${j}]`, file)) };
  });
}

/** A weight file lies beside the model.json or below it: anything else could read, or overwrite, what is not the model's. */
function checkPath(path: unknown, file: string): string {
  const isInside = typeof path === 'string' && path !== '' && !/^[/\\]|[\\\0]|:/.test(path) && path.split('/').every((part) => part !== '..' && part !== '.' && part !== '');
  return isInside ? path : failModel(file, `its weights lie in ${JSON.stringify(path)}, which is not a relative path below its folder.`);
}

function parseSpec(spec: Record<string, unknown> | null, where: string, file: string): WeightSpec {
  const { name, shape, dtype, quantization } = spec ?? {};
  if (typeof name !== 'string' || !Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0)) failModel(file, `${where} does not say a name and a shape.`);
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') failModel(file, `${where} is of type ${JSON.stringify(dtype)}; float32, int32 and bool can be read.`);
  return { name: name, shape: shape as number[], dtype: dtype, quantization: parseQuantization(quantization as Partial<Quantization> | undefined, where, file) };
}

function parseQuantization(value: Partial<Quantization> | null | undefined, where: string, file: string): Quantization | undefined {
  if (value === undefined || value === null) return undefined;
  const { dtype, scale = 1, min = 0 } = value;
  if (dtype !== 'uint8' && dtype !== 'uint16' && dtype !== 'float16') return failModel(file, `${where} is quantised to ${JSON.stringify(dtype)}; uint8, uint16 and float16 can be read.`);
  if (!Number.isFinite(scale) || !Number.isFinite(min)) failModel(file, `${where} has the scale ${JSON.stringify(scale)} and the minimum ${JSON.stringify(min)}; both are numbers.`);
  return { dtype, scale, min };
}

function countOf(spec: WeightSpec): number {
  return spec.shape.reduce((product, size) => product * size, 1);
}

/** The bytes that a group's files must have together. */
export function groupBytes(group: WeightGroup): number {
  return group.specs.reduce((sum, spec) => sum + countOf(spec) * BYTES[spec.quantization?.dtype ?? spec.dtype], 0);
}

/**
 * Reads and decodes those weights of a model that `isWanted` names, from the files beside its model.json.
 *
 * @throws EisError EIS_MODEL_FILE when a file is missing, or does not hold what the manifest announces
 */
export async function readWeights(manifest: unknown, options: { readonly file: string; readonly isWanted: (name: string) => boolean }): Promise<NamedWeight[]> {
  const { file } = options;
  const weights: NamedWeight[] = [];
  for (const group of parseManifest(manifest, file)) {
    const paths = group.paths.map((path) => join(dirname(file), path));
    await checkSizes(group, paths, file);
    const parts = await Promise.all(paths.map((path) => readPart(path, file)));
    weights.push(...decodeGroup(group, parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), options));
  }
  return weights;
}

/** Before anything is read: what lies there may be anything, of any size. */
async function checkSizes(group: WeightGroup, paths: readonly string[], file: string): Promise<void> {
  const sizes = await Promise.all(paths.map((path) => stat(path).then(({ size }) => size, (cause: unknown) => failPart(path, file, cause))));
  const [total, announced] = [sizes.reduce((sum, size) => sum + size, 0), groupBytes(group)];
  if (total === announced) return;
  const pointer = sizes.findIndex((size) => size < LFS_POINTER_BYTES_MAX);
  if (pointer !== -1 && isLfsPointer(await readPart(paths[pointer] as string, file))) failModel(file, `its weight file ${paths[pointer]} is a Git LFS pointer and not the file itself. Run "git lfs pull" where it comes from.`);
  failSize(group, total, file);
}

function failSize(group: WeightGroup, bytes: number, file: string): never {
  return failModel(file, `its weights (${group.paths.slice(0, 3).join(', ')}${group.paths.length > 3 ? ', …' : ''}) are ${bytes} bytes where model.json announces ${groupBytes(group)}. The files are damaged or not this model's: fetch them again.`);
}

async function readPart(path: string, file: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    return failPart(path, file, cause);
  }
}

function failPart(path: string, file: string, cause: unknown): never {
  return failModel(file, `its weight file ${path} cannot be read. It belongs beside the model.json.`, cause);
}

/**
 * Decodes those weights of a group that `isWanted` names, into memory that threads can share.
 *
 * @param bytes the group's files, concatenated
 * @throws EisError EIS_MODEL_FILE when the bytes are more or fewer than announced
 */
export function decodeGroup(group: WeightGroup, bytes: Uint8Array, options: { readonly file: string; readonly isWanted: (name: string) => boolean }): NamedWeight[] {
  if (bytes.length !== groupBytes(group)) failSize(group, bytes.length, options.file);
  const weights: NamedWeight[] = [];
  let offset = 0;
  for (const spec of group.specs) {
    const end = offset + countOf(spec) * BYTES[spec.quantization?.dtype ?? spec.dtype];
    if (options.isWanted(spec.name)) weights.push({ name: spec.name, shape: spec.shape, dtype: spec.dtype, values: decodeWeight(spec, bytes.subarray(offset, end)) });
    offset = end;
  }
  return weights;
}

function decodeWeight(spec: WeightSpec, bytes: Uint8Array): NamedWeight['values'] {
  const { dtype, quantization } = spec;
  const shared = new SharedArrayBuffer(countOf(spec) * BYTES[dtype]);
  if (!quantization) new Uint8Array(shared).set(bytes);
  if (dtype === 'bool') return new Uint8Array(shared);
  const values = dtype === 'float32' ? new Float32Array(shared) : new Int32Array(shared);
  if (quantization) dequantise(values, bytes, quantization);
  return values;
}

function dequantise(values: Float32Array | Int32Array, bytes: Uint8Array, { dtype, scale, min }: Quantization): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const round = values instanceof Int32Array;
  for (let i = 0; i < values.length; i++) {
    if (dtype === 'float16') values[i] = float16(view.getUint16(2 * i, true));
    else {
      const value = (dtype === 'uint8' ? (bytes[i] as number) : view.getUint16(2 * i, true)) * scale + min;
      values[i] = round ? Math.round(value) : value;
    }
  }
}

/** The number that 16 bits of IEEE 754 half precision stand for: sign 1, exponent 5 (bias 15), fraction 10. */
export function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

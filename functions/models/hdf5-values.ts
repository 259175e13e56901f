/** Reads the numbers of a dataset, piece by piece, out of the HDF5 library's memory into memory that threads can share. */
import type { ready } from 'h5wasm';
import { CHUNK_BYTES_MAX, EXPANSION_MAX, Hdf5Fault, WEIGHT_BYTES_MAX, type Hdf5Dataset, type Hdf5Type, type Hdf5Values } from './hdf5-contents.js';
import { float16 } from './weights.js';

/** The library: its functions, its memory, the file that it has open. */
export interface Hdf5Library {
  readonly module: Awaited<typeof ready>;
  readonly fileId: bigint;
  readonly fileBytes: number;
}

export interface DatasetLayout {
  readonly elementBytes: number;
  /** The shape of the pieces that it is packed in; null: it lies in the file in one piece, not packed. */
  readonly chunks: readonly number[] | null;
}

type NumericDataset = Hdf5Dataset & DatasetLayout & { readonly path: string };

/** Of one piece: memory of the library, which it never gives back. */
const PIECE_BYTES = 16 * 1024 ** 2;

/**
 * @param onProgress told after every piece
 * @throws Hdf5Fault when it is larger than what is read or than its file can hold; else what the library throws
 */
export function readDataset(library: Hdf5Library, dataset: NumericDataset, onProgress: () => void): Hdf5Values {
  const { shape, elementBytes, type } = dataset;
  if (type === 'other') throw new Hdf5Fault(`its dataset ${JSON.stringify(dataset.path)} is of a type that weights are not of: floating-point and whole numbers can be read.`);
  const count = shape.reduce((product, size) => product * size, 1);
  checkSize(dataset, count, library.fileBytes);
  const result = allocate(type, count);
  const rowElements = count / (shape[0] ?? 1);
  const rows = rowsOfPiece(dataset, rowElements);
  const { module } = library;
  const pointer = count === 0 ? 0 : module._malloc(Math.min(count, rows * rowElements) * elementBytes);
  if (count > 0 && pointer === 0) throw new Hdf5Fault(`its dataset ${JSON.stringify(dataset.path)} needs more memory than there is.`);
  for (let row = 0, done = 0; done < count; row += rows) {
    const elements = Math.min(count - done, rows * rowElements);
    readRows(library, dataset, { row, rows: Math.min(rows, (shape[0] ?? 1) - row), pointer });
    const bytes = module.HEAPU8.subarray(pointer, pointer + elements * elementBytes);
    decode(type, bytes, result.values.subarray(done, done + elements));
    done += elements;
    onProgress();
  }
  if (pointer !== 0) module._free(pointer);
  return result;
}

function checkSize({ path, elementBytes, chunks, shape }: NumericDataset, count: number, fileBytes: number): void {
  const bytes = count * elementBytes;
  const place = `its dataset ${JSON.stringify(path)} of the shape [${shape.join(', ')}]`;
  if (bytes > fileBytes * (chunks ? EXPANSION_MAX : 1)) throw new Hdf5Fault(`${place} would have ${bytes} bytes, and the whole file has ${fileBytes}. It is damaged, cut short, or not what it seems: fetch or save it again.`);
  if (Math.max(bytes, 4 * count) > WEIGHT_BYTES_MAX) throw new Hdf5Fault(`${place} has ${bytes} bytes; at most ${WEIGHT_BYTES_MAX} are read.`);
  const chunkBytes = (chunks ?? []).reduce((product, size) => product * size, elementBytes);
  if (chunkBytes > CHUNK_BYTES_MAX) throw new Hdf5Fault(`${place} is packed in pieces of ${chunkBytes} bytes; at most ${CHUNK_BYTES_MAX} are read.`);
}

type NumberType = Exclude<Hdf5Type, 'other'>;

function allocate(type: NumberType, count: number): Hdf5Values {
  if (type === 'bool') return { dtype: 'bool', values: new Uint8Array(new SharedArrayBuffer(count)) };
  const isFloat = type.includes('float');
  const memory = new SharedArrayBuffer(4 * count);
  return isFloat ? { dtype: 'float32', values: new Float32Array(memory) } : { dtype: 'int32', values: new Int32Array(memory) };
}

/** So many that a piece is of some `PIECE_BYTES`, and that no chunk is unpacked twice. */
function rowsOfPiece({ elementBytes, chunks }: NumericDataset, rowElements: number): number {
  const rows = Math.max(1, Math.floor(PIECE_BYTES / (rowElements * elementBytes || 1)));
  const together = chunks?.[0] ?? 1;
  return Math.ceil(rows / together) * together;
}

function readRows({ module, fileId }: Hdf5Library, { path, shape }: NumericDataset, { row, rows, pointer }: { readonly row: number; readonly rows: number; readonly pointer: number }): void {
  const [, ...rest] = shape;
  const isScalar = shape.length === 0;
  const counts = isScalar ? null : [rows, ...rest].map(BigInt);
  const offsets = isScalar ? null : [row, ...rest.map(() => 0)].map(BigInt);
  const strides = isScalar ? null : shape.map(() => 1n);
  if (module.get_dataset_data(fileId, `/${path}`, counts, offsets, strides, BigInt(pointer)) < 0) throw new Error('the library gives no reason');
}

/** Numbers of the file's type, little-endian, as those of the result's. */
function decode(type: NumberType, bytes: Uint8Array, into: Hdf5Values['values']): void {
  if (type === 'float32' || type === 'int32' || type === 'uint32' || type === 'bool') {
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
    return;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[type];
  for (let i = 0; i < into.length; i++) into[i] = read(view, i);
}

const READERS: Readonly<Record<Exclude<NumberType, 'float32' | 'int32' | 'uint32' | 'bool'>, (view: DataView, i: number) => number>> = {
  float16: (view, i) => float16(view.getUint16(2 * i, true)),
  bfloat16: (view, i) => bfloat16(view.getUint16(2 * i, true)),
  float64: (view, i) => view.getFloat64(8 * i, true),
  int8: (view, i) => view.getInt8(i),
  uint8: (view, i) => view.getUint8(i),
  int16: (view, i) => view.getInt16(2 * i, true),
  uint16: (view, i) => view.getUint16(2 * i, true),
  int64: (view, i) => Number(view.getBigInt64(8 * i, true)),
  uint64: (view, i) => Number(view.getBigUint64(8 * i, true)),
};

const word = new DataView(new ArrayBuffer(4));

/** The upper half of a float32. */
function bfloat16(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

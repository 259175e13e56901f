/** Keras files as Keras lays them out, written with the HDF5 library and by hand: `.h5`, weights alone, `.keras`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { File, ready, type Group, type LIBVER_BOUNDS } from 'h5wasm';
import { openModelFile } from '../../../functions/models/model-file.js';
import type { ModelFile } from '../../../functions/models/model.js';
import { seededWeights, tinyClassifier, type ModelJson } from './tiny-model.js';

export interface H5Weight {
  /** As Keras names it: `conv/kernel:0`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | Float64Array | Int8Array | Int32Array;
}

export interface H5Layer {
  readonly name: string;
  readonly weights: readonly H5Weight[];
}

let count = 0;

/** The bytes of an HDF5 file that `build` fills; of the oldest version that can hold it, as h5py writes them, or of the newest. */
export async function writeHdf5(build: (file: File) => void, libver: LIBVER_BOUNDS = ['earliest', 'latest']): Promise<Buffer> {
  const { FS } = (await ready) as unknown as { FS: { readFile(path: string): Uint8Array; unlink(path: string): void } };
  const path = `/written-${count++}.h5`;
  const file = new File(path, 'w', { libver });
  build(file);
  file.flush();
  file.close();
  const bytes = Buffer.from(FS.readFile(path));
  FS.unlink(path);
  return bytes;
}

/** Gives a group texts as h5py writes lists of them; without any, an empty list of numbers. */
export function setTexts(group: Group, name: string, texts: readonly string[]): void {
  if (texts.length === 0) group.create_attribute(name, new Float64Array(0), [0]);
  else group.create_attribute(name, [...texts], [texts.length], `S${Math.max(...texts.map((text) => Buffer.byteLength(text)))}`);
}

/** A group and those above it. */
export function makeGroups(file: Group, path: string): Group {
  let group = file;
  for (const name of path.split('/')) group = (group.keys().includes(name) ? group.get(name) : group.create_group(name)) as Group;
  return group;
}

export interface DatasetOptions {
  /** In pieces of half of its rows, each packed. */
  readonly isPacked?: boolean;
}

export function setWeight(group: Group, { name, shape, values }: H5Weight, { isPacked = false }: DatasetOptions = {}): void {
  const parts = name.split('/');
  const parent = parts.length === 1 ? group : makeGroups(group, parts.slice(0, -1).join('/'));
  parent.create_dataset({ name: parts.at(-1) as string, data: values, shape: [...shape], ...(isPacked ? { chunks: [Math.ceil((shape[0] as number) / 2), ...shape.slice(1)], compression: 'gzip' } : {}) });
}

/** Layers as Keras 2 writes them into a group. */
export function setLayers(group: Group, layers: readonly H5Layer[], options: DatasetOptions = {}): void {
  setTexts(group, 'layer_names', layers.map(({ name }) => name));
  for (const { name, weights } of layers) {
    const own = makeGroups(group, name);
    setTexts(own, 'weight_names', weights.map((weight) => weight.name));
    for (const weight of weights) setWeight(own, weight, options);
  }
}

/** A whole model as `model.save('x.h5')` writes it, with the state of an optimiser. */
export function kerasH5(topology: unknown, layers: readonly H5Layer[], options: DatasetOptions = {}): Promise<Buffer> {
  return writeHdf5((file) => {
    file.create_attribute('keras_version', '2.8.0');
    file.create_attribute('model_config', JSON.stringify(topology));
    setLayers(file.create_group('model_weights'), layers, options);
    setWeight(file.create_group('optimizer_weights'), { name: 'Adam/m/kernel:0', shape: [4], values: new Float32Array(4) });
  });
}

/** The model inside a model.json, and its weights by layers as Keras 2 would keep them: `layer/kernel` as `layer/kernel:0`. */
export function asKeras(model: ModelJson, bytes: Buffer = seededWeights(model)): { readonly topology: { readonly config: { readonly layers: readonly { readonly name: string }[] } }; readonly layers: H5Layer[] } {
  const outer = model.modelTopology as { model_config?: unknown };
  const topology = (outer.model_config ?? outer) as { config: { layers: { name: string }[] } };
  let offset = 0;
  const weights = model.weightsManifest.flatMap(({ weights: specs }) => specs).map(({ name, shape }): H5Weight => {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + 4 * length));
    offset += 4 * length;
    return { name: `${name}:0`, shape, values };
  });
  const layers = topology.config.layers.map(({ name }) => ({ name, weights: weights.filter((weight) => weight.name.startsWith(`${name}/`)) }));
  return { topology, layers };
}

/** The tiny classifier as a `.h5`. */
export async function tinyH5(size: number | null = 16, seed = 1): Promise<Buffer> {
  const model = tinyClassifier(size);
  const { topology, layers } = asKeras(model, seededWeights(model, seed));
  return kerasH5(topology, layers);
}

// ── .keras ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Buffer;
  readonly isPacked?: boolean;
  /** What the headers say in place of what is true. */
  readonly flags?: number;
  readonly method?: number;
  readonly announcedBytes?: number;
  readonly extra?: Buffer;
}

/** A zip archive, as its specification (APPNOTE.TXT) has it. */
export function zip(entries: readonly ZipEntry[]): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, isPacked = false, flags = 0, method = isPacked ? 8 : 0, announcedBytes = bytes.length, extra = Buffer.alloc(0) } of entries) {
    const data = isPacked ? deflateRawSync(bytes) : bytes;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt16LE(0x21, 8); // 1 January 1980
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(announcedBytes, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    common.writeUInt16LE(extra.length, 24);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), extra, data]);
    centrals.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, rest, Buffer.from(name), extra);
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** A weights file of Keras 3: the variables of each layer, by the path of its group. */
export function kerasWeights(layers: Readonly<Record<string, { readonly name?: string; readonly variables: readonly Omit<H5Weight, 'name'>[] }>>): Promise<Buffer> {
  return writeHdf5((file) => {
    for (const [path, { name, variables }] of Object.entries(layers)) {
      const vars = makeGroups(file, `${path}/vars`);
      if (name !== undefined) vars.create_attribute('name', name);
      for (const [i, variable] of variables.entries()) setWeight(vars, { ...variable, name: String(i) });
    }
  });
}

/** A `.keras` file of these parts. */
export function kerasArchive(topology: unknown, weights: Buffer, changes: Partial<ZipEntry> = {}): Buffer {
  return zip([
    { name: 'metadata.json', bytes: Buffer.from('{"keras_version": "3.5.0"}') },
    { name: 'config.json', bytes: Buffer.from(JSON.stringify(topology)) },
    { name: 'model.weights.h5', bytes: weights, ...changes },
  ]);
}

/** The tiny classifier as a `.keras`. */
export async function tinyKeras(size: number | null = 16, seed = 1): Promise<Buffer> {
  const model = tinyClassifier(size);
  const { topology, layers } = asKeras(model, seededWeights(model, seed));
  const weightsOf = (name: string): readonly H5Weight[] => layers.find((layer) => layer.name === name)!.weights;
  return kerasArchive(topology, await kerasWeights({ 'layers/conv2d': { variables: weightsOf('conv') }, 'layers/dense': { variables: weightsOf('classes') } }));
}

/** Writes a main file and opens it as `loadModel` does. */
export async function writeModelFile(path: string, bytes: Buffer): Promise<ModelFile> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return openModelFile(path);
}

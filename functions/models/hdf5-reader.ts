/**
 * Reads HDF5 files with the HDF5 library as WebAssembly (h5wasm), in the thread that calls: what a file announces is held
 * against bounds before anything is allocated for it, links are not followed, and what the library throws comes out as
 * `Hdf5Fault`. A damaged file may still send the library round in circles: see `hdf5-file.ts`.
 */
import { File, ready } from 'h5wasm';
import { ATTRIBUTE_BYTES_MAX, ATTRIBUTE_TEXTS_MAX, GROUPS_DEPTH_MAX, Hdf5Fault, OBJECTS_MAX, type Hdf5Contents, type Hdf5Dataset, type Hdf5Source, type Hdf5Type, type Hdf5Values } from './hdf5-contents.js';
import { MOUNTED_PATH, mountSource, sizeOf, type EmscriptenFs } from './hdf5-source.js';
import { readDataset, type DatasetLayout, type Hdf5Library } from './hdf5-values.js';

export interface Hdf5Reader {
  readonly contents: Hdf5Contents;
  /** @throws Hdf5Fault when there is no such dataset, it cannot be read, or is larger than what is read */
  read(path: string): Hdf5Values;
}

/** The attributes that Keras keeps texts in, cut into numbered pieces where they are long. */
const ATTRIBUTES = /^(model_config|layer_names|weight_names|name)\d*$/;
/** State of the training at the root of a file: as large as the weights, and of no use here. */
const OPTIMIZER = /^optimizer/;

/**
 * Opens a file and looks through it. One file in the life of a thread: the library keeps what it had open.
 *
 * @param onProgress told with every step, so that somebody who waits knows that it goes on
 * @throws Hdf5Fault
 */
export async function openReader(source: Hdf5Source, onProgress: () => void): Promise<Hdf5Reader> {
  const module = await ready;
  mountSource(module.FS as unknown as EmscriptenFs, source);
  module.activate_throwing_error_handler();
  const fileId = guard('it is no HDF5 file, or it is damaged', () => new File(MOUNTED_PATH, 'r').file_id);
  const library: Hdf5Library = { module, fileId, fileBytes: sizeOf(source) };
  const found = walk(library, onProgress);
  return {
    contents: { groups: found.groups, datasets: new Map([...found.datasets].map(([path, { dataset }]) => [path, dataset])) },
    read(path) {
      const { dataset, layout } = found.datasets.get(path) ?? fault(`it has no dataset ${JSON.stringify(path)}.`);
      return guard(`it is damaged: its dataset ${JSON.stringify(path)} cannot be read`, () => readDataset(library, { path, ...dataset, ...layout }, onProgress));
    },
  };
}

function fault(message: string): never {
  throw new Hdf5Fault(message);
}

/** Runs what calls the library; whatever it throws becomes a fault. */
function guard<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    if (thrown instanceof Hdf5Fault) throw thrown;
    throw new Hdf5Fault(`${what} (${reasonOf(thrown)}). Fetch or save it again.`, { cause: thrown });
  }
}

/** The innermost line of HDF5's stack of errors; the message of anything else. */
function reasonOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const frames = [...message.matchAll(/^\s*#\d+:.*\(\): (.*)$/gm)];
  return ((frames.at(-1)?.[1] ?? message.split('\n')[0]) as string).slice(0, 200);
}

// ── What there is ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Found {
  readonly groups: Map<string, Record<string, readonly string[]>>;
  readonly datasets: Map<string, { readonly dataset: Hdf5Dataset; readonly layout: DatasetLayout }>;
}

function walk(library: Hdf5Library, onProgress: () => void): Found {
  const found: Found = { groups: new Map(), datasets: new Map() };
  const open: { readonly path: string; readonly depth: number }[] = [{ path: '', depth: 0 }];
  for (const { path, depth } of open) { // level by level, so that circles meet a bound while their paths are short
    if (depth > GROUPS_DEPTH_MAX) fault(`its groups are nested more than ${GROUPS_DEPTH_MAX} deep.`);
    const names = guard(describeGroup(path), () => {
      found.groups.set(path, readAttributes(library, path));
      return library.module.get_names(library.fileId, `/${path}`, false);
    });
    if (open.length + found.datasets.size + names.length > OBJECTS_MAX) fault(`it has more than ${OBJECTS_MAX} groups and datasets.`);
    for (const name of names) {
      onProgress();
      if (path === '' && OPTIMIZER.test(name)) continue;
      const child = path === '' ? name : `${path}/${name}`;
      const kind = guard(describeGroup(path), () => kindOf(library, child));
      if (kind === 'group') open.push({ path: child, depth: depth + 1 });
      if (kind === 'dataset') found.datasets.set(child, guard(`it is damaged: its dataset ${JSON.stringify(child)} cannot be opened`, () => describeDataset(library, child)));
    }
  }
  return found;
}

function describeGroup(path: string): string {
  return `it is damaged: its ${path === '' ? 'root' : `group ${JSON.stringify(path)}`} cannot be read`;
}

/** What stands under a name in this file. Links to elsewhere are not followed, and Keras writes none. */
function kindOf({ module, fileId }: Hdf5Library, path: string): 'group' | 'dataset' | 'other' {
  const isSoft = module.get_symbolic_link(fileId, `/${path}`) !== null;
  if (isSoft || module.get_external_link(fileId, `/${path}`).filename !== undefined) fault(`its ${JSON.stringify(path)} is a link to another place. Links are not followed: save the model again with Keras, which writes none.`);
  const type = module.get_type(fileId, `/${path}`);
  return type === module.H5G_GROUP ? 'group' : type === module.H5G_DATASET ? 'dataset' : 'other';
}

function describeDataset({ module, fileId }: Hdf5Library, path: string): { readonly dataset: Hdf5Dataset; readonly layout: DatasetLayout } {
  const { shape, type, size, signed, chunks, virtual_sources, enum_type } = module.get_dataset_metadata(fileId, `/${path}`);
  if (virtual_sources !== undefined) fault(`its dataset ${JSON.stringify(path)} is a virtual one, which is made of others, in other files too. Save the model again with Keras, which writes none.`);
  const { H5T_class_t: kinds } = module;
  const isBool = type === kinds.H5T_ENUM.value && size === 1 && enum_type?.nmembers === 2 && enum_type.members['TRUE'] === 1;
  const isBrain = size === 2 && textAttribute({ module, fileId }, path, 'dtype') === 'bfloat16';
  const number = type === kinds.H5T_FLOAT.value ? `float${8 * size}` : type === kinds.H5T_INTEGER.value ? `${signed ? '' : 'u'}int${8 * size}` : '';
  const named = isBool ? 'bool' : isBrain ? 'bfloat16' : isNumberType(number) ? number : 'other';
  return { dataset: { shape: shape ?? [0], type: named }, layout: { elementBytes: size, chunks } };
}

const NUMBER_TYPES = ['float16', 'float32', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'] as const satisfies readonly Hdf5Type[];

function isNumberType(name: string): name is (typeof NUMBER_TYPES)[number] {
  return (NUMBER_TYPES as readonly string[]).includes(name);
}

// ── Attributes ──────────────────────────────────────────────────────────────────────────────────────────────────────

function readAttributes(library: Hdf5Library, path: string): Record<string, readonly string[]> {
  const names = library.module.get_attribute_names(library.fileId, `/${path}`).filter((name) => ATTRIBUTES.test(name));
  return Object.fromEntries(names.flatMap((name) => {
    const texts = readTexts(library, path, name);
    return texts === undefined ? [] : [[name, texts]];
  }));
}

function textAttribute(library: Pick<Hdf5Library, 'module' | 'fileId'>, path: string, name: string): string | undefined {
  return library.module.get_attribute_names(library.fileId, `/${path}`).includes(name) ? readTexts(library, path, name)?.[0] : undefined;
}

/** The texts of an attribute; undefined when it is not of texts. Keras writes an empty list of names as one of numbers. */
function readTexts({ module, fileId }: Pick<Hdf5Library, 'module' | 'fileId'>, path: string, name: string): readonly string[] | undefined {
  const { type, size, total_size: count, vlen, shape } = module.get_attribute_metadata(fileId, `/${path}`, name);
  if (shape === null || count === 0) return [];
  if (type !== module.H5T_class_t.H5T_STRING.value) return undefined;
  if (count > ATTRIBUTE_TEXTS_MAX || count * size > ATTRIBUTE_BYTES_MAX) fault(`its attribute ${JSON.stringify(name)} of ${JSON.stringify(`/${path}`)} announces ${count} texts of ${size} bytes; ${ATTRIBUTE_TEXTS_MAX} of ${ATTRIBUTE_BYTES_MAX} bytes together are read.`);
  const pointer = module._malloc(Math.max(1, count * size));
  if (pointer === 0) fault('it asks for more memory than there is.');
  module.HEAPU8.fill(0, pointer, pointer + count * size);
  try {
    if (module.get_attribute_data(fileId, `/${path}`, name, BigInt(pointer)) < 0) throw new Error('an attribute cannot be read');
    return Array.from({ length: count }, (_, i) => (vlen ? pointedText(module, pointer + i * size) : fixedText(module, pointer + i * size, size)));
  } finally {
    module._free(pointer);
  }
}

function fixedText(module: Hdf5Library['module'], start: number, size: number): string {
  const bytes = module.HEAPU8.slice(start, start + size);
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

function pointedText(module: Hdf5Library['module'], at: number): string {
  const text = new DataView(module.HEAPU8.buffer).getUint32(at, true);
  return text === 0 ? '' : module.UTF8ToString(text);
}

/**
 * Takes the two parts of a `.keras` file, which is a zip archive, that a model is made of: its topology and where its
 * weights lie. Keras packs nothing, so that the weights are read where they are; an archive that somebody packed again is
 * unpacked in memory. Nothing is ever written to the disk.
 */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { isEisError } from '../../common/errors.js';
import { readBounded } from '../../common/read-bounded.js';
import { EXPANSION_MAX, type Hdf5Source } from './hdf5-contents.js';
import { failModel } from './model.js';

export interface KerasArchive {
  /** The text of config.json. */
  readonly config: string;
  readonly weights: Hdf5Source;
}

const CONFIG = 'config.json';
const WEIGHTS = 'model.weights.h5';
/** Keras writes three, and what layers keep beside their weights. */
const ENTRIES_MAX = 10_000;
const CONFIG_BYTES_MAX = 64 * 1024 ** 2;
/** Of weights that were packed, which have to be held in memory. */
const UNPACKED_BYTES_MAX = 2 * 1024 ** 3;
const STORED = 0;
const ZIP64_FIELD = 1;
const ENCRYPTED_FLAG = 1;

/** @throws EisError EIS_MODEL_FILE when it is damaged, is no model, or is packed in ways that Keras does not use */
export async function readKerasArchive(path: string): Promise<KerasArchive> {
  try {
    const zip = await openPromise(path, { autoClose: false, lazyEntries: true, strictFileNames: true });
    try {
      const entries = await listEntries(zip, path);
      const config = entries.get(CONFIG) ?? failModel(path, `it is a zip archive without a ${CONFIG}, and no model that Keras saved. Set "model_url" to a .keras file itself, or unpack it and name the model in it.`);
      const weights = entries.get(WEIGHTS) ?? failModel(path, `it has no ${WEIGHTS}${entries.has('model.weights.npz') ? ': its weights are in the format "npz", which is not read' : ''}. Save the model again: model.save('model.keras').`);
      return { config: await readText(zip, config, path), weights: isStored(weights) ? await locate(zip, weights, path) : await unpack(zip, weights, path) };
    } finally {
      zip.close();
    }
  } catch (thrown) {
    if (isEisError(thrown)) throw thrown;
    return failModel(path, `its archive is damaged (${(thrown as Error).message}). Fetch or save it again.`, thrown);
  }
}

async function listEntries(zip: ZipFile, path: string): Promise<ReadonlyMap<string, Entry>> {
  if (zip.entryCount > ENTRIES_MAX) failModel(path, `its archive has ${zip.entryCount} entries; at most ${ENTRIES_MAX} are read.`);
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) {
    if (entries.has(entry.fileName)) failModel(path, `its archive has two entries ${JSON.stringify(entry.fileName)}. Save the model again.`);
    entries.set(entry.fileName, entry);
  }
  for (const name of [CONFIG, WEIGHTS]) checkEntry(entries.get(name), path);
  return entries;
}

function checkEntry(entry: Entry | undefined, path: string): void {
  if (!entry) return;
  const { fileName, generalPurposeBitFlag, extraFields, compressionMethod, uncompressedSize, compressedSize } = entry;
  const place = `the ${fileName} in its archive`;
  if (generalPurposeBitFlag & ENCRYPTED_FLAG) failModel(path, `${place} is encrypted. Save the model again, without a password.`);
  if (extraFields.some(({ id }) => id === ZIP64_FIELD)) failModel(path, `${place} is written as ZIP64, for more than 4 GB. Models are read up to that size.`);
  if (!entry.canDecodeFileData()) failModel(path, `${place} is packed by the method ${compressionMethod}; not packed (0) and DEFLATE (8) can be read. Save the model again.`);
  if (uncompressedSize > EXPANSION_MAX * Math.max(1, compressedSize)) failModel(path, `${place} announces ${uncompressedSize} bytes, packed in ${compressedSize}. That cannot be.`);
}

function isStored({ compressionMethod }: Entry): boolean {
  return compressionMethod === STORED;
}

async function readText(zip: ZipFile, entry: Entry, path: string): Promise<string> {
  if (entry.uncompressedSize > CONFIG_BYTES_MAX) failModel(path, `its ${CONFIG} has ${entry.uncompressedSize} bytes; at most ${CONFIG_BYTES_MAX} are read.`);
  const stream = await zip.openReadStreamPromise(entry);
  const bytes = (await readBounded(stream, CONFIG_BYTES_MAX)) as Buffer;
  checkCrc(crc32(bytes), entry, path);
  return bytes.toString('utf8');
}

/** Where in the file of the archive an entry lies that is not packed. */
async function locate(zip: ZipFile, entry: Entry, path: string): Promise<Hdf5Source> {
  const { fileDataStart: start } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  const bytes = entry.uncompressedSize;
  if (start + bytes > zip.fileSize) failModel(path, `the ${entry.fileName} in its archive is cut short. Fetch or save it again.`);
  let crc = 0;
  if (bytes > 0) for await (const chunk of createReadStream(path, { start, end: start + bytes - 1 }) as AsyncIterable<Buffer>) crc = crc32(chunk, crc);
  checkCrc(crc, entry, path);
  return { kind: 'part', path, start, bytes };
}

async function unpack(zip: ZipFile, entry: Entry, path: string): Promise<Hdf5Source> {
  const bytes = entry.uncompressedSize;
  if (bytes > UNPACKED_BYTES_MAX) failModel(path, `the ${entry.fileName} in its archive has ${bytes} bytes when unpacked; at most ${UNPACKED_BYTES_MAX} are, unless they are not packed, as Keras saves them.`);
  const memory = new SharedArrayBuffer(bytes);
  const target = new Uint8Array(memory);
  let [done, crc] = [0, 0];
  for await (const chunk of (await zip.openReadStreamPromise(entry)) as Readable & AsyncIterable<Buffer>) {
    target.set(chunk, done);
    crc = crc32(chunk, crc);
    done += chunk.length;
  }
  checkCrc(crc, entry, path);
  return { kind: 'memory', memory };
}

function checkCrc(actual: number, { crc32: expected, fileName }: Entry, path: string): void {
  if (actual !== expected >>> 0) failModel(path, `the ${fileName} in its archive is damaged: its checksum is not the one that stands there. Fetch or save it again.`);
}

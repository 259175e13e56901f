/** Tells the containers of Keras models by their bytes: whatever a file is called, or an address ends in. */
import { open, type FileHandle } from 'node:fs/promises';

export type Container = 'hdf5' | 'zip';

/** Enough to tell what a file is. */
export const HEAD_BYTES = 4_096;

const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');
const ZIP = Buffer.from('PK\x03\x04', 'latin1');
/** HDF5 allows a block of the user's own before the file, of this size or twice, four times, … as much. */
const USER_BLOCK_BYTES = 512;

/** The first bytes of a file. */
export async function readHead(path: string): Promise<Buffer> {
  return withFile(path, (file) => readAt(file, 0, HEAD_BYTES));
}

/** What the first bytes of a file say that it is; undefined: neither. */
export function containerOf(head: Uint8Array): Container | undefined {
  if (startsWith(head, ZIP, 0)) return 'zip';
  return findHdf5Start(head) === undefined ? undefined : 'hdf5';
}

/** Where in a file the HDF5 signature stands, as far as its first bytes tell. */
export function findHdf5Start(head: Uint8Array): number | undefined {
  for (let at = 0; at + HDF5.length <= head.length; at = at === 0 ? USER_BLOCK_BYTES : 2 * at) if (startsWith(head, HDF5, at)) return at;
  return undefined;
}

function startsWith(bytes: Uint8Array, signature: Buffer, at: number): boolean {
  return signature.equals(bytes.subarray(at, at + signature.length));
}

/**
 * Whether a file of this kind ends where it should: as long as an HDF5 file says that it is (superblock, "end of file
 * address"), or with the directory that closes a zip archive. Reads a few bytes.
 */
export async function endsAsItShould(path: string, container: Container): Promise<boolean> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    return container === 'hdf5' ? size >= (announcedBytes(await readAt(file, 0, HEAD_BYTES)) ?? Infinity) : hasZipEnd(file, size);
  });
}

/** The length that the superblock of an HDF5 file announces (HDF5 File Format Specification, II.A). */
function announcedBytes(head: Buffer): number | undefined {
  const start = findHdf5Start(head);
  if (start === undefined) return undefined;
  const version = head[start + 8] ?? 0;
  const isOld = version < 2;
  const addressBytes = head[start + (isOld ? 13 : 9)];
  const endAddressAt = start + (isOld ? (version === 0 ? 24 : 28) : 12) + 2 * (addressBytes ?? 0);
  if (addressBytes !== 8 || endAddressAt + 8 > head.length) return undefined;
  return start + Number(head.readBigUInt64LE(endAddressAt));
}

const ZIP_END = Buffer.from('PK\x05\x06', 'latin1');
const ZIP_END_BYTES = 22;
const ZIP_COMMENT_BYTES_MAX = 65_535;

async function hasZipEnd(file: FileHandle, size: number): Promise<boolean> {
  const length = Math.min(size, ZIP_END_BYTES + ZIP_COMMENT_BYTES_MAX);
  const tail = await readAt(file, size - length, length);
  const at = tail.lastIndexOf(ZIP_END);
  return at !== -1 && at + ZIP_END_BYTES <= tail.length && at + ZIP_END_BYTES + tail.readUInt16LE(at + 20) === tail.length;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

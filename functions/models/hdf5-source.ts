/**
 * The file system that the HDF5 library sees: one file, read only, and nothing else. HDF5 files can name other files
 * (external links, external storage, virtual datasets); whatever they name is not there. The bytes are read where they
 * are asked for, so that a file is never in memory as a whole.
 */
import { openSync, readSync } from 'node:fs';
import { Hdf5Fault, type Hdf5Source } from './hdf5-contents.js';

/** What is used of the file system of Emscripten, which h5wasm is built with. */
export interface EmscriptenFs {
  createNode(parent: FsNode | null, name: string, mode: number, device: number): FsNode;
  mkdir(path: string): void;
  mount(type: FsType, options: object, path: string): void;
  readdir(path: string): string[];
  unlink(path: string): void;
  readonly ErrnoError: new (errno: number) => Error;
}

interface FsNode {
  id: number;
  mode: number;
  node_ops: object;
  stream_ops: object;
}

interface FsStream {
  readonly node: FsNode;
  readonly position: number;
}

type FsRead = readonly [stream: FsStream, memory: Uint8Array, offset: number, length: number, position: number];

interface FsType {
  mount(mount: object): FsNode;
}

/** Reads into `target` from `position` on, no further than to the end; returns how many bytes. */
type ReadBytes = (target: Uint8Array, position: number) => number;

const DIRECTORY = 0o40555;
const FILE = 0o100444;
/** Numbers of errors as WASI has them. */
const ENOENT = 44;
const EINVAL = 28;
const EROFS = 69;

const SEEK_CURRENT = 1;
const SEEK_END = 2;

/** Its path in there. */
export const MOUNTED_PATH = '/model/file.h5';

/** Puts the bytes of `source` there as the only file; devices that give something to read are taken away. */
export function mountSource(fs: EmscriptenFs, source: Hdf5Source): void {
  for (const device of ['random', 'urandom', 'stdin', 'tty', 'tty1']) if (fs.readdir('/dev').includes(device)) fs.unlink(`/dev/${device}`);
  const bytes = sizeOf(source);
  fs.mkdir('/model');
  fs.mount(oneFile(fs, readerOf(source), bytes), {}, '/model');
}

export function sizeOf(source: Hdf5Source): number {
  return source.kind === 'part' ? source.bytes : source.memory.byteLength;
}

function readerOf(source: Hdf5Source): ReadBytes {
  if (source.kind === 'memory') {
    const all = new Uint8Array(source.memory);
    return (target, position) => {
      const part = all.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    };
  }
  const { path, start, bytes } = source;
  const descriptor = openSync(path, 'r'); // closed with the thread
  return (target, position) => {
    const length = Math.max(0, Math.min(target.length, bytes - position));
    let done = 0;
    while (done < length) {
      const read = readSync(descriptor, target, done, length - done, start + position + done);
      if (read === 0) throw new Hdf5Fault('it became shorter while it was read.');
      done += read;
    }
    return done;
  };
}

function oneFile(fs: EmscriptenFs, read: ReadBytes, size: number): FsType {
  const fail = (errno: number) => (): never => {
    throw new fs.ErrnoError(errno);
  };
  const epoch = new Date(0);
  const node_ops = {
    getattr: ({ id, mode }: FsNode) => ({ dev: 1, ino: id, mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size, atime: epoch, mtime: epoch, ctime: epoch, blksize: 4_096, blocks: Math.ceil(size / 4_096) }),
    setattr: fail(EROFS),
    lookup: fail(ENOENT),
    readdir: () => ['.', '..', 'file.h5'],
  };
  const stream_ops = {
    read: (...[, memory, offset, length, position]: FsRead) => read(memory.subarray(offset, offset + length), position),
    write: fail(EROFS),
    llseek({ position }: FsStream, offset: number, from: number): number {
      const to = offset + (from === SEEK_CURRENT ? position : from === SEEK_END ? size : 0);
      return to < 0 ? fail(EINVAL)() : to;
    },
  };
  return {
    mount() {
      const root = Object.assign(fs.createNode(null, '/', DIRECTORY, 0), { node_ops, stream_ops });
      Object.assign(fs.createNode(root, 'file.h5', FILE, 0), { node_ops, stream_ops });
      return root;
    },
  };
}

/**
 * A file of sections, each with its checksum, and a footer that says what they are. It is written beside the one that
 * stands and takes its place at the end, so that whatever happens there is a whole one or none.
 *
 *     section … section  footer (JSON)  length of the footer (4 bytes)  CRC-32 of the footer (4 bytes)  MAGIC
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { EisError } from '../common/errors.js';

const MAGIC = 'EISSNAP1';
const TAIL_BYTES = 8 + MAGIC.length;
/** Bytes that are handled in one turn of the event loop. */
const STEP_BYTES = 2 * 1024 * 1024;

interface Section {
  readonly bytes: number;
  readonly checksum: number;
}

interface Footer {
  readonly sections: readonly Section[];
  readonly contents: unknown;
}

/** Takes the sections in their order. */
export interface SectionWriter {
  /** The parts one after the other. What is in them may change meanwhile: what was read of them is what counts. */
  write(parts: readonly Uint8Array[]): Promise<void>;
}

/** Gives the sections in the order in which they were written. */
export interface SectionReader {
  /** @throws EisError EIS_SNAPSHOT_INVALID when the section does not fill the parts, or is damaged */
  read(parts: readonly Uint8Array[]): Promise<void>;
  /** The length of the next section, in bytes. */
  readonly nextBytes: number;
}

/**
 * Writes a file: in one piece, and on the disk, when this resolves.
 *
 * @param work writes the sections, and returns what the footer keeps of them (JSON)
 * @throws what `work` or the disk throws: then the file that stood before still stands
 */
export async function writeSnapshotFile(path: string, work: (writer: SectionWriter) => Promise<unknown>): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w');
  try {
    const sections: Section[] = [];
    const step = Buffer.allocUnsafe(STEP_BYTES);
    const contents = await work({
      async write(parts) {
        let checksum = 0;
        for (const piece of pieces(parts)) {
          const copy = step.subarray(0, piece.length);
          copy.set(piece);
          checksum = crc32(copy, checksum);
          await writeAll(file, copy);
        }
        sections.push({ bytes: sum(parts), checksum });
      },
    });
    const footer = Buffer.from(JSON.stringify({ sections, contents } satisfies Footer));
    const tail = Buffer.alloc(TAIL_BYTES);
    tail.writeUInt32LE(footer.length, 0);
    tail.writeUInt32LE(crc32(footer), 4);
    tail.write(MAGIC, 8, 'latin1');
    await writeAll(file, Buffer.concat([footer, tail]));
    await file.datasync();
  } catch (error) {
    await file.close();
    await rm(beside, { force: true });
    throw error;
  }
  await file.close();
  await rename(beside, path);
  await syncFolder(dirname(path));
}

/**
 * Reads a file that `writeSnapshotFile` wrote.
 *
 * @param work is given what the footer keeps, and the sections
 * @throws EisError EIS_SNAPSHOT_INVALID when it is not whole; what `work` or the disk throws
 */
export async function readSnapshotFile<T>(path: string, work: (contents: unknown, reader: SectionReader) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const { sections, contents } = await readFooter(file, size);
    let [next, position] = [0, 0];
    return await work(contents, {
      get nextBytes() {
        return sections[next]?.bytes ?? 0;
      },
      async read(parts) {
        const section = sections[next++];
        if (section?.bytes !== sum(parts)) throw invalid('a part of it has another length than it should.');
        let checksum = 0;
        let before: Uint8Array = new Uint8Array(0);
        for (const piece of pieces(parts)) {
          const reading = readAll(file, piece, position);
          checksum = crc32(before, checksum); // while a thread reads the next
          await reading;
          before = piece;
          position += piece.length;
        }
        checksum = crc32(before, checksum);
        if (checksum !== section.checksum) throw invalid('a part of it is damaged.');
      },
    });
  } finally {
    await file.close();
  }
}

async function readFooter(file: FileHandle, size: number): Promise<Footer> {
  const tail = Buffer.alloc(TAIL_BYTES);
  if (size < TAIL_BYTES) throw invalid('it is cut off.');
  await readAll(file, tail, size - TAIL_BYTES);
  const length = tail.readUInt32LE(0);
  if (tail.toString('latin1', 8) !== MAGIC || length > size - TAIL_BYTES) throw invalid('it is cut off, or of another format.');
  const footer = Buffer.alloc(length);
  await readAll(file, footer, size - TAIL_BYTES - length);
  if (crc32(footer) !== tail.readUInt32LE(4)) throw invalid('what it says of itself is damaged.');
  const said = JSON.parse(footer.toString()) as Footer;
  if (said.sections.reduce((bytes, section) => bytes + section.bytes, 0) !== size - TAIL_BYTES - length) throw invalid('its parts are not as long as it says.');
  return said;
}

function* pieces(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const part of parts) for (let start = 0; start < part.length; start += STEP_BYTES) yield part.subarray(start, start + STEP_BYTES);
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}

async function readAll(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw invalid('it is cut off.');
    done += bytesRead;
  }
}

/** So that the new name is on the disk; a file system that has no such thing needs none. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

function sum(parts: readonly Uint8Array[]): number {
  return parts.reduce((bytes, part) => bytes + part.length, 0);
}

function invalid(detail: string): EisError {
  return new EisError('EIS_SNAPSHOT_INVALID', { detail });
}

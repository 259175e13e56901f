/**
 * Finds what `eis ingest` is to send, one after the other: folders and buckets of any size are walked without being
 * listed first.
 */
import type { Stats } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { EisError } from '../common/errors.js';
import { findObjects } from './bucket-listing.js';
import { isImageName } from './image-name.js';
import { readLines } from './read-lines.js';

const LINE_CHARACTERS_MAX = 64 * 1024;

/** As the user wrote it, or found under what the user wrote. */
export type Found =
  | { readonly kind: 'file'; readonly path: string; /** Relative to the folder that was walked, with "/". */ readonly name: string; readonly bytes: number; readonly modifiedAt: number; /** As it was found beside it; the wrapper judges it. */ readonly metadata?: object }
  | { readonly kind: 'url'; readonly url: string; /** Where it is not the URL itself. */ readonly given?: string; /** Of the file that was put there. */ readonly identity?: string; readonly metadata?: object }
  | { readonly kind: 'skipped'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly error: EisError };

/**
 * @param sources paths of files and folders, URLs, gs:// prefixes, and "-" for URLs from `stdin`, one a line
 */
export async function* findSources(sources: readonly string[], stdin: AsyncIterable<Uint8Array>): AsyncGenerator<Found> {
  for (const source of sources) {
    if (source === '-') yield* readUrls(stdin);
    else if (/^gs:\/\//i.test(source)) yield* findObjects(source);
    else if (isPath(source)) yield* findFiles(source);
    else yield { kind: 'url', url: source };
  }
}

export type FoundFile = Extract<Found, { kind: 'file' }>;

/** Tells an image from others, and from an earlier state of its file. */
export function imageIdentity(found: FoundFile | Extract<Found, { kind: 'url' }>): string {
  if (found.kind === 'url') return found.identity ?? found.url;
  return JSON.stringify([resolve(found.path), found.name, found.bytes, found.modifiedAt]);
}

/** Whether what a user gave names a file or folder, rather than a URL or standard input. */
export function isPath(source: string): boolean {
  return source !== '-' && !/^[a-z][a-z0-9+.-]*:\/\//i.test(source);
}

async function* readUrls(stdin: AsyncIterable<Uint8Array>): AsyncGenerator<Found> {
  for await (const line of readLines(stdin, LINE_CHARACTERS_MAX)) yield { kind: 'url', url: line.trim() };
}

async function* findFiles(path: string): AsyncGenerator<Found> {
  const entry = await statOrError(path);
  if (entry instanceof EisError) yield { kind: 'unreadable', path, error: entry };
  else if (entry.isDirectory()) yield* walk(path, '', new Set([identityOf(entry)]));
  else if (entry.isFile()) yield { kind: 'file', path, name: basename(path), bytes: entry.size, modifiedAt: entry.mtimeMs };
  else yield { kind: 'unreadable', path, error: new EisError('EIS_SOURCE_UNREADABLE', { source: path, detail: 'it is neither a file nor a folder, but a device, a pipe or a socket.' }) };
}

/** @param visited the folders that were entered, so that links in a circle end */
async function* walk(folder: string, prefix: string, visited: Set<string>): AsyncGenerator<Found> {
  try {
    for await (const { name } of await opendir(folder)) if (!name.startsWith('.')) yield* visit(join(folder, name), `${prefix}${name}`, visited);
  } catch (cause) {
    yield { kind: 'unreadable', path: folder, error: unreadable(folder, cause) };
  }
}

async function* visit(path: string, name: string, visited: Set<string>): AsyncGenerator<Found> {
  const isImage = isImageName(name);
  const entry = await statOrError(path);
  if (entry instanceof EisError) yield isImage ? { kind: 'unreadable', path, error: entry } : { kind: 'skipped', path };
  else if (entry.isDirectory()) {
    const identity = identityOf(entry);
    if (visited.has(identity)) return;
    visited.add(identity);
    yield* walk(path, `${name}/`, visited);
  } else yield isImage && entry.isFile() ? { kind: 'file', path, name, bytes: entry.size, modifiedAt: entry.mtimeMs } : { kind: 'skipped', path };
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

async function statOrError(path: string): Promise<Stats | EisError> {
  return stat(path).catch((cause: unknown) => unreadable(path, cause));
}

export function unreadable(source: string, cause: unknown): EisError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const detail = code === 'ENOENT' ? 'there is no such file or folder.' : code === 'EACCES' ? 'permission denied.' : message;
  return new EisError('EIS_SOURCE_UNREADABLE', { source, detail }, { cause });
}

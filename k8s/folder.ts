/**
 * The folders that say what is to run (`staging/`) and what runs (`current/`). Each is written beside its place and renamed,
 * so that a crash leaves the one before or the whole of the next.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Contents by file name, in the order of the names. */
export type Files = ReadonlyMap<string, string>;

/** The files of a folder; undefined when there is none. */
export function readFolder(folder: string): Files | undefined {
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** Makes a folder of exactly these files. */
export function writeFolder(folder: string, files: Files): void {
  const fresh = `${folder}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(fresh, name), text);
  replaceFolder(fresh, folder);
}

/** Puts `from` in the place of `to`. */
export function replaceFolder(from: string, to: string): void {
  const old = `${to}.old`;
  mkdirSync(dirname(to), { recursive: true });
  rmSync(old, { recursive: true, force: true });
  if (existsSync(to)) renameSync(to, old);
  renameSync(from, to);
  rmSync(old, { recursive: true, force: true });
}

/** Takes back what a crash between the two renames of `replaceFolder` left. */
export function recoverFolder(folder: string): void {
  const old = `${folder}.old`;
  if (!existsSync(folder) && existsSync(old)) renameSync(old, folder);
}

/** The objects of a rendered folder. */
import { parse } from 'yaml';
import type { Files } from './folder.js';
import type { Manifest } from './manifests/objects.js';
import { KUSTOMIZATION_FILE } from './render.js';

export interface FileObject {
  readonly file: string;
  readonly text: string;
  readonly object: Manifest;
}

/** By text: reading YAML is what takes a plan its time, and most files are the same before and after. */
const parsed = new Map<string, Manifest>();

export function objectsOf(files: Files): readonly FileObject[] {
  return [...files].filter(([file]) => file.endsWith('.yaml') && file !== KUSTOMIZATION_FILE).map(([file, text]) => ({ file, text, object: parseOnce(text) }));
}

function parseOnce(text: string): Manifest {
  const object = parsed.get(text) ?? (parse(text) as Manifest);
  parsed.set(text, object);
  return object;
}

/** The namespace that a folder was rendered for; undefined: it is empty. */
export function namespaceOf(files: Files): string | undefined {
  const text = files.get(KUSTOMIZATION_FILE);
  return text === undefined ? undefined : (parse(text) as { readonly namespace?: string }).namespace;
}

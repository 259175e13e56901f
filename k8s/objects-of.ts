/** The objects of a rendered folder. */
import { parse } from 'yaml';
import type { Files } from './folder.js';
import type { Manifest } from './manifests/objects.js';
import { CONFIG_FILE, KUSTOMIZATION_FILE } from './render.js';

export interface FileObject {
  readonly file: string;
  readonly text: string;
  readonly object: Manifest;
}

const parsed = new WeakMap<Files, readonly FileObject[]>();

/** Parsed once for each folder: reading YAML is what takes a plan its time. */
export function objectsOf(files: Files): readonly FileObject[] {
  const objects = parsed.get(files) ?? parseObjects(files);
  parsed.set(files, objects);
  return objects;
}

function parseObjects(files: Files): FileObject[] {
  return [...files].filter(([file]) => file.endsWith('.yaml') && file !== KUSTOMIZATION_FILE && file !== CONFIG_FILE).map(([file, text]) => ({ file, text, object: parse(text) as Manifest }));
}

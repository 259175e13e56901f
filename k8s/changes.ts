/** What differs between two rendered folders, object by object. */
import { createTwoFilesPatch } from 'diff';
import { isDeepStrictEqual } from 'node:util';
import type { Files } from './folder.js';
import { keyOf, objectId, type Deployment, type Manifest, type StatefulSet } from './manifests/objects.js';
import { objectsOf, type FileObject } from './objects-of.js';

export interface Change {
  readonly change: 'added' | 'changed' | 'removed';
  readonly kind: string;
  readonly name: string;
  /** Of an object that takes another's place under another name: that other's. */
  readonly before?: string;
  /** What happens to pods, in words. */
  readonly effect?: string;
  /** A unified diff of the YAML, of what changed. */
  readonly diff?: string;
}

const CONTEXT_LINES = 2;
/** Their names end in a hash of their content. */
const NAMED_BY_CONTENT: readonly string[] = ['ConfigMap', 'Job'];

/** In the order of their names, kinds together. */
export function compareFolders(before: Files, after: Files): Change[] {
  const [old, fresh] = [byId(before), byId(after)];
  const gone = [...old.values()].filter(({ object }) => !fresh.has(idOf(object)));
  const changes: Change[] = [];
  for (const [id, current] of fresh) {
    const same = old.get(id);
    const previous = same ?? takePredecessor(current, gone);
    if (previous === undefined) changes.push({ change: 'added', ...keyOf(current.object) });
    else if (previous.text !== current.text) changes.push(describeChange(previous, current));
  }
  return [...changes, ...gone.map(({ object }) => ({ change: 'removed' as const, ...keyOf(object) }))].sort((a, b) => compareText(a.kind, b.kind) || compareText(a.name, b.name));
}

function byId(files: Files): Map<string, FileObject> {
  return new Map(objectsOf(files).map((entry) => [idOf(entry.object), entry]));
}

function idOf(object: Manifest): string {
  return objectId(keyOf(object));
}

/** The object that `current` stands for under another name, because its content is another; it is taken out of `gone`. */
function takePredecessor({ object }: FileObject, gone: FileObject[]): FileObject | undefined {
  if (!NAMED_BY_CONTENT.includes(object.kind)) return undefined;
  const stem = ({ metadata: { name } }: Manifest): string => name.replace(/-[0-9a-f]{8}$/, '');
  const i = gone.findIndex((entry) => entry.object.kind === object.kind && stem(entry.object) === stem(object));
  return i < 0 ? undefined : gone.splice(i, 1)[0];
}

function describeChange(previous: FileObject, current: FileObject): Change {
  const key = keyOf(current.object);
  const before = keyOf(previous.object).name;
  const effect = describeEffect(previous.object, current.object);
  const patch = createTwoFilesPatch(previous.file, current.file, previous.text, current.text, undefined, undefined, { context: CONTEXT_LINES });
  return { change: 'changed', ...key, ...(before === key.name ? {} : { before }), ...(effect === undefined ? {} : { effect }), diff: patch.slice(patch.indexOf('--- ')).trimEnd() };
}

function describeEffect(previous: Manifest, current: Manifest): string | undefined {
  if (!hasPods(previous) || !hasPods(current)) return undefined;
  const fixed = unchangeable(previous, current);
  if (fixed.length > 0) return `Kubernetes refuses another ${fixed.join(' and ')}: remove it before the apply, which its pods survive (oc delete ${idOf(current)} --cascade=orphan)`;
  const [from, to] = [previous.spec?.replicas, current.spec?.replicas];
  const scaled = from === to ? undefined : `${from ?? 'autoscaled'} → ${to ?? 'autoscaled'} pods`;
  const restarts = isDeepStrictEqual(previous.spec?.template, current.spec?.template) ? 'none restarts' : 'its pods are replaced, one after the other';
  return [scaled, restarts].filter((part) => part !== undefined).join('; ');
}

/** Of the fields that are rendered, those of a StatefulSet that may be changed; of a Deployment all but the selector may. */
const CHANGEABLE: readonly string[] = ['replicas', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'];

/** The fields that differ and may not. */
function unchangeable(previous: Deployment | StatefulSet, current: Deployment | StatefulSet): string[] {
  const [old, fresh] = [previous.spec ?? {}, current.spec ?? {}] as Readonly<Record<string, unknown>>[];
  const fields = current.kind === 'Deployment' ? ['selector'] : Object.keys({ ...old, ...fresh }).filter((field) => !CHANGEABLE.includes(field));
  return fields.filter((field) => !isDeepStrictEqual(old?.[field], fresh?.[field]));
}

export function hasPods(object: Manifest): object is Deployment | StatefulSet {
  return object.kind === 'Deployment' || object.kind === 'StatefulSet';
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

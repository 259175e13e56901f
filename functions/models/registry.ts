/** Where a model of the configuration comes from, and what is known about it: its own `model_url`, or its name. */
import { join } from 'node:path';
import type { ModelConfig, Preprocess } from '../../common/config.js';
import { suggest } from '../../common/suggest.js';
import { displayAddress } from './download-failure.js';
import { findKnown, KNOWN_NAMES, type KnownModel } from './known-models.js';
import { failModel } from './model.js';

/** What a model must turn out to be that was asked for by a known name. */
export interface ExpectedModel {
  readonly name: string;
  readonly inputSize: number;
  /** Undefined: the configuration chose a layer of its own. */
  readonly dim: number | undefined;
}

export interface ResolvedModel {
  readonly name: string;
  readonly from: 'builtin' | 'url' | 'mirror' | 'path';
  /** A URL, or the path of a file or its folder. */
  readonly location: string;
  /** What to tell a person when nothing is there; undefined: what the download says is enough. */
  readonly absence: string | undefined;
  readonly sha256: string | undefined;
  readonly layer: string | undefined;
  readonly inputSize: number | undefined;
  /** Undefined: as the network itself shows. */
  readonly preprocess: Preprocess | undefined;
  /** Undefined: its file is its owner's own. */
  readonly expected: ExpectedModel | undefined;
}

/** A model as the configuration has it, or one that was named on the command line. */
export type ModelRequest = Pick<ModelConfig, 'name' | 'modelUrl' | 'sha256' | 'layer' | 'inputSize' | 'preprocess'>;

/** Whether a place is a URL rather than a path. */
export function isUrl(place: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(place);
}

/**
 * Where a model comes from and how it is used. A model with a `model_url` is used as the configuration says, else as
 * its network shows, known name or not: its weights may be anybody's. One without comes from the mirror, else from its
 * published address, and what is known about it holds where the configuration says nothing else.
 *
 * @param options.mirror a folder or URL that has a folder for every known model, named as it is: at a URL with a
 *   model.json, or a model.h5 for those of Keras; on the disk with either, as any model's folder. `builtin` stays in the package
 * @throws EisError EIS_MODEL_FILE when there is no `model_url` and the name is not known
 */
export function resolveModel(request: ModelRequest, options: { readonly mirror?: string | undefined } = {}): ResolvedModel {
  const { name, modelUrl, sha256, layer, inputSize, preprocess } = request;
  if (modelUrl !== undefined) {
    return { name, location: modelUrl, ...describePlace(name, modelUrl), sha256, layer, inputSize, preprocess, expected: undefined };
  }
  const known = findKnown(name) ?? failModel(name, describeUnknown(name));
  return {
    name,
    ...locate(name, known, options.mirror),
    sha256,
    layer: layer ?? known.layer,
    inputSize,
    preprocess: preprocess ?? known.preprocess,
    expected: { name, inputSize: known.inputSize, dim: layer === undefined ? known.dim : undefined },
  };
}

type Place = Pick<ResolvedModel, 'from' | 'location' | 'absence'>;

function describePlace(name: string, place: string): Omit<Place, 'location'> {
  return isUrl(place) ? { from: 'url', absence: undefined } : { from: 'path', absence: `there is no such file or folder. Correct the "model_url" of the model ${JSON.stringify(name)} in config.json.` };
}

function locate(name: string, { source, title }: KnownModel, mirror: string | undefined): Place {
  if (source.kind === 'package') return { from: 'builtin', location: source.path, absence: 'it belongs to the package. Install the package again.' };
  if (mirror === undefined) return { from: 'url', location: source.url, absence: undefined };
  const location = isUrl(mirror) ? inMirror(mirror, `${name}/${mirroredFile(source.url)}`) : join(mirror, name);
  return { from: 'mirror', location, absence: describeMirrorGap({ name, title, url: source.url, mirror }) };
}

/** What a mirror that is a URL, whose folders cannot be looked into, calls the file of an address. */
function mirroredFile(url: string): string {
  return url.endsWith('.h5') ? 'model.h5' : 'model.json';
}

/** A file of a mirror that is a URL. Its query, which may be a signature, stays behind the path. */
function inMirror(mirror: string, path: string): string {
  const [, folder = mirror, query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(mirror) ?? [];
  return `${folder.replace(/\/+$/, '')}/${path}${query}`;
}

// ── Words ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function describeUnknown(name: string): string {
  const nearest = suggest(name, KNOWN_NAMES);
  return `no model is known by this name.${nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`} Known are ${KNOWN_NAMES.join(', ')}. For another, set "model_url" in config.json to the https:// or gs:// URL, or the path, of a TF.js model.json, a Keras .keras or .h5 file, or the folder of one.`;
}

function describeMirrorGap({ name, title, url, mirror }: { readonly name: string; readonly title: string; readonly url: string; readonly mirror: string }): string {
  const holds = mirroredFile(url) === 'model.h5' ? `the .h5 file of ${title}${isUrl(mirror) ? ' as model.h5' : ''}, which is published at ${url}` : `the model.json of ${title} with the weight files beside it, as they lie at ${url}`;
  return `EIS_MODEL_MIRROR is ${displayAddress(mirror)}: its folder ${name} should hold ${holds}.`;
}

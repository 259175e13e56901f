/** Which model a person means by a word: a name of the configuration, a known name, or a place. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { loadConfig, type EngineChoice } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { suggest } from '../common/suggest.js';
import { displayAddress } from '../functions/models/download-failure.js';
import { KNOWN_NAMES } from '../functions/models/known-models.js';
import { isUrl, type ModelRequest } from '../functions/models/registry.js';

export type ModelSubject = ModelRequest & { readonly engine: EngineChoice };

/**
 * @param subject a name of the configuration, which brings its settings; else a known name; else a path or a URL
 * @throws EisError EIS_BAD_REQUEST, EIS_SOURCE_UNREADABLE when there is no such model
 */
export function findSubject(subject: string, environment: Environment): ModelSubject {
  return isUrl(subject) || /[./\\]/.test(subject) ? atPlace(subject, environment) : byName(subject, environment);
}

function atPlace(place: string, { workingDir }: Environment): ModelSubject {
  const modelUrl = isUrl(place) ? place : resolve(workingDir, place);
  if (!isUrl(place) && !existsSync(modelUrl)) throw new EisError('EIS_SOURCE_UNREADABLE', { source: modelUrl, detail: 'there is no such file or folder. Name a model.json, a .keras or .h5 file, or the folder of one.' });
  return { ...bare(basename(displayAddress(place))), modelUrl };
}

/** A word is a name before it is a file: `./word` is the file. */
function byName(name: string, environment: Environment): ModelSubject {
  const { models } = loadConfig(environment.configFile);
  const configured = models.find((model) => model.name === name);
  if (configured) return configured;
  if (KNOWN_NAMES.includes(name)) return bare(name);
  if (existsSync(resolve(environment.workingDir, name))) return atPlace(name, environment);
  const names = [...new Set([...models.map((model) => model.name), ...KNOWN_NAMES])];
  const nearest = suggest(name, names);
  throw new EisError('EIS_BAD_REQUEST', { detail: `${JSON.stringify(name)} is neither a model's name nor a file.${nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`} Names are ${names.join(', ')}; anything else is a path or a URL.` });
}

function bare(name: string): ModelSubject {
  return { name, modelUrl: undefined, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, engine: 'auto' };
}

/** The models that need no more than their name in config.json, and what is known about them. */
import type { ModelConfig, Preprocess } from '../../common/config.js';
import { packagePath } from '../../common/package-root.js';
import { failModel } from './model.js';

interface KnownModel {
  readonly modelUrl: string;
  readonly preprocess: Preprocess;
}

const KNOWN_MODELS: Readonly<Record<string, KnownModel>> = {
  builtin: { modelUrl: packagePath('models', 'builtin'), preprocess: '[-1,1]' },
};

export interface ResolvedModel {
  readonly modelUrl: string;
  /** Undefined: as the network itself shows. */
  readonly preprocess: Preprocess | undefined;
}

/**
 * Where a model comes from and how its pixels are prepared: the configuration's word first, then what is known by name.
 *
 * @throws EisError EIS_MODEL_FILE when the configuration gives no `model_url` and the name is not a known one
 */
export function resolveModel(config: Pick<ModelConfig, 'name' | 'modelUrl' | 'preprocess'>): ResolvedModel {
  const known = Object.hasOwn(KNOWN_MODELS, config.name) ? KNOWN_MODELS[config.name] : undefined;
  const modelUrl = config.modelUrl ?? known?.modelUrl;
  if (modelUrl === undefined) {
    return failModel(config.name, `no model of this name ships with this release (${Object.keys(KNOWN_MODELS).join(', ')} does). Set its "model_url" in config.json to the https:// or gs:// URL, or the path, of a TF.js model.json or its folder.`);
  }
  const isKnownFile = known !== undefined && modelUrl === known.modelUrl;
  return { modelUrl, preprocess: config.preprocess ?? (isKnownFile ? known.preprocess : undefined) };
}

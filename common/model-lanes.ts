/**
 * The lanes of a model as what has to be deployed: each has a function, a worker and index pods of its own. A model has its
 * main lane, and a second one beside it where config.json has `next`.
 */
import { modelConfig, type Config, type ModelConfig, type ModelDefinition } from './config.js';
import { laneQueue, type Lane } from './lanes.js';

/** A model's definition in one of its lanes. */
export interface ModelLane extends ModelDefinition {
  /** The model's. */
  readonly name: string;
  readonly lane: Lane;
  /** `m`, or `m.next`: by which a lane is told from the others where it has something for itself (its queue, its metrics, the address of its function). */
  readonly laneName: string;
  /** `m`, or `m-next`: config.json has no model that would be called so. */
  readonly kubernetesName: string;
}

/** The main lane first. */
export function lanesOf({ name, kubernetesName, next, ...definition }: ModelConfig): ModelLane[] {
  const laneOf = (lane: Lane, suffix: string, of: ModelDefinition): ModelLane => ({ ...of, name, lane, laneName: laneQueue(name, lane), kubernetesName: `${kubernetesName}${suffix}` });
  return next ? [laneOf('main', '', definition), laneOf('next', '-next', next)] : [laneOf('main', '', definition)];
}

/**
 * The lanes of several models, each model's together.
 *
 * @throws EisError EIS_MODEL_UNKNOWN
 */
export function lanesOfModels(config: Config, models: Iterable<string>): ModelLane[] {
  return [...models].flatMap((name) => lanesOf(modelConfig(config, name)));
}

/** Whether two definitions are of the same model; what a store gave back has no undefined fields. */
export function isSameDefinition(a: ModelDefinition, b: ModelDefinition): boolean {
  return (['modelUrl', 'sha256', 'layer', 'inputSize', 'preprocess', 'engine'] as const).every((field) => (a[field] ?? null) === (b[field] ?? null));
}

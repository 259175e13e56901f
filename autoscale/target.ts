/** What is scaled: the Deployments of gateways and workers that config.json gives a range of pods. */
import type { Config, Pods } from '../common/config.js';
import { lanesOfModels } from '../common/model-lanes.js';

export type ScaledRole = 'gateway' | 'worker';

export interface ScaleTarget extends Pods {
  readonly role: ScaledRole;
  /** As its metrics name it: of a worker for a second lane, the name of that. */
  readonly model: string;
  /** The name of its Deployment. */
  readonly deployment: string;
}

/** What a Deployment is called, by its role and the name of its model, or lane, as Kubernetes takes it. */
export type NameDeployment = (role: ScaledRole, kubernetesName: string) => string;

/** In the order of config.json, gateways first. A gateway has both lanes of its model, a worker one. */
export function scaleTargets(config: Config, nameDeployment: NameDeployment): ScaleTarget[] {
  const targets = (role: ScaledRole, services: ReadonlyMap<string, { readonly pods: Pods }>): ScaleTarget[] =>
    [...services].filter(([, { pods: { min, max } }]) => min < max).flatMap(([name, { pods }]) =>
      lanesOfModels(config, [name]).filter(({ lane }) => role === 'worker' || lane === 'main').map(({ laneName, kubernetesName }) => ({ role, model: laneName, deployment: nameDeployment(role, kubernetesName), ...pods })),
    );
  return [...targets('gateway', config.serving), ...targets('worker', config.extractWorkers)];
}

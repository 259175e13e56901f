/** What is scaled: the Deployments of gateways and workers that config.json gives a range of pods. */
import { modelConfig, type Config, type Pods } from '../common/config.js';

export type ScaledRole = 'gateway' | 'worker';

export interface ScaleTarget extends Pods {
  readonly role: ScaledRole;
  readonly model: string;
  /** The name of its Deployment. */
  readonly deployment: string;
}

/** What a Deployment is called, by its role and the name of its model as Kubernetes takes it. */
export type NameDeployment = (role: ScaledRole, kubernetesName: string) => string;

/** In the order of config.json, gateways first. */
export function scaleTargets(config: Config, nameDeployment: NameDeployment): ScaleTarget[] {
  const targets = (role: ScaledRole, services: ReadonlyMap<string, { readonly pods: Pods }>): ScaleTarget[] =>
    [...services].filter(([, { pods: { min, max } }]) => min < max).map(([model, { pods }]) => ({ role, model, deployment: nameDeployment(role, modelConfig(config, model).kubernetesName), ...pods }));
  return [...targets('gateway', config.serving), ...targets('worker', config.extractWorkers)];
}

/** What config.json may leave out, and what is watched of it: shadow traffic, and our own autoscaler. */
import { modelConfig, type Config, type Pods } from '../../common/config.js';
import { gatewayName, workerName } from '../manifests/names.js';
import { hasOwnAutoscaler, isAutoscaled } from '../manifests/scaling.js';

/** A Deployment that `eis autoscale` scales. */
export interface ScaledDeployment {
  readonly deployment: string;
  /** The most pods that it may be given. */
  readonly podsMax: number;
  /** With those, `eis_autoscale_signal` should be no larger. */
  readonly signalMax: number;
}

export interface OptionalParts {
  readonly hasShadow: boolean;
  /** Empty: our autoscaler does not run. */
  readonly scaled: readonly ScaledDeployment[];
}

export const NO_OPTIONAL_PARTS: OptionalParts = { hasShadow: false, scaled: [] };

export function optionalParts(config: Config): OptionalParts {
  const { serving, extractWorkers, platform } = config;
  const { inFlightPerPod, queueAgeS } = platform.autoscale;
  const nameOf = (model: string): string => modelConfig(config, model).kubernetesName;
  const scaled = (component: 'gateway' | 'worker', services: ReadonlyMap<string, { readonly pods: Pods }>): [string, Pods][] =>
    hasOwnAutoscaler(config) ? [...services].flatMap(([model, { pods }]): [string, Pods][] => (isAutoscaled(component, pods, platform) ? [[model, pods]] : [])) : [];
  return {
    hasShadow: [...serving.values()].some(({ shadow }) => shadow !== undefined),
    scaled: [
      ...scaled('gateway', serving).map(([model, { max }]) => ({ deployment: gatewayName(nameOf(model)), podsMax: max, signalMax: max * inFlightPerPod })),
      ...scaled('worker', extractWorkers).map(([model, { max }]) => ({ deployment: workerName(nameOf(model)), podsMax: max, signalMax: queueAgeS })),
    ],
  };
}

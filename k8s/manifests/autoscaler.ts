/**
 * `eis autoscale` as a pod, with `platform.autoscaling` "eis". It alone speaks with the API of the cluster, so it alone has a
 * service account, whose Role holds what it does and no more: to read and change how many pods these Deployments have.
 */
import { modelConfig, type Config, type Pods } from '../../common/config.js';
import { lanesOfModels } from '../../common/model-lanes.js';
import { gatewayName, labelsOf, workerName, type Workload } from './names.js';
import type { Manifest, Role, RoleBinding, ServiceAccount } from './objects.js';
import type { RenderContext } from './pod.js';
import { modelEntries, renderRoleConfig } from './role-config.js';
import { roleContainer } from './roles.js';
import { hasOwnAutoscaler, isAutoscaled } from './scaling.js';
import { renderDeployment } from './workloads.js';

const NAME = 'autoscaler';
const RBAC_GROUP = 'rbac.authorization.k8s.io';

/** Nothing, where no Deployment has a range of pods. */
export function renderAutoscaler(context: RenderContext): Manifest[] {
  const { config } = context;
  if (!hasOwnAutoscaler(config)) return [];
  const scaledOf = (component: 'gateway' | 'worker', services: ReadonlyMap<string, { readonly pods: Pods }>): string[] => [...services].filter(([, { pods }]) => isAutoscaled(component, pods, config.platform)).map(([model]) => model);
  const scaled = [
    ...scaledOf('gateway', config.serving).map((model) => gatewayName(modelConfig(config, model).kubernetesName)),
    ...lanesOfModels(config, scaledOf('worker', config.extractWorkers)).map(({ kubernetesName }) => workerName(kubernetesName)),
  ];
  const workload: Workload = { component: 'autoscaler', name: NAME };
  const roleConfig = renderRoleConfig(workload, modelEntries(config), [rangesOf('serving', config.serving), ...(config.extractWorkers.size > 0 ? [rangesOf('extract_worker', config.extractWorkers)] : [])], platformOf(config));
  const container = roleContainer({ module: 'dist/cli.js', args: ['autoscale', '--apply'], roleConfig, env: [] }, context);
  return [...renderAccess(workload, scaled, config.platform.namespace), roleConfig.configMap, ...renderDeployment({ workload, pods: { min: 1, max: 1 }, serviceAccount: NAME, containers: [container] }, context)];
}

function rangesOf(name: string, services: ReadonlyMap<string, { readonly pods: Pods }>): object {
  return { name, models: [...services].map(([model, { pods: { min, max } }]) => ({ name: model, pods: { min, max } })) };
}

function platformOf({ platform: { namespace, autoscaling, autoscale: { inFlightPerPod, queueAgeS, cooldownS } } }: Config): object {
  return { namespace, autoscaling, autoscale: { in_flight_per_pod: inFlightPerPod, queue_age_s: queueAgeS, cooldown_s: cooldownS } };
}

function renderAccess(workload: Workload, deployments: readonly string[], namespace: string): [ServiceAccount, Role, RoleBinding] {
  const metadata = { name: NAME, labels: labelsOf(workload) };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: `${RBAC_GROUP}/v1`, kind: 'Role', metadata, rules: [{ apiGroups: ['apps'], resources: ['deployments/scale'], resourceNames: [...deployments], verbs: ['get', 'patch'] }] },
    { apiVersion: `${RBAC_GROUP}/v1`, kind: 'RoleBinding', metadata, roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name: NAME }, subjects: [{ kind: 'ServiceAccount', name: NAME, namespace }] },
  ];
}

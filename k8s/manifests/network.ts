/** Who may reach the pods: where a cluster's network takes such policies, only what asks for a key or holds nothing answers other namespaces. */
import type { Config } from '../../common/config.js';
import { COMPONENT_LABEL, labelsOf, PART_OF, type Component } from './names.js';
import type { Manifest, NetworkPolicy } from './objects.js';
import type { RenderContext } from './pod.js';

/** nginx is the way in, and dashboards of elsewhere ask Prometheus; KEDA's operator looks into queues, with a password. */
function openTo({ autoscaling }: Config['platform']): Component[] {
  return ['nginx', 'prometheus', ...(autoscaling === 'keda' ? (['rabbitmq'] as const) : [])];
}

/** Index pods and the wrapper ask nobody for a key, and gateways believe addresses of the cluster what they say of a client: they answer pods of their namespace alone. */
export function renderNetworkPolicies({ config: { platform } }: RenderContext): Manifest[] {
  const policy: NetworkPolicy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'within-namespace', labels: labelsOf({ component: 'nginx', name: 'within-namespace' }) },
    spec: {
      podSelector: { matchLabels: PART_OF, matchExpressions: [{ key: COMPONENT_LABEL, operator: 'NotIn', values: openTo(platform) }] },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: {} }] }],
    },
  };
  return [policy];
}

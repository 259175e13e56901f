/**
 * The number of pods of a Deployment, by its scale subresource (autoscaling/v1 Scale under apps/v1): the one thing that may be
 * read and changed here.
 */
import { EisError } from '../common/errors.js';
import type { ClusterAccess, ClusterAnswer } from './cluster-access.js';

export interface Scale {
  readonly deployment: string;
  /** Pods that it is to have. */
  readonly replicas: number;
  /** Pods that there are. */
  readonly running: number;
  /** Of the Deployment as it was read: a change is refused when somebody else was first. */
  readonly resourceVersion: string;
}

export interface Scales {
  /** @throws EisError EIS_CLUSTER_API; the signal's reason */
  get(deployment: string, signal: AbortSignal): Promise<Scale>;
  /** @throws EisError EIS_CLUSTER_API, also when the Deployment was changed since it was read; the signal's reason */
  set(scale: Scale, replicas: number, signal: AbortSignal): Promise<void>;
}

interface ScaleObject {
  readonly kind?: string;
  readonly metadata?: { readonly resourceVersion?: string };
  readonly spec?: { readonly replicas?: number };
  readonly status?: { readonly replicas?: number };
}

/** What its answers mean to who runs it. */
const ADVICE: Readonly<Record<number, string>> = {
  401: 'the token is not accepted: is the service account still there?',
  403: 'the service account may not do this: apply the Role that "eis deploy" renders with platform.autoscaling "eis".',
  404: 'there is no such Deployment: apply what "eis deploy" renders.',
  409: 'somebody else changed it in the meantime.',
};

export function createScales(access: ClusterAccess, namespace: string): Scales {
  const pathOf = (deployment: string): string => `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/deployments/${encodeURIComponent(deployment)}/scale`;
  return {
    async get(deployment, signal) {
      const answer = await access.call({ method: 'GET', path: pathOf(deployment), signal });
      const { metadata, spec, status } = scaleOf(answer, `reading how many pods ${deployment} has`);
      // A field that is 0 is left out.
      return { deployment, replicas: spec?.replicas ?? 0, running: status?.replicas ?? 0, resourceVersion: metadata?.resourceVersion ?? '' };
    },
    async set({ deployment, resourceVersion }, replicas, signal) {
      const answer = await access.call({ method: 'PATCH', path: pathOf(deployment), patch: { metadata: { resourceVersion }, spec: { replicas } }, signal });
      scaleOf(answer, `giving ${deployment} ${replicas} pods`);
    },
  };
}

function scaleOf({ statusCode, body }: ClusterAnswer, doing: string): ScaleObject {
  const { kind, message } = (body ?? {}) as { readonly kind?: string; readonly message?: string };
  if (statusCode === 200 && kind === 'Scale') return body as ScaleObject;
  const said = ADVICE[statusCode] ?? (message === undefined ? 'it says no more.' : `it says: ${message}`);
  throw new EisError('EIS_CLUSTER_API', { detail: `${doing}: it answers ${statusCode}; ${said}` });
}

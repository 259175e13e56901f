/** OpenShift's Route: what is reached from outside. */
import { Type, type Static } from 'typebox';
import { labelsOf, type Workload } from './names.js';

/** As far as it is used here (route.openshift.io/v1). */
export const RouteSchema = Type.Object(
  {
    apiVersion: Type.Literal('route.openshift.io/v1'),
    kind: Type.Literal('Route'),
    metadata: Type.Object({ name: Type.String(), labels: Type.Record(Type.String(), Type.String()), annotations: Type.Optional(Type.Record(Type.String(), Type.String())) }, { additionalProperties: false }),
    spec: Type.Object(
      {
        to: Type.Object({ kind: Type.Literal('Service'), name: Type.String(), weight: Type.Integer({ minimum: 0, maximum: 256 }) }, { additionalProperties: false }),
        port: Type.Object({ targetPort: Type.String() }, { additionalProperties: false }),
        tls: Type.Object({ termination: Type.Literal('edge'), insecureEdgeTerminationPolicy: Type.Literal('Redirect') }, { additionalProperties: false }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type Route = Static<typeof RouteSchema>;

/** A Route to a workload's service; its router gives up after `timeoutS` (its own default, 30 s, is shorter than a search may be). */
export function renderRoute(workload: Workload, { name, timeoutS }: { readonly name: string; readonly timeoutS: number }): Route {
  return {
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name, labels: labelsOf(workload), annotations: { 'haproxy.router.openshift.io/timeout': `${timeoutS}s` } },
    spec: { to: { kind: 'Service', name: workload.name, weight: 100 }, port: { targetPort: 'http' }, tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect' } },
  };
}

/** The validator of each kind that is rendered: Kubernetes' own schemas, and for the kinds that are not its own, ours. */
import { Ajv } from 'ajv';
import { createRequire } from 'node:module';
import type { Manifest } from '../../../k8s/manifests/objects.js';
import { RouteSchema } from '../../../k8s/manifests/route.js';
import { ScaledObjectSchema } from '../../../k8s/manifests/scaling.js';

type Model = new (data: object) => { validate(): void };

const require = createRequire(import.meta.url);
const load = (path: string, kind: string): Model => (require(`kubernetes-models/${path}/${kind}`) as Record<string, Model>)[kind]!;

const MODELS: Readonly<Record<string, Model>> = Object.fromEntries(
  [
    ['apps/v1', 'Deployment'],
    ['apps/v1', 'StatefulSet'],
    ['autoscaling/v2', 'HorizontalPodAutoscaler'],
    ['batch/v1', 'CronJob'],
    ['batch/v1', 'Job'],
    ['networking.k8s.io/v1', 'NetworkPolicy'],
    ['policy/v1', 'PodDisruptionBudget'],
    ['v1', 'ConfigMap'],
    ['v1', 'Service'],
  ].map(([path, kind]) => [kind!, load(path!, kind!)]),
);

const ajv = new Ajv();
const SCHEMAS = { Route: ajv.compile(RouteSchema), ScaledObject: ajv.compile(ScaledObjectSchema) };

/** @throws Error saying what does not fit */
export function validate(object: Manifest): void {
  const Class = MODELS[object.kind];
  if (Class) return new Class(object).validate();
  const check = SCHEMAS[object.kind as keyof typeof SCHEMAS];
  if (!check(object)) throw new Error(`${object.kind} ${object.metadata.name}: ${ajv.errorsText(check.errors)}`);
}

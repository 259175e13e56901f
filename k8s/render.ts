/** Everything that runs, from config.json alone: the same configuration gives the same files, byte for byte. */
import { stringify } from 'yaml';
import { renderCronJobs } from './manifests/cron.js';
import { renderMongo } from './manifests/mongo.js';
import { keyOf, objectId, type Manifest, type ObjectKey } from './manifests/objects.js';
import { renderNetworkPolicies } from './manifests/network.js';
import { renderNginx } from './manifests/nginx.js';
import type { RenderContext } from './manifests/pod.js';
import { renderPrometheus } from './manifests/prometheus.js';
import { renderRabbitmq } from './manifests/rabbitmq.js';
import { renderGateways, renderIndexShards, renderScrapeServices, renderWorkers, renderWrapper } from './manifests/roles.js';

export type { RenderContext } from './manifests/pod.js';

/** File names of a rendered folder that are no objects. */
export const KUSTOMIZATION_FILE = 'kustomization.yaml';
export const CONFIG_FILE = 'config.json';

/** Every object, in no order that means anything (`phases.ts` has one). */
export function renderManifests(context: RenderContext): Manifest[] {
  return [renderMongo, renderRabbitmq, renderIndexShards, renderWrapper, renderWorkers, renderGateways, renderScrapeServices, renderNginx, renderPrometheus, renderCronJobs, renderNetworkPolicies].flatMap((render) => render(context));
}

/**
 * The files of a folder that says what runs, in the order of their names: one for each object, a kustomization over them, and the configuration that
 * they come from, by which a later plan knows what it changes.
 *
 * @param configText what stands in the configuration file
 */
export function renderFiles(context: RenderContext, configText: string): ReadonlyMap<string, string> {
  const objects = renderManifests(context);
  const files = objects.map((object) => [fileOf(keyOf(object)), toYaml(object)] as const);
  const resources = files.map(([name]) => name).sort();
  const kustomization = { apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', namespace: context.config.platform.namespace, resources };
  const all = [...files, [KUSTOMIZATION_FILE, toYaml(kustomization)] as const, [CONFIG_FILE, configText.endsWith('\n') ? configText : `${configText}\n`] as const];
  return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function fileOf(key: ObjectKey): string {
  return `${objectId(key).replace('/', '-')}.yaml`;
}

function toYaml(value: object): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

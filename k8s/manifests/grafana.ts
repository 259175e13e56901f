/**
 * What a Grafana is provisioned with, as ConfigMaps to mount, one for each folder that it reads. No Grafana is rendered: config.json
 * has none among its services, and many clusters have one already. Their names are fixed, so that its pod need not change with them.
 */
import { stringify } from 'yaml';
import { renderDashboard } from '../monitoring/dashboard.js';
import type { OptionalParts } from '../monitoring/optional-parts.js';
import { DATASOURCE } from '../monitoring/panels.js';
import { labelsOf } from './names.js';
import type { ConfigMap, Manifest } from './objects.js';

/** Where Grafana's image looks for what is provisioned. */
const PROVISIONING = '/etc/grafana/provisioning';
const DASHBOARDS = '/var/lib/grafana/dashboards';

/** Says to a person where an object belongs. */
const MOUNT_AT = 'elastic-image-search/mount-at';

/** @param prometheusUrl as Grafana's pod reaches it */
export function renderGrafana(prometheusUrl: string, optional: OptionalParts): Manifest[] {
  const datasources = { apiVersion: 1, datasources: [{ name: 'Elastic image search', ...DATASOURCE, access: 'proxy', url: prometheusUrl, editable: false }] };
  const providers = { apiVersion: 1, providers: [{ name: 'elastic-image-search', type: 'file', allowUiUpdates: false, options: { path: DASHBOARDS } }] };
  return [
    renderFolder('grafana-datasources', `${PROVISIONING}/datasources`, { 'elastic-image-search.yaml': stringify(datasources) }),
    renderFolder('grafana-providers', `${PROVISIONING}/dashboards`, { 'elastic-image-search.yaml': stringify(providers) }),
    renderFolder('grafana-dashboards', DASHBOARDS, { 'elastic-image-search.json': `${JSON.stringify(renderDashboard(optional), null, 1)}\n` }),
  ];
}

function renderFolder(name: string, path: string, data: Readonly<Record<string, string>>): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: labelsOf({ component: 'prometheus', name }), annotations: { [MOUNT_AT]: path } }, data };
}

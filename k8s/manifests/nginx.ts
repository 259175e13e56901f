/** nginx as pods, and the Route to it. */
import { imageOf } from './images.js';
import type { Workload } from './names.js';
import { nginxModels, renderNginxConf, searchTimeoutS } from './nginx-conf.js';
import type { Manifest } from './objects.js';
import { configMount, DRAIN_S, HTTP_PORTS, HTTP_PROBES, scratch, type RenderContext } from './pod.js';
import { contentName } from './role-config.js';
import { renderRoute } from './route.js';
import { renderConfigMap, renderDeployment, renderService } from './workloads.js';

const FOLDER = '/etc/eis';
const ROUTE = 'search';

export function renderNginx(context: RenderContext): Manifest[] {
  const { config } = context;
  const { limits } = config.platform;
  const workload: Workload = { component: 'nginx', name: 'nginx' };
  const conf = renderNginxConf({ models: nginxModels(config), sticky: config.nginx.sticky, limits });
  const configMap = contentName(workload.name, conf);
  const container = {
    name: 'main',
    image: imageOf('nginx', config.platform),
    command: ['nginx', '-e', 'stderr', '-c', `${FOLDER}/nginx.conf`, '-g', 'daemon off;'],
    ports: HTTP_PORTS,
    probes: HTTP_PROBES,
    preStop: ['sleep', String(DRAIN_S)],
    mounts: [configMount(configMap, FOLDER), scratch('tmp', '/tmp')],
  };
  return [
    renderConfigMap(workload, configMap, { 'nginx.conf': conf }),
    renderService(workload, { ports: HTTP_PORTS }),
    ...renderDeployment({ workload, pods: config.nginx.pods, containers: [container] }, context),
    renderRoute(workload, { name: ROUTE, timeoutS: searchTimeoutS(limits) }),
  ];
}

/** What runs by the clock. */
import { labelsOf, type Workload } from './names.js';
import type { CronJob, Manifest } from './objects.js';
import { ownImage } from './images.js';
import { platformEnv } from './platform-env.js';
import { renderPod, scratch, type ContainerOptions, type RenderContext } from './pod.js';
import { storeInitContainer } from './mongo.js';
import { renderRoleConfig } from './role-config.js';
import { STORE_ENV } from './roles.js';

/**
 * Every night: indexes and shard keys that the store should have, where somebody dropped or forgot one. And near-duplicates, where
 * config.json has the service `dedupe`.
 */
export function renderCronJobs(context: RenderContext): Manifest[] {
  const workload: Workload = { component: 'cron', name: 'store-reconcile' };
  return [renderCronJob(workload, { schedule: '17 3 * * *', container: storeInitContainer(context) }, context), ...renderDedupe(context)];
}

/** `eis dedupe --apply`. Its index lies on a disk of the pod's own: it is made anew each time. */
function renderDedupe(context: RenderContext): Manifest[] {
  const { dedupe, models, platform } = context.config;
  if (!dedupe) return [];
  const workload: Workload = { component: 'dedupe', name: 'dedupe' };
  const roleConfig = renderRoleConfig(workload, models.map(({ name }) => name), []);
  const container: ContainerOptions = {
    name: 'main',
    image: ownImage(platform, context.version),
    command: ['node', 'dist/cli.js', 'dedupe', '--apply', '--json'],
    env: [{ name: 'EIS_DATA_DIR', value: '/data' }, ...platformEnv(platform), ...roleConfig.env, ...STORE_ENV],
    mounts: [...roleConfig.mounts, scratch('data', '/data'), scratch('tmp', '/tmp')],
  };
  return [roleConfig.configMap, renderCronJob(workload, { schedule: dedupe.schedule, container }, context)];
}

/** A container at times of `schedule` (as cron has them), never twice at once. */
function renderCronJob(workload: Workload, { schedule, container }: { readonly schedule: string; readonly container: ContainerOptions }, context: RenderContext): CronJob {
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: workload.name, labels: labelsOf(workload) },
    spec: {
      schedule,
      concurrencyPolicy: 'Forbid',
      startingDeadlineSeconds: 3600,
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 3,
      jobTemplate: { spec: { backoffLimit: 3, template: renderPod({ workload, restartPolicy: 'OnFailure', containers: [container] }, context) } },
    },
  };
}

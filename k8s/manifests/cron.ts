/** What runs by the clock. */
import { labelsOf, type Workload } from './names.js';
import type { CronJob, Manifest } from './objects.js';
import { renderPod, type ContainerOptions, type RenderContext } from './pod.js';
import { storeInitContainer } from './mongo.js';

/** Every night: indexes and shard keys that the store should have, where somebody dropped or forgot one. */
export function renderCronJobs(context: RenderContext): Manifest[] {
  const workload: Workload = { component: 'cron', name: 'store-reconcile' };
  return [renderCronJob(workload, { schedule: '17 3 * * *', container: storeInitContainer(context) }, context)];
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

/** What is on its way into the index. Every pod that is asked says the same of a queue, so the most of it counts. */
import { alert, type RuleGroup } from './rule.js';

const QUEUE_AGE_S = 1_800;

export function ingestRules(): RuleGroup {
  return {
    name: 'ingest',
    rules: [
      alert('EisQueueOld', {
        severity: 'warning',
        lasting: '10m',
        expr: `max by (model) (eis_queue_oldest_age_seconds) > ${QUEUE_AGE_S}`,
        summary: 'The foremost image in the queue of model {{ $labels.model }} has waited for {{ $value | humanizeDuration }}.',
        action: 'If workers wait for something (EisWorkerWaiting), mend that. Else they are too few or the function too small for what comes in: raise pods under "extract_worker", then max_instances of the function.',
      }),
      alert('EisDeadLetters', {
        severity: 'warning',
        lasting: '5m',
        expr: 'max by (model) (eis_queue_depth{state="dead"}) > 0',
        summary: '{{ $value }} images of model {{ $labels.model }} were given up after every attempt failed.',
        action: 'eis dead list says why of each. Mend the cause and put them back (eis dead replay), or let them go (eis dead drop).',
      }),
      alert('EisBrokerFull', {
        severity: 'critical',
        lasting: '2m',
        expr: 'max(rabbitmq_alarms_memory_used_watermark) == 1\nor max(rabbitmq_alarms_free_disk_space_watermark) == 1',
        summary: 'RabbitMQ takes in no more images, because a node is short of memory or disk.',
        action: 'See which it is (rabbitmq_alarms_memory_used_watermark, rabbitmq_alarms_free_disk_space_watermark, by instance). Workers that wait (EisWorkerWaiting) let queues grow: mend that first. Else give it more in k8s/manifests/sizes.ts.',
      }),
      alert('EisWorkerWaiting', {
        severity: 'warning',
        lasting: '10m',
        expr: 'max by (model, part) (eis_ingest_waiting) == 1',
        summary: 'Workers of model {{ $labels.model }} take no images, because they wait for the {{ $labels.part }}.',
        action: 'function: see its logs, its quota, and whether the workers may call it (FUNCTION_URL, the service account). store: see mongo-router and the shards of MongoDB. Nothing is lost meanwhile: the queue holds it.',
      }),
    ],
  };
}

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

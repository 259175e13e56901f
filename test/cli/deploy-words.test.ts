import { describe, expect, it } from 'vitest';
import { describePlan } from '../../cli/deploy-words.js';
import { parseConfig } from '../../common/config.js';
import { modelIn, planOf, seedText, serviceIn } from '../k8s/support/deployments.js';

const SEED = seedText();
const config = (text: string) => parseConfig(text, '/config.json');

describe('describePlan()', () => {
  it('says first what it means, then what it costs, then what changes', () => {
    const after = seedText((edited) => {
      edited.platform = { quota: { pods: 50 } };
      modelIn(edited, 'indexing', 'mobilenet')['pods'] = 2;
      (serviceIn(edited, 'nginx')['serving_weights'] as { weight: number }[])[0]!.weight = 2;
    });
    const lines = describePlan(planOf(SEED, after), config(after), 100).map((line) => line.replace(/-[0-9a-f]{8}\b/g, '-#'));
    expect(lines.slice(0, lines.indexOf('--- configmap-nginx-#.yaml')).filter((line) => !/^ {2}(mongo|worker|gateway|wrapper|rabbit|prom|index [cr])/.test(line)).join('\n')).toMatchInlineSnapshot(`
      "/config.json, in the namespace elastic-image-search: 1 object(s) added, 3 object(s) changed.

      What it means
        - mobilenet: 1 pod(s) → 2 pod(s) for each of 1 index shard(s). New ones load their share from the
          store; the others stay as they are.
        - Of the searches that name no model 16.7 % go elsewhere: resnet 33.3 % → 50 %, mobilenet 33.3 % →
          25 %, custom 33.3 % → 25 %. nginx is replaced for it; no index and no gateway is.

      Take note
        - The quota is 50 pods, and 57 are asked for: 7 will not start. Ask for more, or for fewer pods in
          config.json.
        - RabbitMQ with 2 pod(s) survives no loss: two nodes have no majority without each other, so when
          one is away the queues stand still. Three survive one.
        - custom: served, but no worker extracts for it ("extract_worker" does not list it): new images
          will not be found by it.

      Pods, and the CPUs and memory that they ask for
        nginx              1              0.1            64 MiB
        index mobilenet    1 → 2          0.5 → 1        1 GiB → 2 GiB
        all                56 → 57 of 50  18.85 → 19.35  30.6 GiB → 31.6 GiB
        While it is applied, up to 58 pods at once, beside those that are ending.

      Objects
        ~ ConfigMap nginx-# → nginx-#
        ~ Deployment nginx: its pods are replaced, one after the other
        + PodDisruptionBudget index-mobilenet-1-0
        ~ StatefulSet index-mobilenet-1-0: 1 → 2 pods; none restarts
      "
    `);
    expect(Math.max(...lines.slice(0, lines.indexOf('Objects')).map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('says that nothing changes', () => {
    expect(describePlan(planOf(SEED, SEED), config(SEED), undefined)[0]).toBe('/config.json, in the namespace elastic-image-search: nothing changes.');
  });

  it('says what a change means that no object shows', () => {
    const after = seedText((edited) => (edited.models[2]!['layer'] = 'other'));
    expect(describePlan(planOf(SEED, after), config(after), undefined).join('\n')).toMatch(/no object changes\.\n\nWhat it means\n {2}- custom: another model/);
  });
});

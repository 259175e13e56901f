/** A real Prometheus over the system of one machine, with the rules and the dashboard of the cluster: everything that they ask can be asked. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { packagePath } from '../../common/package-root.js';
import { dashboardRows } from '../../k8s/monitoring/dashboard.js';
import { renderRules } from '../../k8s/monitoring/rules.js';
import { renderScrapeConfig, type ScrapeJob } from '../../k8s/monitoring/scrape.js';
import { planProcesses } from '../../local/processes.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { PROMETHEUS_MISSING, startPrometheus, type RunningPrometheus } from '../support/prometheus-tools.js';
import { parsePrometheus } from '../support/prometheus.js';

const COUNT = 12;
/** How long it scrapes, once a second, while there are searches. */
const SCRAPED_S = 30;
const CONFIG = { models: [{ name: 'builtin', model_url: packagePath('models/builtin') }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 2 }] }] };

/** Panels of what does not happen in a system that is well. */
const EMPTY = ['Requests refused', 'Failed calls of shards', 'Attempts repeated', 'Alerts'];

interface Target { readonly labels: { readonly job: string }; readonly health: string; readonly lastError: string }
interface EvaluatedRule { readonly name: string; readonly health: string; readonly lastError?: string; readonly state?: string }
interface Result { readonly result: readonly unknown[] }

describe.skipIf(PROMETHEUS_MISSING !== undefined)(`Prometheus over the system of one machine${PROMETHEUS_MISSING ? ` (${PROMETHEUS_MISSING})` : ''}`, () => {
  let folder: string;
  let stack: LocalStack;
  let prometheus: RunningPrometheus;
  let addresses: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-prometheus-'));
    const names = await drawImages(join(folder, 'images'), COUNT);
    stack = await startLocalStack({ folder, config: CONFIG, args: ['--images', join(folder, 'images')] });
    const processes = planProcesses(parseConfig(JSON.stringify(CONFIG), join(folder, 'config.json')), parseEnvironment({ EIS_BASE_PORT: String(stack.basePort), EIS_DATA_DIR: folder }));
    addresses = processes.map(({ port }) => `127.0.0.1:${port}`);
    const roles = [...new Set(processes.map(({ role }) => role))];
    const jobs: ScrapeJob[] = roles.map((role) => ({ name: role, targets: processes.filter((spec) => spec.role === role).map(({ port }) => `127.0.0.1:${port}`) }));
    writeFileSync(join(folder, 'rules.yml'), stringify(renderRules(roles)));
    writeFileSync(join(folder, 'prometheus.yml'), stringify(renderScrapeConfig({ jobs, rulesFile: join(folder, 'rules.yml'), everyS: 1 })));
    prometheus = await startPrometheus(folder);
    for (const endsAt = performance.now() + SCRAPED_S * 1000; performance.now() < endsAt; await sleep(200)) {
      const body = new Uint8Array(readImage(join(folder, 'images'), names[Math.floor(Math.random() * COUNT)]!));
      expect((await fetch(`${stack.url}/search`, { method: 'POST', body, headers: { 'content-type': 'image/jpeg' } })).status).toBe(200);
    }
  }, 180_000);

  afterAll(async () => {
    await stack.stop();
    await prometheus.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (query: string): Promise<Result> => prometheus.api<Result>('query', { query: query.replaceAll('$__rate_interval', '1m').replaceAll('$model', '.*') });

  it('reaches every process of the system', async () => {
    const { activeTargets } = await prometheus.api<{ activeTargets: Target[] }>('targets');
    expect(activeTargets.map(({ labels: { job }, health, lastError }) => `${job} ${health} ${lastError}`).sort()).toEqual(['function up ', 'gateway up ', 'index up ', 'index up ', 'worker up ', 'wrapper up ']);
  });

  it('evaluates every rule, and no alert fires', async () => {
    const expected = renderRules([]).groups.flatMap(({ rules }) => rules).map((rule) => ('alert' in rule ? rule.alert : rule.record));
    const { groups } = await prometheus.api<{ groups: { rules: EvaluatedRule[] }[] }>('rules');
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.map(({ name }) => name).sort()).toEqual(expected.sort());
    expect(rules.filter(({ health, lastError = '', state }) => health !== 'ok' || lastError !== '' || state === 'firing')).toEqual([]);
  });

  it('has a value of every series that is recorded', async () => {
    for (const rule of renderRules([]).groups.flatMap(({ rules }) => rules)) if ('record' in rule) expect((await ask(rule.record)).result.length, rule.record).toBeGreaterThan(0);
  });

  it('has values for every panel of the dashboard, but those of what went wrong', async () => {
    for (const { title, queries } of dashboardRows().flatMap(({ panels }) => panels)) {
      for (const { expr } of queries) {
        const { result } = await ask(expr);
        if (!EMPTY.includes(title)) expect(result.length, `${title}: ${expr}`).toBeGreaterThan(0);
      }
    }
  });

  it('is asked for nothing that no process exports', async () => {
    const exported = new Set<string>();
    for (const address of addresses) {
      const text = await (await fetch(`http://${address}/metrics`)).text();
      for (const { name } of parsePrometheus(text)) exported.add(name);
      for (const [, name] of text.matchAll(/^# TYPE (\w+) /gm)) exported.add(name!);
    }
    const expressions = [...renderRules([]).groups.flatMap(({ rules }) => rules), ...dashboardRows().flatMap(({ panels }) => panels).flatMap(({ queries }) => queries)].map(({ expr }) => expr);
    const asked = new Set(expressions.flatMap((expr) => [...expr.replaceAll(/"[^"]*"/g, '').matchAll(/(?<![\w:])eis_\w+/g)].map(([name]) => name)));
    expect(asked.size).toBeGreaterThan(25);
    expect([...asked].filter((name) => !exported.has(name))).toEqual([]);
  });
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_LIMITS, limitVariable, type Limits } from '../common/limits.js';
import { packagePath } from '../common/package-root.js';
import { optionalRules } from '../k8s/monitoring/optional-rules.js';

const read = (file: string): string => readFileSync(packagePath(file), 'utf8');
const operating = (): string => read('README.md').split('## Operating')[1]!.split('\n## ')[0]!;

/** By npm, and by Cloud Run. */
const SET_BY_OTHERS = ['INIT_CWD', 'K_SERVICE'];

describe('the table of settings in README.md', () => {
  it.each(Object.keys(DEFAULT_LIMITS) as (keyof Limits)[])('has the limit %s', (name) => {
    expect(operating()).toContain(`\`${limitVariable(name)}\``);
  });

  it('has every other variable that the environment is read for', () => {
    const names = [...read('common/environment.ts').matchAll(/(?:read|url|integer|readProxy)\('([A-Z][A-Z0-9_]+)'/g)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(10);
    const missing = names.filter((name) => !SET_BY_OTHERS.includes(name) && !operating().includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });

  it('says the defaults as they are', () => {
    const said = (variable: string): string => operating().split('\n').find((line) => line.includes(`\`${variable}\``))!.split('|')[2]!.trim();
    expect(said('EIS_DELIVERY_HOLD_MS').replaceAll(' ', '')).toBe(String(DEFAULT_LIMITS.deliveryHoldMs));
    expect(said('EIS_WORKER_EMBEDS_MAX')).toBe(String(DEFAULT_LIMITS.workerEmbedsMax));
    expect(said('EIS_WRITE_BATCH_MAX')).toBe(`${DEFAULT_LIMITS.writeBatchMax}, ${DEFAULT_LIMITS.writeBatchWaitMs}`);
    expect(said('EIS_QUEUE_MESSAGES_MAX').replaceAll(' ', '')).toBe(String(DEFAULT_LIMITS.queueMessagesMax));
    expect(said('EIS_SNAPSHOT_EVERY_MS').replaceAll(' ', '')).toBe(String(DEFAULT_LIMITS.snapshotEveryMs));
    expect(said('EIS_DELIVERY_MAX')).toBe(String(DEFAULT_LIMITS.deliveryMax));
  });
});

describe('docs/operating.md', () => {
  it('names every alert, and no other', () => {
    const rules = parse(read(readdirSync(packagePath('compose')).filter((name) => name.startsWith('prometheus-')).map((name) => `compose/${name}/rules.yml`)[0]!)) as { groups: { rules: { alert?: string }[] }[] };
    const optional = optionalRules({ hasShadow: true, scaled: [{ deployment: 'worker-m', podsMax: 2, signalMax: 60 }] });
    const alerts = [...rules.groups, ...optional].flatMap((group) => group.rules.flatMap((rule) => ('alert' in rule && rule.alert) || []));
    const named = [...read('docs/operating.md').matchAll(/`(Eis[A-Z]\w+)`/g)].map(([, name]) => name!);
    expect([...new Set(named)].sort()).toEqual([...new Set(alerts)].sort());
  });

  it('leads to places that are there', () => {
    const page = read('docs/operating.md');
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading!.toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-'));
    for (const [, target] of page.matchAll(/\]\(([^)]+)\)/g)) {
      if (target!.startsWith('#')) expect(headings, target).toContain(target!.slice(1));
      else expect(existsSync(packagePath('docs', target!.split('#')[0]!)), target).toBe(true);
    }
    for (const [, file] of page.matchAll(/`(test\/[\w/.-]+\.ts)`/g)) expect(existsSync(packagePath(file!)), file).toBe(true);
  });
});

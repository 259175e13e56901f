import { describe, expect, it } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import type { Manifest, PodTemplate } from '../../k8s/manifests/objects.js';
import { manifestsOf, seedText } from './support/deployments.js';

const ENVIRONMENT = { EIS_IMAGE_BYTES_MAX: 5_000_000, EIS_SEARCH_TIMEOUT_MS: '70000', EIS_CLOSE_TIMEOUT_MS: 60_000, EIS_SNAPSHOT_EVERY_MS: 600_000, EIS_FETCH_DENY: '*.example.com', LOG_LEVEL: 'debug' };
const platform = (environment: object | undefined): readonly Manifest[] => manifestsOf(seedText((config) => {
  config.platform = environment ? { environment } : {};
  config.services = [...config.services, { name: 'dedupe' }];
}));

function podOf(object: Manifest): PodTemplate | undefined {
  if (object.kind === 'CronJob') return object.spec?.jobTemplate.spec?.template;
  return object.kind === 'Deployment' || object.kind === 'StatefulSet' || object.kind === 'Job' ? object.spec?.template : undefined;
}

describe('platform.environment', () => {
  const [objects, given] = [platform(undefined), platform(ENVIRONMENT)];

  it('is given to every process of ours, each variable once', () => {
    const ours = given.flatMap((object) => (podOf(object)?.spec?.containers ?? []).filter(({ command }) => command?.[0] === 'node').map((container) => [object.metadata.name, container] as const));
    expect(new Set(ours.map(([name]) => name.split('-')[0]))).toEqual(new Set(['dedupe', 'gateway', 'index', 'mongo', 'store', 'worker', 'wrapper']));
    for (const [name, { env = [] }] of ours) {
      const { limits, logLevel, fetchFrom } = parseEnvironment(Object.fromEntries(env.map((variable) => [variable.name, variable.value])));
      expect([limits.imageBytesMax, limits.searchTimeoutMs, logLevel, fetchFrom.deny], name).toEqual([5_000_000, 70_000, 'debug', ['*.example.com']]);
      expect(new Set(env.map((variable) => variable.name)).size, name).toBe(env.length);
    }
  });

  it('gives pods the time to end that their processes may take', () => {
    const graceS = (among: readonly Manifest[]): number => podOf(among.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'gateway-resnet')!)!.spec!.terminationGracePeriodSeconds!;
    expect(graceS(given) - graceS(objects)).toBe(40);
  });

  it('moves what an alert calls too long without a snapshot', () => {
    const rules = (among: readonly Manifest[]): string => among.flatMap((object) => (object.kind === 'ConfigMap' && object.metadata.name.startsWith('prometheus-') ? Object.values(object.data ?? {}) : [])).join('');
    expect(rules(objects)).toContain('eis_index_unsaved_seconds > 1200');
    expect(rules(given)).toContain('eis_index_unsaved_seconds > 2400');
  });

  it('moves the bounds of nginx and of the Route', () => {
    const conf = (among: readonly Manifest[]): string => among.flatMap((object) => (object.kind === 'ConfigMap' && object.metadata.name.startsWith('nginx-') ? Object.values(object.data ?? {}) : [])).join('');
    expect(conf(given)).toMatch(/larger than [\d.]+ MB \(5000000 bytes\)/);
    const timeout = (among: readonly Manifest[]): unknown => among.flatMap((object) => (object.kind === 'Route' ? [object.metadata.annotations?.['haproxy.router.openshift.io/timeout']] : []))[0];
    expect(timeout(given)).toBeDefined();
    expect(timeout(given)).not.toBe(timeout(objects));
  });
});

/** Configurations to render, and what becomes of them. */
import { readFileSync } from 'node:fs';
import { parseConfig, type Config } from '../../../common/config.js';
import { packagePath } from '../../../common/package-root.js';
import type { Files } from '../../../k8s/folder.js';
import { makePlan, type Plan } from '../../../k8s/plan.js';
import { renderFiles, renderManifests } from '../../../k8s/render.js';
import type { Manifest } from '../../../k8s/manifests/objects.js';
import type { VectorCounts } from '../../../k8s/meaning.js';

export interface ConfigJson {
  models: { name: string; [key: string]: unknown }[];
  services?: { name: string; models?: Record<string, unknown>[]; [key: string]: unknown }[];
  platform?: Record<string, unknown>;
}

/** The seed configuration, changed by `edit`. */
export function seedText(edit: (config: Required<ConfigJson>) => void = () => undefined): string {
  const config = { platform: {}, ...(JSON.parse(readFileSync(packagePath('test/fixtures/seed-config.json'), 'utf8')) as ConfigJson) } as Required<ConfigJson>;
  edit(config);
  return JSON.stringify(config, null, 2);
}

export function serviceIn({ services }: Required<ConfigJson>, name: string): Record<string, unknown> & { models: Record<string, unknown>[] } {
  return services.find((service) => service.name === name) as never;
}

export function modelIn(config: Required<ConfigJson>, service: string, model: string): Record<string, unknown> {
  return serviceIn(config, service).models.find(({ name }) => name === model)!;
}

const context = (config: Config) => ({ config, version: '1.2.3', functionUrls: new Map([['resnet', 'https://embed-resnet.example.com']]) });

export function manifestsOf(text: string): Manifest[] {
  return renderManifests(context(parseConfig(text, '/config.json')));
}

export function filesOf(text: string): Files {
  return renderFiles(context(parseConfig(text, '/config.json')), text);
}

/** The plan from one configuration to another. */
export function planOf(before: string | undefined, after: string, counts: VectorCounts = new Map()): Plan {
  return makePlan({ current: before === undefined ? undefined : filesOf(before), staging: filesOf(after), config: parseConfig(after, '/config.json'), counts });
}

/** What the pods of each component ask for (requests), and what they never get more of (limits). Shards grow by their number, not by their size. */
import type { Component } from './names.js';

export interface Size {
  /** In CPUs. */
  readonly cpu: number;
  readonly cpuMax: number;
  /** In MiB. */
  readonly memory: number;
  readonly memoryMax: number;
}

const MONGO_SMALL: Size = { cpu: 0.25, cpuMax: 1, memory: 512, memoryMax: 1024 };

export const SIZES: Readonly<Record<Component, Size>> = {
  gateway: { cpu: 0.25, cpuMax: 1, memory: 256, memoryMax: 768 },
  wrapper: { cpu: 0.25, cpuMax: 1, memory: 256, memoryMax: 1024 },
  worker: { cpu: 0.25, cpuMax: 1, memory: 256, memoryMax: 1024 },
  index: { cpu: 0.5, cpuMax: 2, memory: 1024, memoryMax: 2048 },
  nginx: { cpu: 0.1, cpuMax: 1, memory: 64, memoryMax: 128 },
  rabbitmq: { cpu: 0.5, cpuMax: 1, memory: 1024, memoryMax: 2048 },
  'mongo-config': MONGO_SMALL,
  'mongo-shard': { cpu: 0.5, cpuMax: 2, memory: 1024, memoryMax: 2048 },
  'mongo-router': MONGO_SMALL,
  'mongo-init': { cpu: 0.1, cpuMax: 1, memory: 256, memoryMax: 512 },
  prometheus: { cpu: 0.25, cpuMax: 1, memory: 512, memoryMax: 2048 },
  autoscaler: { cpu: 0.05, cpuMax: 0.5, memory: 96, memoryMax: 256 },
  // It holds the codes of all vectors of one model, and a graph over them.
  dedupe: { cpu: 0.5, cpuMax: 2, memory: 1024, memoryMax: 4096 },
  cron: { cpu: 0.1, cpuMax: 1, memory: 256, memoryMax: 512 },
};

/** Disks, in GiB, of the pods that keep something. */
export const DISKS = { index: 10, rabbitmq: 10, 'mongo-config': 5, 'mongo-shard': 20, prometheus: 10 } as const;

/** As Kubernetes writes it; `cpuPerPodMax` (`platform.quota.cpu_per_pod`) holds it down, because a LimitRange refuses pods above it. */
export function resourcesOf(component: Component, cpuPerPodMax = Infinity): { readonly requests: Record<string, string>; readonly limits: Record<string, string> } {
  const { cpu, cpuMax, memory, memoryMax } = SIZES[component];
  return { requests: { cpu: millicpu(Math.min(cpu, cpuPerPodMax)), memory: `${memory}Mi` }, limits: { cpu: millicpu(Math.min(cpuMax, cpuPerPodMax)), memory: `${memoryMax}Mi` } };
}

function millicpu(cpus: number): string {
  return `${Math.round(cpus * 1000)}m`;
}

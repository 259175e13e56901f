/**
 * How many CPUs this process may keep busy. Containers are seldom given whole machines: Kubernetes and Cloud Run set a
 * quota of CPU time on the process's control group, which `os.availableParallelism()` (the affinity alone) knows nothing
 * of. Threads beyond the quota only take each other's time, and the whole process is stopped when the quota is used up.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, posix } from 'node:path';

export interface GrantedCpusOptions {
  /** The folder that absolute paths are looked up in. */
  readonly root?: string;
  /** CPUs that the process may be scheduled on. */
  readonly schedulable?: number;
}

/** A file system of control groups (cgroups(7)), as `/proc/self/mountinfo` lists it. */
interface Mount {
  readonly type: string;
  /** The control group that is seen at `point`. */
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
}

/** The quota of one control group, in CPUs; undefined where it has none. */
type ReadQuota = (folder: string) => number | undefined;

/**
 * At least 1. A quota holds for all below a control group, so the least of the process's own and every parent's counts.
 * A part of a CPU counts as one: with 1.5, a single thread would leave a third of the grant unused. What cannot be read
 * (another system, no control groups) grants everything.
 */
export function grantedCpus({ root = '/', schedulable = availableParallelism() }: GrantedCpusOptions = {}): number {
  const quotas = controlGroups(root).flatMap(({ folders, readQuota }) => folders.map((folder) => readQuota(join(root, folder)) ?? Infinity));
  return Math.max(1, Math.ceil(Math.min(schedulable, ...quotas)));
}

/** The folders of the control groups that the process is in: its own first, then its parents as far as they are seen. */
function controlGroups(root: string): { readonly folders: readonly string[]; readonly readQuota: ReadQuota }[] {
  const mounts = lines(join(root, 'proc/self/mountinfo')).map(parseMount);
  return lines(join(root, 'proc/self/cgroup')).flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    const isUnified = controllers === '';
    if (!isUnified && !controllers.split(',').includes('cpu')) return [];
    const mount = mounts.find(({ type, options }) => (isUnified ? type === 'cgroup2' : type === 'cgroup' && options.includes('cpu')));
    return mount ? [{ folders: upwards(mount, path), readQuota: isUnified ? readUnifiedQuota : readLegacyQuota }] : [];
  });
}

/** `36 35 98:0 /root /point rw,noatime master:1 - type source rw,options` (proc_pid_mountinfo(5)). */
function parseMount(line: string): Mount {
  const [fields = '', described = ''] = line.split(' - ');
  const [, , , root = '/', point = '/'] = fields.split(' ');
  const [type = '', , options = ''] = described.split(' ');
  return { type, root, point, options: options.split(',') };
}

/** In a container that is shown a part of the groups only, its own group may lie outside: then what is shown is its own. */
function upwards({ root, point }: Mount, path: string): string[] {
  const below = posix.relative(root, path);
  const parts = below.startsWith('..') ? [] : below.split('/').filter((part) => part !== '');
  return Array.from({ length: parts.length + 1 }, (_, i) => posix.join(point, ...parts.slice(0, parts.length - i)));
}

/** Version 2: `max 100000`, or `150000 100000` (µs of every period). */
function readUnifiedQuota(folder: string): number | undefined {
  const [quota, period] = (lines(join(folder, 'cpu.max'))[0] ?? '').split(' ');
  return toCpus(quota, period);
}

/** Version 1: a quota of −1 is none. */
function readLegacyQuota(folder: string): number | undefined {
  return toCpus(lines(join(folder, 'cpu.cfs_quota_us'))[0], lines(join(folder, 'cpu.cfs_period_us'))[0]);
}

function toCpus(quota: string | undefined, period: string | undefined): number | undefined {
  const cpus = Number(quota) / Number(period);
  return Number.isFinite(cpus) && cpus > 0 ? cpus : undefined;
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '');
  } catch {
    return [];
  }
}

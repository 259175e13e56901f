import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { grantedCpus } from '../../common/granted-cpus.js';

const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';
const V1_MOUNT = '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n';

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'eis-cpus-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** What is granted of eight CPUs on a machine with these files. */
function granted(files: Readonly<Record<string, string>>): number {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return grantedCpus({ root, schedulable: 8 });
}

describe('grantedCpus()', () => {
  it('is what the process may be scheduled on where there is no quota', () => {
    expect(grantedCpus({ root, schedulable: 8 })).toBe(8);
    expect(granted({ 'proc/self/cgroup': '0::/\n', 'proc/self/mountinfo': V2_MOUNT, 'sys/fs/cgroup/cpu.max': 'max 100000\n' })).toBe(8);
    expect(grantedCpus()).toBeGreaterThanOrEqual(1);
    expect(grantedCpus()).toBeLessThanOrEqual(availableParallelism());
  });

  it('is the quota of the container, a part of a CPU counted as one', () => {
    const container = { 'proc/self/cgroup': '0::/\n', 'proc/self/mountinfo': V2_MOUNT };
    expect(granted({ ...container, 'sys/fs/cgroup/cpu.max': '200000 100000\n' })).toBe(2);
    expect(granted({ ...container, 'sys/fs/cgroup/cpu.max': '150000 100000\n' })).toBe(2);
    expect(granted({ ...container, 'sys/fs/cgroup/cpu.max': '10000 100000\n' })).toBe(1);
    expect(granted({ ...container, 'sys/fs/cgroup/cpu.max': '2000000 100000\n' })).toBe(8);
  });

  it('is the least of the quotas of its group and every group above it', () => {
    const files = { 'proc/self/cgroup': '0::/pods/pod1/box\n', 'proc/self/mountinfo': V2_MOUNT, 'sys/fs/cgroup/pods/pod1/box/cpu.max': '600000 100000\n', 'sys/fs/cgroup/pods/cpu.max': 'max 100000\n' };
    expect(granted(files)).toBe(6);
    expect(granted({ ...files, 'sys/fs/cgroup/pods/pod1/cpu.max': '300000 100000\n' })).toBe(3);
    expect(granted({ ...files, 'sys/fs/cgroup/other/cpu.max': '100000 100000\n' })).toBe(3);
  });

  it('reads the groups of version 1, where −1 is no quota', () => {
    const files = { 'proc/self/cgroup': '5:memory:/box\n4:cpu,cpuacct:/box\n0::/\n', 'proc/self/mountinfo': `23 1 8:1 / / rw - ext4 /dev/sda rw\n${V1_MOUNT}`, 'sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us': '50000\n' };
    expect(granted({ ...files, 'sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us': '-1\n' })).toBe(8);
    expect(granted({ ...files, 'sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us': '125000\n' })).toBe(3);
  });

  it('finds its group where only a part of the groups is mounted', () => {
    const mount = (of: string): string => `30 23 0:26 ${of} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n`;
    const files = { 'proc/self/cgroup': '0::/docker/abc/inner\n', 'sys/fs/cgroup/cpu.max': '500000 100000\n', 'sys/fs/cgroup/inner/cpu.max': '400000 100000\n' };
    expect(granted({ ...files, 'proc/self/mountinfo': mount('/docker/abc') })).toBe(4);
    expect(granted({ ...files, 'proc/self/mountinfo': mount('/docker/other') })).toBe(5);
  });

  it('ignores what it cannot understand', () => {
    expect(granted({ 'proc/self/cgroup': 'what\n0::/\n', 'proc/self/mountinfo': `nothing\n${V2_MOUNT}`, 'sys/fs/cgroup/cpu.max': '0 0\n' })).toBe(8);
    expect(granted({ 'sys/fs/cgroup/cpu.max': 'many few\n' })).toBe(8);
  });
});

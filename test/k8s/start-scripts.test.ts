/** The scripts that start servers of others, run by a real shell as a user of no name, who is no root: a second start finds what the first left. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MONGO_SCRIPTS } from '../../k8s/manifests/mongo-scripts.js';
import { tempFolder } from '../support/temp-folder.js';
import { manifestsOf, seedText } from './support/deployments.js';

const isRoot = process.getuid?.() === 0;

/** A folder that everybody may write to, with a stand-in for the server that a script ends in. */
function makePlace(server: string): { readonly folder: string; readonly run: (script: string, args: readonly string[], env?: Readonly<Record<string, string>>) => string } {
  const folder = tempFolder();
  chmodSync(folder, 0o777);
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin', server), '#!/bin/sh\necho started\n', { mode: 0o755 });
  const run = (script: string, args: readonly string[], env = {}): string => execFileSync('sh', ['-s', '-', ...args], { input: script, stdio: 'pipe', encoding: 'utf8', env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, HOME: folder, HOSTNAME: 'pod-1', ...env }, ...(isRoot ? { uid: 12_345, gid: 0 } : {}) });
  return { folder, run };
}

describe("MongoDB's start.sh", () => {
  it('starts again in a container that takes the place of one that ended, whose key is still there', () => {
    const { folder, run } = makePlace('mongod');
    writeFileSync(join(folder, 'given'), 'key', { mode: 0o444 });
    const script = MONGO_SCRIPTS['start.sh']!.replaceAll('/etc/mongo/keyfile', join(folder, 'given')).replaceAll('/tmp/keyfile', join(folder, 'keyfile'));
    for (let start = 0; start < 2; start++) expect(run(script, ['mongod'], { REPLICA_SET: 'set' })).toBe('started\n');
    expect(statSync(join(folder, 'keyfile')).mode & 0o777).toBe(0o400);
  });
});

describe("RabbitMQ's start.sh", () => {
  const objects = manifestsOf(seedText());
  const files = objects.flatMap((object) => (object.kind === 'ConfigMap' ? [object.data ?? {}] : [])).find((data) => 'rabbitmq.conf' in data)!;
  const set = objects.find((object) => object.kind === 'StatefulSet' && object.metadata.name === 'rabbitmq')!;
  const [container] = set.kind === 'StatefulSet' ? set.spec!.template.spec!.containers : [];

  it('leaves a cookie that its owner alone may read, whatever became of the one before', () => {
    const { folder, run } = makePlace('rabbitmq-server');
    const cookie = join(folder, '.erlang.cookie');
    for (const secret of ['first', 'second']) {
      expect(run(files['start.sh']!, [], { CLUSTER_COOKIE: secret })).toBe('started\n');
      expect([statSync(cookie).mode & 0o777, isRoot || readFileSync(cookie, 'utf8')]).toEqual([0o600, isRoot || secret]);
      chmodSync(cookie, 0o660);
    }
  });

  it('keeps the cookie off the disk, whose files Kubernetes opens to their group', () => {
    const home = container!.env!.find(({ name }) => name === 'HOME')!.value;
    expect(container!.volumeMounts!.find(({ mountPath }) => mountPath === home)).toMatchObject({ name: 'tmp' });
  });

  it('is of a node that is not ended for waiting: it is alive while Erlang is, and ready when it takes messages', () => {
    const { startupProbe, livenessProbe, readinessProbe, ports } = container!;
    expect([startupProbe, livenessProbe, readinessProbe].map((probe) => ports!.find(({ name }) => name === probe!.tcpSocket!.port)!.containerPort)).toEqual([25_672, 25_672, 5_672]);
  });

  it('is told of the memory and the disk that it has, so that it refuses messages before it is killed', () => {
    const conf = Object.fromEntries(files['rabbitmq.conf']!.split('\n').filter((line) => line.includes(' = ')).map((line) => line.split(' = ') as [string, string]));
    expect(`${conf['total_memory_available_override_value']}`).toBe(`${container!.resources!.limits!['memory']}B`);
    expect(conf).toMatchObject({ 'disk_free_limit.absolute': '2048MiB', 'quorum_queue.continuous_membership_reconciliation.enabled': 'true', 'quorum_queue.continuous_membership_reconciliation.target_group_size': '3' });
  });
});

import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { queriesOf } from '../../autoscale/signals.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { RoleProcess } from '../support/role-process.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';

const QUERIES = queriesOf({ role: 'gateway', model: 'resnet' });

let server: Server;
let url: string;
let replicas: number;
let configFile: string;

/** Prometheus and, as through "kubectl proxy", the API of a cluster: 90 requests in flight, 16 meant for each of two gateways. */
beforeEach(async () => {
  replicas = 1; // fewer than the range has
  const values = new Map([[QUERIES.value, 90], [QUERIES.pods, 1], [QUERIES.age, 5]]);
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url as string, 'http://fake');
    response.setHeader('content-type', 'application/json');
    if (pathname === '/api/v1/query') {
      const value = values.get(searchParams.get('query') ?? '');
      return void response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result: value === undefined ? [] : [{ metric: {}, value: [1, String(value)] }] } }));
    }
    if (pathname !== '/apis/apps/v1/namespaces/elastic-image-search/deployments/gateway-resnet/scale') return void response.writeHead(404).end('{}');
    response.end(JSON.stringify({ kind: 'Scale', metadata: { resourceVersion: '1' }, spec: { replicas }, status: { replicas } }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  configFile = join(tempFolder(), 'config.json');
  writeFileSync(configFile, JSON.stringify({ models: [{ name: 'resnet' }], services: [{ name: 'serving', models: [{ name: 'resnet', pods: { min: 2, max: 10 } }] }] }));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe('eis autoscale', () => {
  it('says once what it would do with each Deployment, and why', async () => {
    const { code, stdout } = await runCli(['autoscale', '--once', '--json', '--api', url, '--prometheus', url], { EIS_CONFIG: configFile });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ turns: [{ deployment: 'gateway-resnet', from: 1, to: 5, applied: false, reason: '90 requests are being answered by 1 pod(s), 90 each, where 16 are meant.' }] });
  });

  it('ends with 1 where it learns nothing, and says so', async () => {
    const { code, stdout } = await runCli(['autoscale', '--once', '--api', url, '--prometheus', 'http://127.0.0.1:9'], { EIS_CONFIG: configFile });
    expect([code, stdout]).toEqual([1, 'gateway-resnet: Nothing is changed. Prometheus at http://127.0.0.1:9 does not say how much there is to do: it does not answer.\n']);
  });

  it('does not run where nothing has a range', async () => {
    const { code, stderr } = await runCli(['autoscale', '--once', '--api', url, '--prometheus', url]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('give "pods" of "serving" or "extract_worker" a range')]);
  });

  it('runs on, with metrics and health, until it is told to end', async () => {
    const role = await RoleProcess.start({ entry: 'cli.ts', args: ['autoscale', '--api', url, '--prometheus', url], env: { EIS_CONFIG: configFile }, logFile: join(tempFolder(), 'autoscaler.log') });
    try {
      for (let signal = 0; signal !== 90; ) signal = sumOf(parsePrometheus(await (await fetch(`${role.url}/metrics`)).text()), 'eis_autoscale_signal', { deployment: 'gateway-resnet' });
      expect(role.log).toContain('"deployment":"gateway-resnet","from":1,"to":1');
    } finally {
      role.signal('SIGTERM');
    }
    expect(await role.ended()).toBe(0);
  });
});

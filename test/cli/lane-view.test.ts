import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { viewLane } from '../../cli/lane-view.js';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';

interface Replica {
  readonly shard: string;
  readonly vectors: number;
  readonly version?: string;
}

/** Replicas at addresses of the loopback network, all at one port, as pods behind the names of headless services. */
async function startReplicas(byAddress: Readonly<Record<string, Replica>>): Promise<number> {
  let port = 0;
  for (const [address, { shard, vectors, version = 'v' }] of Object.entries(byAddress)) {
    const server = createServer((_request, response) => response.end(JSON.stringify({ shard, vectors, model_version: version })));
    server.listen(port, address);
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    onTestFinished(() => void server.close());
  }
  return port;
}

describe('viewLane()', () => {
  const config = parseConfig('{ "models": [{ "name": "m" }] }', '/config.json');
  const view = (port: number, hosts: Readonly<Record<string, readonly string[]>>) =>
    viewLane('next', {
      model: 'm',
      config,
      environment: parseEnvironment({ FUNCTION_URL_M_NEXT: 'http://127.0.0.1:1', INDEX_URLS_M_NEXT: Object.keys(hosts).map((host) => `http://${host}:${port}`).join(';') }),
      resolve: async (host) => hosts[host] ?? [],
    });
  const HOSTS = { 'index-0': ['127.0.0.2', '127.0.0.3'], 'index-1': ['127.0.0.4'] };

  it('asks every replica behind a name, and counts the one of a shard that has least', async () => {
    const port = await startReplicas({ '127.0.0.2': { shard: '0/2', vectors: 10 }, '127.0.0.3': { shard: '0/2', vectors: 7 }, '127.0.0.4': { shard: '1/2', vectors: 5 } });
    expect(await view(port, HOSTS).index()).toEqual({ version: 'v', vectors: 12 });
  });

  it('says nothing of a lane whose replicas hold different versions, or of which a shard has no address or does not answer', async () => {
    const port = await startReplicas({ '127.0.0.2': { shard: '0/2', vectors: 10 }, '127.0.0.3': { shard: '0/2', vectors: 10, version: 'w' }, '127.0.0.4': { shard: '1/2', vectors: 5 } });
    expect(await view(port, HOSTS).index()).toBeUndefined();
    expect(await view(port, { 'index-0': ['127.0.0.2'], 'index-1': [] }).index()).toBeUndefined();
    expect(await view(port, { 'index-0': ['127.0.0.2'], 'index-1': ['127.0.0.5'] }).index()).toBeUndefined();
    expect(await view(port, HOSTS).functionVersion()).toBeUndefined();
  });
});

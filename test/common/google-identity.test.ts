/** Where tokens come from, with the library as it is: its metadata server is ours. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../support/free-ports.js';
import { unsignedToken } from '../support/identity.js';
import { tempFolder } from '../support/temp-folder.js';

const AUDIENCE = 'https://embed-a.a.run.app';

let asked: URL[];
let servers: Server[];

beforeEach(() => {
  asked = [];
  servers = [];
  vi.resetModules();
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '');
  vi.stubEnv('HOME', tempFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  for (const server of servers) server.close();
});

async function metadataServer(port = 0, status = 200): Promise<number> {
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://metadata');
    if (url.pathname.endsWith('/identity')) asked.push(url);
    response.writeHead(request.headers['metadata-flavor'] === 'Google' ? status : 403, { 'metadata-flavor': 'Google' });
    response.end(url.pathname.endsWith('/identity') && status === 200 ? unsignedToken(Date.now() + 3_600_000) : '{}');
  }).listen(port, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const load = async () => (await import('../../common/google-identity.js')).fetchGoogleIdentityToken;

describe('fetchGoogleIdentityToken()', () => {
  it('asks the metadata server for a token of this audience', async () => {
    vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${await metadataServer()}`);
    const fetchToken = await load();
    expect(await fetchToken(AUDIENCE)).toMatch(/^ey/);
    expect(await fetchToken(AUDIENCE)).toMatch(/^ey/);
    expect(asked.map(({ searchParams }) => searchParams.get('audience'))).toEqual([AUDIENCE, AUDIENCE]);
  });

  it('fails while the metadata server is down, and asks it again when it is back', async () => {
    const port = await freePort();
    vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${port}`);
    const fetchToken = await load();
    await expect(fetchToken(AUDIENCE)).rejects.toThrow(/ECONNREFUSED/);
    await metadataServer(port);
    expect(await fetchToken(AUDIENCE)).toMatch(/^ey/);
  }, 60_000);

  it('does not take another way when the mounted key is damaged', async () => {
    const key = join(tempFolder(), 'key.json');
    writeFileSync(key, '{ "type": "service_account", "private_key": "none", "client_email": "a@b.iam.gserviceaccount.com" }');
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', key);
    vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${await metadataServer()}`);
    await expect((await load())(AUDIENCE)).rejects.toThrow();
    expect(asked).toEqual([]);
  });

  it('lets a federated identity have the tokens of the service account that it stands for', async () => {
    const file = join(tempFolder(), 'federation.json');
    writeFileSync(file, JSON.stringify({
      type: 'external_account', audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/openshift/providers/cluster', subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token', credential_source: { file: '/var/run/secrets/token' },
      service_account_impersonation_url: 'https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/gateway@p.iam.gserviceaccount.com:generateAccessToken',
    }));
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file);
    const { Impersonated } = await import('google-auth-library');
    const asking = vi.spyOn(Impersonated.prototype, 'fetchIdToken').mockImplementation(async function (this: InstanceType<typeof Impersonated>, audience) {
      return `${this.getTargetPrincipal()} for ${audience}`;
    });
    expect(await (await load())(AUDIENCE)).toBe(`gateway@p.iam.gserviceaccount.com for ${AUDIENCE}`);
    expect(asking).toHaveBeenCalledTimes(1);
  });
});

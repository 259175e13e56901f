import { describe, expect, it, onTestFinished } from 'vitest';
import { parseEnvironment, type Environment } from '../../../common/environment.js';
import { LmdbStore } from '../../../common/store/lmdb-store.js';
import { openStore, type OpenStoreOptions } from '../../../common/store/open-store.js';
import type { Store } from '../../../common/store/store.js';
import { WireServer } from '../../support/mongo-wire/wire-server.js';
import { tempFolder } from '../../support/temp-folder.js';
import { LIVE } from './mongo-parts.js';
import { imageWrite } from './store-contract.js';

function environmentOf(uri: string, variables: Record<string, string> = {}): Environment {
  return parseEnvironment({ EIS_DATA_DIR: tempFolder(), EIS_STORE_TIMEOUT_MS: '500', MONGODB_URI: uri, ...variables });
}

async function opened(environment: Environment, options?: OpenStoreOptions): Promise<Store> {
  const store = await openStore(environment, options);
  onTestFinished(() => store.close());
  return store;
}

async function startServer(): Promise<WireServer> {
  const server = await WireServer.start();
  onTestFinished(() => server.stop());
  return server;
}

describe('openStore()', () => {
  it('opens LMDB where there is no MONGODB_URI', async () => {
    expect(await opened(environmentOf(''))).toBeInstanceOf(LmdbStore);
  });

  it('uses the database that the URI names, else "eis", and prepares it', async () => {
    const server = await startServer();
    for (const [named, used] of [['', 'eis'], ['images', 'images']] as const) {
      const store = await opened(environmentOf(server.uri(named)));
      await store.collection('m', LIVE).write([imageWrite('a')]);
      expect(server.collection('vectors_m_aaaaaaaa', used).documents.size).toBe(1);
      expect(server.collection('sources', used).indexes).toHaveLength(3);
    }
  });

  it('waits for a server that starts later', async () => {
    const server = await startServer();
    const environment = environmentOf(server.uri());
    await server.stop();
    setTimeout(() => void server.restart(), 300);
    const store = await opened(environment);
    expect(await store.liveVersion('m')).toBeUndefined();
  });

  it('gives up in time, and names the server but neither user nor password', async () => {
    const server = await startServer();
    await server.stop();
    const uri = `mongodb://some%2Fone:s3cret@${server.address}/?authSource=admin`;
    const error = (await opened(environmentOf(uri), { serverWaitMs: 200 }).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(`MONGODB_URI: no server could be used at ${server.address} within 0.2 s`) as string });
    expect(error.message).not.toMatch(/s3cret|some/);
  });

  it('does not wait where the user is refused', async () => {
    const server = await startServer();
    server.permits = () => false;
    await expect(opened(environmentOf(server.uri()))).rejects.toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining('Grant it readWrite') as string });
  });

  it.each([
    ['an unknown option', 'mongodb://eis:s3cret@host/?nonsense=1', 'option nonsense is not supported'],
    ['an option whose value is none', 'mongodb://eis:s3cret@host/?maxPoolSize=-1', 'check its hosts, its options and their values'],
    ['a port that is none', 'mongodb://eis:s3cret@host:99999', 'check its hosts'],
  ])('refuses a URI with %s, without its password', async (_, uri, reason) => {
    const error = (await opened(environmentOf(uri)).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(reason) as string });
    expect(error.message).not.toContain('s3cret');
  });
});

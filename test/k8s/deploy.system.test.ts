import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startMongo } from '../common/store/mongo-parts.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';
import { fakeCluster } from './support/fake-cluster.js';

const config = (shards: number, more: object = {}): string => JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: shards }] }], ...more });

describe('eis deploy', () => {
  const cli = (folder: string, text: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    writeFileSync(join(folder, 'config.json'), text);
    return runCli(['deploy', '--dir', join(folder, 'k8s'), ...args], { EIS_CONFIG: join(folder, 'config.json'), MONGODB_URI: '', ...env });
  };

  it('plans by default, applies, and then says that nothing changes', async () => {
    const [folder, cluster] = [tempFolder(), fakeCluster()];
    const first = await cli(folder, config(2), ['--exit-code']);
    expect(first).toMatchObject({ code: 2, stdout: expect.stringContaining('+ StatefulSet index-builtin-2-1') as unknown });
    const applied = await cli(folder, config(2), ['--apply'], cluster.env);
    expect(applied).toMatchObject({ code: 0, stderr: expect.stringContaining('gateways') as unknown });
    const second = await cli(folder, config(2), ['--plan', '--exit-code']);
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing changes.') as unknown });
    expect(JSON.parse((await cli(folder, config(3), ['--json'])).stdout)).toMatchObject({ changes: expect.arrayContaining([{ change: 'added', kind: 'StatefulSet', name: 'index-builtin-3-2' }]) as unknown, meaning: [expect.stringContaining('2 → 3 index shards') as unknown] });
  });

  it('counts what the store holds, writes nothing to it, and plans without when it is away', async () => {
    const { server, store } = await startMongo();
    const live = { version: 'b'.repeat(64), dim: 4 };
    await store.setLiveVersion('builtin', live);
    const image = { vector: Float32Array.of(1, 0, 0, 0), phash: '0'.repeat(16), width: 8, height: 8, format: 'png', origin: 'o' };
    await store.collection('builtin', live).write(['1', '2', '3'].map((digit) => ({ ...image, id: digit.repeat(64), url: `https://example.com/${digit}` })));
    const written = server.commands.length;
    const [folder, env] = [tempFolder(), { MONGODB_URI: server.uri() }];
    expect((await cli(folder, config(2), [], env)).stdout).toContain('for 2 vectors');
    expect(server.commands.slice(written).map(({ name }) => name).filter((name) => !['find', 'count', 'aggregate', 'getMore', 'ping', 'endSessions'].includes(name))).toEqual([]);
    await server.stop();
    expect(await cli(folder, config(2), [], { ...env, EIS_STORE_TIMEOUT_MS: '500' })).toMatchObject({ code: 0, stdout: expect.stringContaining('object(s) added') as unknown, stderr: expect.stringContaining('The store cannot be asked') as unknown });
  });

  it('renders into any folder, and nothing else', async () => {
    const folder = tempFolder();
    expect((await cli(folder, config(1), ['--render', '--out', join(folder, 'out')])).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'out']);
    expect(readdirSync(join(folder, 'out'))).toContain('kustomization.yaml');
  });

  it('says where it stopped and how to go on, and what is wrong with function-urls.json', async () => {
    const [folder, cluster] = [tempFolder(), fakeCluster()];
    expect(await cli(folder, config(1), ['--apply'], { ...cluster.env, FAKE_OC_FAIL_AT: '6' })).toMatchObject({ code: 1, stderr: expect.stringMatching(/EIS_DEPLOY_STOPPED: The apply stopped at: .*the server is away.*give the same command again/s) as unknown });
    writeFileSync(join(folder, 'k8s', 'function-urls.json'), '{"builtin":"embed"}');
    expect(await cli(folder, config(1), [])).toMatchObject({ code: 1, stderr: expect.stringContaining('the URL of "builtin" is none') as unknown });
    writeFileSync(join(folder, 'k8s', 'function-urls.json'), '{"builtin":"https://embed.example.com"}');
    expect((await cli(folder, config(1), [])).code).toBe(0);
    expect(readFileSync(join(folder, 'k8s', 'staging', 'deployment-gateway-builtin.yaml'), 'utf8')).toContain('value: https://embed.example.com');
  });

  it('needs oc or kubectl to apply', async () => {
    expect(await cli(tempFolder(), config(1), ['--apply'], { PATH: '/nowhere' })).toMatchObject({ code: 1, stderr: expect.stringContaining('EIS_DEPLOY_TOOL') as unknown });
  });
});

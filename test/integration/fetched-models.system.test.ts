import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { drawImages } from '../support/drawn-images.js';
import { startFileServer } from '../support/file-server.js';
import { freeBasePort, startLocalStack } from '../support/local-stack.js';
import { tempFolder } from '../support/temp-folder.js';

const FILES = ['model.json', 'weights.bin'] as const;
const served = Object.fromEntries(FILES.map((name) => [`/models/resnet/${name}`, readFileSync(packagePath('models/builtin', name))]));

describe('npm start with models that are not here', () => {
  it('fetches them before it starts anything, and says nothing of them the next time', async () => {
    const server = await startFileServer(served);
    onTestFinished(server.close);
    const folder = tempFolder();
    const config = { models: [{ name: 'remote', model_url: `${server.url}/models/resnet/model.json` }] };
    const images = join(folder, 'images');
    await drawImages(images, 1);
    const first = await startLocalStack({ folder, config, args: ['--images', images] });
    const fetched = first.output();
    await first.stop();
    expect(fetched).toMatch(/^remote: fetching it from 127\.0\.0\.1:\d+\n(remote: .*\n)*remote: fetched\n/);
    expect(server.asked).toEqual(FILES.map((name) => `/models/resnet/${name}`));
    const second = await startLocalStack({ folder, config, basePort: first.basePort, args: ['--images', images] });
    await second.stop();
    expect(second.output()).not.toContain('fetch');
    expect(server.asked).toHaveLength(2);
  }, 90_000);

  it.each([
    ['cannot be fetched', (url: string) => ({ name: 'remote', model_url: `${url}/nowhere/model.json` }), /EIS_MODEL_DOWNLOAD: The model http:\/\/127\.0\.0\.1:\d+\/nowhere\/model\.json/],
    ['has no address', () => ({ name: 'xceptoin' }), /EIS_MODEL_FILE: .*no model is known by this name\. Did you mean "xception"\?/],
    ['does not lie where it should', () => ({ name: 'own', model_url: 'nowhere/model.json' }), /EIS_MODEL_FILE: .*nowhere/],
  ])('ends at once, with nothing started, when one %s', async (_what, model, words) => {
    const server = await startFileServer(served);
    onTestFinished(server.close);
    const folder = tempFolder();
    const error = (await startLocalStack({ folder, config: { models: [{ name: 'builtin' }, model(server.url)] } }).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toMatch(/^It ended with 1:/);
    expect(error.message).toMatch(words);
    expect(existsSync(join(folder, 'data', 'logs'))).toBe(false);
    expect(existsSync(join(folder, 'data', 'start.lock'))).toBe(false);
  }, 60_000);

  it('looks for models by path before it fetches any, and names the model that is not there', async () => {
    const server = await startFileServer(served);
    onTestFinished(server.close);
    const folder = tempFolder();
    const models = [{ name: 'remote', model_url: `${server.url}/models/resnet` }, { name: 'own', model_url: 'nowhere/model.json' }];
    const error = (await startLocalStack({ folder, config: { models } }).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toMatch(/EIS_MODEL_FILE: .*nowhere\/model\.json.*"model_url" of the model "own"/);
    expect(server.asked).toEqual([]);
  }, 60_000);

  it('is interrupted in the middle of a download', async () => {
    const weights = served['/models/resnet/weights.bin'] as Buffer;
    const server = await startFileServer({ ...served, '/models/resnet/weights.bin': (_request, response) => void response.writeHead(200, { 'content-length': weights.length }).write(weights.subarray(0, 1000)) });
    onTestFinished(server.close);
    const folder = tempFolder();
    const dataDir = join(folder, 'data');
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ models: [{ name: 'remote', model_url: `${server.url}/models/resnet` }] }));
    const child = spawn(process.execPath, [packagePath('dist/start.js')], {
      env: { ...process.env, EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: dataDir, EIS_BASE_PORT: String(await freeBasePort()), PORT: '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await expect.poll(() => server.asked, { timeout: 20_000 }).toContain('/models/resnet/weights.bin');
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(output).toContain('remote: interrupted; what was fetched is kept');
    expect(output).not.toContain('EIS_');
    expect(existsSync(join(dataDir, 'logs'))).toBe(false);
    expect(existsSync(join(dataDir, 'start.lock'))).toBe(false);
  }, 60_000);
});

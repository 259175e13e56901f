import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../common/config.js';
import { ERRORS } from '../../common/errors.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { nginxModels, renderNginxConf, searchTimeoutS, type NginxModel } from '../../k8s/manifests/nginx-conf.js';
import { splitPercentages } from '../../k8s/manifests/nginx-split.js';
import { freePorts } from '../support/free-ports.js';
import { tempFolder } from '../support/temp-folder.js';
import { filesOf, seedText } from './support/deployments.js';

/** Named, it must be there; else the tests say that they skip. */
const NGINX = process.env['EIS_TEST_NGINX'] ?? '/usr/sbin/nginx';
const skipped = process.env['EIS_TEST_NGINX'] === undefined && !existsSync(NGINX);

const model = (name: string, weight: number): NginxModel => ({ name, kubernetesName: name.replaceAll('_', '-'), weight });

describe('splitPercentages()', () => {
  it.each([
    [[1, 1], [50, 50]],
    [[3, 1], [75, 25]],
    [[1, 1, 1], [33.34, 33.33, 33.33]],
    [[1, 0], [100, 0]],
    [[1_000_000, 1], [99.99, 0.01]],
    [[0.5, 1.5], [25, 75]],
  ])('splits %j as %j', (weights, shares) => {
    expect(splitPercentages(weights)).toEqual(shares);
  });

  it('adds up to the whole, near the weights, and leaves nobody out who has one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 8 }).filter((weights) => weights.some((weight) => weight > 0)), (weights) => {
        const shares = splitPercentages(weights);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        expect(Math.round(shares.reduce((sum, share) => sum + share * 100, 0))).toBe(10_000);
        shares.forEach((share, i) => {
          expect(share > 0).toBe(weights[i]! > 0);
          expect(Math.abs(share - (weights[i]! / total) * 100)).toBeLessThan(0.1);
        });
      }),
      { seed: 1 },
    );
  });
});

describe('nginx.conf', () => {
  it('agrees with the limits of the gateways', () => {
    const conf = renderNginxConf({ models: [model('a', 1)], sticky: false, limits: { ...DEFAULT_LIMITS, imageBytesMax: 5 * 1024 * 1024, bodyTimeoutMs: 12_000, searchTimeoutMs: 8_000 } });
    expect(conf).toContain(`client_max_body_size ${6 * 1024 * 1024};`);
    expect(conf).toContain('client_body_timeout 12s;');
    expect(conf).toContain('proxy_read_timeout 25s;');
    expect(conf).toContain('larger than 5 MB');
    expect(filesOf(seedText()).get('route-search.yaml')).toContain(`timeout: ${searchTimeoutS(DEFAULT_LIMITS)}s`);
  });

  it('chooses among the models that are served, in the order of the file', () => {
    const config = parseConfig(seedText(), '/config.json');
    expect(nginxModels(config).map(({ name, weight }) => [name, weight])).toEqual([['resnet', 1], ['mobilenet', 1], ['custom', 1]]);
  });
});

/** A gateway that says its name and what it was asked. */
async function startGateway(name: string): Promise<string> {
  const server: Server = createServer((incoming: IncomingMessage, answer) => {
    incoming.resume().once('end', () => answer.setHeader('x-eis-model', name).end(JSON.stringify({ model: name, url: incoming.url, headers: incoming.headers })));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Nginx {
  readonly url: string;
  readonly agent: Agent;
}

/** Starts nginx before a gateway for each model; one that is named in `away` does not answer. */
async function startNginx(models: readonly NginxModel[], { sticky = false, away }: { readonly sticky?: boolean; readonly away?: string } = {}): Promise<Nginx> {
  const addresses = new Map(await Promise.all(models.map(async ({ name }) => [name, name === away ? '127.0.0.1:1' : await startGateway(name)] as const)));
  const [port] = await freePorts(1);
  const folder = tempFolder();
  const conf = renderNginxConf({ models, sticky, limits: { ...DEFAULT_LIMITS, imageBytesMax: 100_000 }, address: ({ name }) => addresses.get(name)!, port: port! }).replaceAll('/tmp/', `${folder}/`).replace('/dev/stdout', join(folder, 'access.log')).replace('worker_processes 2', 'worker_processes 1').replace('worker_connections 4096', 'worker_connections 256');
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, conf);
  execFileSync(NGINX, ['-e', 'stderr', '-t', '-c', file], { stdio: 'pipe' });
  const child = spawn(NGINX, ['-e', 'stderr', '-c', file, '-g', 'daemon off;'], { stdio: 'ignore' });
  const agent = new Agent({ connections: 16 });
  onTestFinished(async () => {
    await agent.destroy();
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 100; tries++) {
    const ready = await request(`${url}/readyz`, { dispatcher: agent }).catch(() => undefined);
    await ready?.body.dump();
    if (ready?.statusCode === 200) break;
    await sleep(50);
  }
  return { url, agent };
}

interface Answer {
  readonly status: number;
  readonly model: string;
  readonly cookie: string | undefined;
  readonly body: { readonly headers: Record<string, string>; readonly code: string; readonly url: string };
}

async function ask({ url, agent }: Nginx, path = '/search', headers: Record<string, string> = {}, body: Buffer | string = 'image'): Promise<Answer> {
  const answer = await request(`${url}${path}`, { method: 'POST', headers, body, dispatcher: agent });
  const cookie = answer.headers['set-cookie'];
  return { status: answer.statusCode, model: String(answer.headers['x-eis-model']), cookie: Array.isArray(cookie) ? cookie[0] : cookie, body: (await answer.body.json()) as Answer['body'] };
}

describe.skipIf(skipped)(`nginx${skipped ? ` (skipped: there is no ${NGINX}; EIS_TEST_NGINX names another)` : ''}`, () => {
  it('splits 4,000 searches by weights 3:1 within 3 %', async () => {
    const nginx = await startNginx([model('resnet', 3), model('mobilenet', 1)]);
    let resnet = 0;
    const some = async (): Promise<void> => {
      for (let i = 0; i < 250; i++) if ((await ask(nginx)).model === 'resnet') resnet++;
    };
    await Promise.all(Array.from({ length: 16 }, some));
    expect(resnet / 4_000).toBeGreaterThan(0.72);
    expect(resnet / 4_000).toBeLessThan(0.78);
  });

  it('names all models beside the one that a gateway tells of, for the page', async () => {
    const { url, agent } = await startNginx([model('resnet', 1), model('custom', 0)]);
    const { headers, body } = await request(`${url}/models?model=custom`, { dispatcher: agent });
    expect([headers['x-eis-models'], headers['x-eis-model']]).toEqual(['resnet,custom', 'custom']);
    await body.dump();
  });

  it('sends a search that names its model there, whatever its weight and whatever nginx itself calls so', async () => {
    const models = [model('resnet', 1), model('default', 0), model('my_model', 0), model('include', 0)];
    const nginx = await startNginx(models);
    for (const { name } of models) expect(await ask(nginx, `/search?model=${name}&top=3`)).toMatchObject({ model: name, body: { url: `/search?model=${name}&top=3` } });
    for (let i = 0; i < 20; i++) expect((await ask(nginx)).model).toBe('resnet');
  });

  it('answers for a model that is not served as a gateway would', async () => {
    const nginx = await startNginx([model('resnet', 1)]);
    for (const name of ['vgg', 'unknown.', 'resnet2', '%27', ':']) expect(await ask(nginx, `/search?model=${name}`)).toMatchObject({ status: ERRORS.EIS_MODEL_UNKNOWN.statusCode, body: { code: 'EIS_MODEL_UNKNOWN', message: expect.stringContaining('resnet') as unknown } });
  });

  it('keeps a client at its model by a cookie, when asked to, unless it names another', async () => {
    const models = [model('resnet', 1), model('mobilenet', 1), model('old', 0)];
    const nginx = await startNginx(models, { sticky: true });
    const { cookie, model: given } = await ask(nginx);
    expect(cookie).toMatch(new RegExp(`^eis_model=${given}; Path=/; Max-Age=\\d+; SameSite=Lax; HttpOnly$`));
    const headers = { cookie: `eis_model=${given}` };
    for (let i = 0; i < 20; i++) expect((await ask(nginx, '/search', headers)).model).toBe(given);
    const other = given === 'resnet' ? 'mobilenet' : 'resnet';
    expect(await ask(nginx, `/search?model=${other}`, headers)).toMatchObject({ model: other, cookie: undefined });
    for (const stale of ['old', 'gone', ':', 'unknown.']) expect((await ask(nginx, '/search', { cookie: `eis_model=${stale}` })).model).toMatch(/resnet|mobilenet/);
    expect((await ask(await startNginx(models))).cookie).toBeUndefined();
  });

  it('passes a request id on, and makes one where there is none that is fit for a log', async () => {
    const nginx = await startNginx([model('resnet', 1)]);
    expect((await ask(nginx, '/search', { 'x-request-id': 'mine-1' })).body.headers['x-request-id']).toBe('mine-1');
    for (const headers of [{}, { 'x-request-id': 'not fit' }] as Record<string, string>[]) expect((await ask(nginx, '/search', headers)).body.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
  });

  it('refuses searches with more than an image, and lets uploads be bounded by the wrapper', async () => {
    const nginx = await startNginx([model('resnet', 1)]);
    const large = Buffer.alloc(3 * 1024 * 1024);
    expect(await ask(nginx, '/search', {}, large)).toMatchObject({ status: ERRORS.EIS_IMAGE_TOO_LARGE.statusCode, body: { code: 'EIS_IMAGE_TOO_LARGE' } });
    expect((await ask(nginx, '/images', {}, large)).status).toBe(200);
  });

  it('says so in our words when no gateway answers, and shows nobody its metrics', async () => {
    const nginx = await startNginx([model('resnet', 1), model('mobilenet', 0)], { away: 'resnet' });
    expect(await ask(nginx)).toMatchObject({ status: 503, body: { code: 'EIS_NOT_READY' } });
    expect((await ask(nginx, '/search?model=mobilenet')).status).toBe(200);
    expect((await ask(nginx, '/metrics')).status).toBe(404);
  });
});

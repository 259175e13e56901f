/**
 * What docker-compose.yml runs of ours, run as it says without Docker: each by its command, with its variables and files, as a user of no
 * name in group 0 who may write to nothing but its volume. Names of the network are ports here; RabbitMQ is Debian's, MongoDB its wire protocol.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { packagePath } from '../../common/package-root.js';
import type { SearchAnswer } from '../../common/wire.js';
import type { ComposeService } from '../../k8s/compose/service.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { freePorts } from '../support/free-ports.js';
import { WireServer as MongoServer } from '../support/mongo-wire/wire-server.js';
import { Broker, RABBITMQ_MISSING } from '../support/rabbitmq.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';

const KEY = '0123456789abcdef0123';
const SOMEBODY = { uid: 12_345, gid: 0 };
const COUNT = 6;
const SKIPPED = RABBITMQ_MISSING ?? (process.getuid?.() === 0 ? undefined : 'only root can become another user');

const { services } = parse(readFileSync(packagePath('docker-compose.yml'), 'utf8')) as { services: Readonly<Record<string, ComposeService>> };
const NAMES = Object.entries(services).filter(([name, { image }]) => image.startsWith('elastic-image-search:') && name !== 'eis').map(([name]) => name);

interface Place {
  readonly folder: string;
  readonly ports: ReadonlyMap<string, number>;
  readonly mongoUri: string;
  readonly amqpUrl: string;
}

function environmentOf(name: string, { folder, ports, mongoUri, amqpUrl }: Place): Record<string, string> {
  const { environment = {}, volumes = [] } = services[name]!;
  const volume = volumes.find((each) => each.endsWith(':/data'))?.split(':')[0];
  const data = join(folder, volume ?? `${name}-none`);
  mkdirSync(data, { recursive: true });
  chmodSync(data, volume === undefined ? 0o555 : 0o770);
  const config = volumes.find((each) => each.includes(':/etc/eis:'))?.split(':')[0];
  const fill = (value: string): string => value.replace(/\$\{\w+:\?[^}]*\}/g, 'secret').replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace(/http:\/\/([\w-]+):8080/g, (_, host: string) => `http://127.0.0.1:${ports.get(host)}`).replace(/^\/data/, data);
  const filled = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, fill(value)]));
  const places = { MONGODB_URI: mongoUri, AMQP_URL: amqpUrl, EIS_API_KEYS: `search:*,search+write:${KEY}`, EIS_DRAIN_MS: '100' };
  const known = Object.fromEntries(Object.entries(places).filter(([key]) => key in environment));
  return { PATH: process.env['PATH'] ?? '', HOST: '127.0.0.1', ...filled, ...known, EIS_DATA_DIR: data, PORT: String(ports.get(name)), ...(config === undefined ? {} : { EIS_CONFIG: packagePath(config, 'config.json') }) };
}

/** Starts a service; resolves when its health check says that it is well, or, of one that ends, when it has. */
async function start(name: string, place: Place): Promise<ChildProcess> {
  const { entrypoint = ['sh', 'docker/run.sh'], command = [], healthcheck } = services[name]!;
  const [program, ...words] = [...entrypoint, ...command] as [string, ...string[]];
  const env = environmentOf(name, place);
  const log = openSync(join(place.folder, `${name}.log`), 'a');
  const child = spawn(program, words, { cwd: packagePath(), env, ...SOMEBODY, stdio: ['ignore', log, log] });
  closeSync(log);
  onTestFinished(() => void child.kill('SIGKILL'));
  if (!healthcheck) await once(child, 'exit');
  else await expect.poll(() => promisify(execFile)('node', healthcheck.test.slice(2), { cwd: packagePath(), env, ...SOMEBODY }).then(() => 'healthy', () => readFileSync(join(place.folder, `${name}.log`), 'utf8').slice(-500)), { timeout: 60_000, interval: 200 }).toBe('healthy');
  return child;
}

describe.skipIf(SKIPPED !== undefined)(`the containers of docker-compose.yml${SKIPPED ? ` (${SKIPPED})` : ''}`, () => {
  it('run as anybody, are well, take images in, find them, and end when they are told to', async () => {
    const folder = tempFolder();
    chmodSync(folder, 0o755);
    const [broker, mongo] = await Promise.all([Broker.start(), MongoServer.start()]);
    onTestFinished(async () => void (await Promise.all([broker.stop(), mongo.stop()])));
    const free = await freePorts(NAMES.length);
    const place: Place = { folder, ports: new Map(NAMES.map((name, i) => [name, free[i]!])), mongoUri: mongo.uri('eis'), amqpUrl: broker.url };
    expect((await start('store-init', place)).exitCode).toBe(0);
    const children: ChildProcess[] = [];
    for (const name of NAMES.filter((each) => each !== 'store-init').sort((a, b) => Number(a.startsWith('gateway')) - Number(b.startsWith('gateway')))) children.push(await start(name, place));

    const url = `http://127.0.0.1:${place.ports.get('gateway-builtin')}`;
    const names = await drawImages(join(folder, 'images'), COUNT);
    const { stdout } = await runCli(['ingest', join(folder, 'images'), '--gateway', url, '--json'], { EIS_API_KEY: KEY });
    expect(JSON.parse(stdout)).toMatchObject({ sent: COUNT, stored: COUNT, rejected: [] });
    const search = async (): Promise<SearchAnswer> => (await (await fetch(`${url}/search?top=3`, { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: new Uint8Array(readImage(join(folder, 'images'), names[0]!)) })).json()) as SearchAnswer;
    await expect.poll(async () => (await search()).index.vectors, { timeout: 20_000 }).toBe(COUNT);
    const { results, partial, query } = await search();
    expect([results[0]?.id, partial]).toEqual([query.id, false]);

    children.forEach((child) => child.kill('SIGTERM'));
    expect(await Promise.all(children.map(async (child) => child.exitCode ?? ((await once(child, 'exit')) as [number | null])[0]))).toEqual(children.map(() => 0));
  }, 180_000);
});

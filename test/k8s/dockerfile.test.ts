/** There is no Docker in the tests: what can be said of the Dockerfile without. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { describe, expect, it, onTestFinished } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { manifestsOf, seedText } from './support/deployments.js';

const DOCKERFILE = readFileSync(packagePath('Dockerfile'), 'utf8');
const STAGES = DOCKERFILE.split(/^(?=FROM )/m).slice(1);
const LAST = STAGES.at(-1)!;
const RUN = readFileSync(packagePath('docker/run.sh'), 'utf8');

describe('Dockerfile', () => {
  it('is one that has nothing to complain about', () => {
    expect(validate(DOCKERFILE).map(({ message, range }) => [range.start.line + 1, message])).toEqual([]);
  });

  it('builds on one exact version of Node 22, of Debian without what it does not need', () => {
    expect(STAGES.map((stage) => /^FROM (\S+)/.exec(stage)![1])).toEqual(Array(3).fill(expect.stringMatching(/^node:22\.\d+\.\d+-bookworm-slim$/)));
  });

  it('runs no install script', () => {
    for (const [line] of DOCKERFILE.matchAll(/npm ci.*/g)) expect(line).toContain('--ignore-scripts');
  });

  it('is of a user by number in group 0, ends by SIGTERM, and says how it does without curl', () => {
    expect(LAST).toMatch(/^USER \d+:0$/m);
    expect(LAST).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(LAST).toMatch(/^HEALTHCHECK .*CMD \["node", "docker\/healthcheck\.mjs"/m);
    expect(LAST).not.toContain('curl');
  });

  it('copies what is there, and .dockerignore leaves', () => {
    const allowed = new Set(readFileSync(packagePath('.dockerignore'), 'utf8').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1)));
    const sources = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, words]) => words!.split(' ')).filter((source) => source !== '.');
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(packagePath(source)), source).toBe(true);
      expect(allowed, source).toContain(source.split('/')[0]);
    }
    const { include } = JSON.parse(readFileSync(packagePath('tsconfig.json'), 'utf8')) as { include: string[] };
    for (const folder of include.filter((each) => each !== '*.ts')) expect(allowed).toContain(folder);
  });
});

describe('docker/run.sh', () => {
  it('runs roles as the manifests do, and functions as npm start does', () => {
    const commands = new Set([...RUN.matchAll(/exec (node .*) "\$@"/g)].map(([, command]) => command!));
    const ours = manifestsOf(seedText()).flatMap((object) => (object.kind === 'Deployment' || object.kind === 'StatefulSet' ? object.spec!.template.spec!.containers : [])).filter(({ image }) => image!.includes('elastic-image-search')).map(({ command }) => command!.join(' '));
    for (const command of new Set(ours)) expect(commands).toContain(command);
    for (const command of commands) {
      const module = command.split(' ').find((word) => word.endsWith('.js'))!;
      expect(existsSync(packagePath(module)), module).toBe(true);
    }
    expect(commands).toContain('node node_modules/@google-cloud/functions-framework/build/src/main.js --target=embed --source=dist/functions/index.js');
  });

  it('passes arguments on, and names the roles when it is given another', () => {
    const run = (...args: string[]) => spawnSync('sh', ['docker/run.sh', ...args], { cwd: packagePath(), encoding: 'utf8' });
    expect(run('cli', '--version')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string });
    for (const args of [[], ['gatewya']]) expect(run(...args)).toMatchObject({ status: 64, stderr: expect.stringContaining('gateway, wrapper, worker, index, function, cli') as string });
    expect(() => execFileSync('sh', ['-n', packagePath('docker/run.sh')])).not.toThrow();
  });
});

describe('docker/healthcheck.mjs', () => {
  it('ends with 0 when one of the paths is answered with 200, else with 1', async () => {
    const server = createServer((request, response) => response.writeHead(request.url === '/ready' ? 200 : 503).end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const check = async (at: number, ...paths: string[]): Promise<number> =>
      promisify(execFile)(process.execPath, [packagePath('docker/healthcheck.mjs'), ...paths], { env: { ...process.env, PORT: String(at) } }).then(() => 0, (error: { code: number }) => error.code);
    expect(await Promise.all([check(port, '/ready'), check(port, '/healthz', '/ready'), check(port, '/healthz'), check(1, '/ready')])).toEqual([0, 0, 1, 1]);
  });
});

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { fakeGcloud } from '../support/fake-gcloud.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';
import { temporaryFolder, tinyClassifier, writeModel } from '../functions/support/tiny-model.js';

/** Names that no configuration of a person has, because their bundles are made in the package. */
const MODELS = ['test_deploy_a', 'test_deploy_b', 'test_deploy_c'] as const;
const [A, B, C] = MODELS;

let home: Awaited<ReturnType<typeof temporaryFolder>>;
let configFile: string;
let folder: string;

beforeAll(async () => {
  home = await temporaryFolder();
  await writeModel(join(home.path, 'net'), tinyClassifier());
  configFile = join(home.path, 'config.json');
  writeFileSync(configFile, JSON.stringify({ models: MODELS.map((name) => ({ name, model_url: './net', preprocess: '[0,1]' })), services: [{ name: 'functions', region: 'europe-west1', invoker: 'gateway@p.iam.gserviceaccount.com' }] }));
});
afterAll(async () => {
  for (const name of MODELS) rmSync(packagePath('functions', 'dist', name), { recursive: true, force: true });
  await home.remove();
});
beforeEach(() => {
  folder = tempFolder();
});

const urls = (): unknown => JSON.parse(readFileSync(join(folder, 'function-urls.json'), 'utf8')) as unknown;
const functions = (args: readonly string[], env: Readonly<Record<string, string>> = {}) => runCli(['functions', ...args, '--dir', folder], { EIS_CONFIG: configFile, ...env });
const steps = (calls: readonly string[]): string[] => calls.map((line) => line.split(' ').slice(1, 3).join(' '));

describe('eis functions', () => {
  it('prints lines that a shell takes, and runs none', async () => {
    const gcloud = fakeGcloud(folder);
    const { code, stdout } = await functions([], gcloud.env);
    expect(code).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => line.startsWith('gcloud functions deploy embed-test-deploy-'))).toHaveLength(3);
    expect(lines).toHaveLength(6);
    expect(lines[0]).toContain('--source=functions/dist/test_deploy_a');
    expect(gcloud.calls()).toEqual([]);
  });

  it('says what config.json leaves to gcloud', async () => {
    expect((await functions([])).stderr).toContain('Not said in the service "functions" of config.json: project, service_account.');
  });

  it('takes project and region from the variables that gcloud reads', async () => {
    const { stdout } = await functions([A], { CLOUDSDK_CORE_PROJECT: 'other-project', CLOUDSDK_FUNCTIONS_REGION: 'us-east1' });
    expect(stdout).toContain(' --project=other-project --region=us-east1 ');
  });

  it('gives functions those variables of config.json that they read; the environment of who deploys wins', async () => {
    const file = join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ models: [{ name: A, model_url: join(home.path, 'net') }], platform: { environment: { EIS_IMAGE_BYTES_MAX: 5_000_000, EIS_TOP_MAX: 50, LOG_LEVEL: 'debug' } } }));
    const { stdout } = await functions([], { EIS_CONFIG: file, LOG_LEVEL: 'warn' });
    expect(stdout).toContain('--set-env-vars=EIS_FUNCTION_CONCURRENCY=16,EIS_IMAGE_BYTES_MAX=5000000,LOG_LEVEL=warn ');
  });

  it('names the models that there are when one is unknown', async () => {
    const { code, stderr } = await functions(['test_deploy_x']);
    expect(code).not.toBe(0);
    expect(stderr).toContain(`Choose one of: ${MODELS.join(', ')}`);
  });
});

describe('eis functions --deploy', () => {
  it('builds, deploys one after the other, says who may call them, and notes their addresses', async () => {
    const gcloud = fakeGcloud(folder);
    writeFileSync(join(folder, 'function-urls.json'), JSON.stringify({ other: 'https://other.example.com' }));
    const { code, stdout } = await functions(['--deploy', '--json', A, B], gcloud.env);
    expect(code).toBe(0);
    expect(steps(gcloud.calls())).toEqual([A, B].flatMap((name) => ['deploy', 'add-invoker-policy-binding', 'describe'].map((verb) => `${verb} embed-${name.replaceAll('_', '-')}`)));
    expect(urls()).toEqual({ other: 'https://other.example.com', [A]: 'https://embed-test-deploy-a-abc-ew.a.run.app', [B]: 'https://embed-test-deploy-b-abc-ew.a.run.app' });
    const { functions: told } = JSON.parse(stdout) as { functions: { model: string; url: string; bytes: number; model_version: string }[] };
    expect(told.map(({ model, url }) => [model, url])).toEqual([[A, 'https://embed-test-deploy-a-abc-ew.a.run.app'], [B, 'https://embed-test-deploy-b-abc-ew.a.run.app']]);
    expect(existsSync(packagePath('functions', 'dist', A, 'package-lock.json'))).toBe(true);
  });

  it.each(['deploy embed-test-deploy-b', 'add-invoker-policy-binding embed-test-deploy-b', 'describe embed-test-deploy-b'])('stops where "%s" fails, keeps what was deployed, and says how to go on', async (failing) => {
    const gcloud = fakeGcloud(folder, { failing });
    const { code, stderr } = await functions(['--deploy'], gcloud.env);
    expect(code).not.toBe(0);
    expect(gcloud.calls().at(-1)).toContain(failing);
    expect(urls()).toEqual({ [A]: 'https://embed-test-deploy-a-abc-ew.a.run.app' });
    expect(stderr).toContain('The function of model test_deploy_b was not deployed');
    expect(stderr).toContain('Build failed: npm ci ended with 1');
    expect(stderr).toContain(`Deployed before it: ${A}. When that is mended, go on with: npm run eis -- functions --deploy ${B} ${C}`);
  });

  it('notes no address that is none', async () => {
    const { code, stderr } = await functions(['--deploy', A], fakeGcloud(folder, { answer: '' }).env);
    expect(code).not.toBe(0);
    expect(stderr).toContain('gcloud tells no https:// address');
    expect(existsSync(join(folder, 'function-urls.json'))).toBe(false);
  });

  it('says what to install where there is no gcloud', async () => {
    mkdirSync(join(folder, 'empty'));
    const { code, stderr } = await functions(['--deploy', A], { PATH: join(folder, 'empty') });
    expect(code).not.toBe(0);
    expect(stderr).toContain('gcloud is not on the PATH. Install the Google Cloud CLI');
  });
});

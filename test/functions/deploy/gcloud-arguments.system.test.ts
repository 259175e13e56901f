import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseConfig, type Config } from '../../../common/config.js';
import { lanesOf } from '../../../common/model-lanes.js';
import { bindingArguments, deployArguments, shellLine, type FunctionDeployment } from '../../../functions/deploy/gcloud-arguments.js';

const FILE = {
  models: [{ name: 'my_net', model_url: './net' }],
  services: [{
    name: 'functions', project: 'our-project', region: 'europe-west1', service_account: 'embed@our-project.iam.gserviceaccount.com', invoker: 'gateway@our-project.iam.gserviceaccount.com',
    models: [{ name: 'my_net', memory: '4Gi', cpu: 4, concurrency: 8, min_instances: 1, max_instances: 20, timeout_s: 30 }],
  }],
};

function deploymentOf(config: Config, variables: Record<string, string> = {}): FunctionDeployment {
  const [model] = config.models;
  return { model: lanesOf(model!)[0]!, settings: config.functions.get(model!.name)!, place: config.functionsPlace, source: `functions/dist/${model!.name}`, variables };
}

const whole = (variables?: Record<string, string>): FunctionDeployment => deploymentOf(parseConfig(JSON.stringify(FILE), '/config.json'), variables);
const bare = (): FunctionDeployment => deploymentOf(parseConfig('{ "models": [{ "name": "builtin" }] }', '/config.json'));
const variablesOf = (deployment: FunctionDeployment): string => deployArguments(deployment).find((word) => word.startsWith('--set-env-vars='))!.slice('--set-env-vars='.length);

describe('deployArguments()', () => {
  it('says everything that config.json says of a function, and that nobody calls it without an identity', () => {
    expect(shellLine(['gcloud', ...deployArguments(whole())])).toBe(
      'gcloud functions deploy embed-my-net --gen2 --project=our-project --region=europe-west1 --runtime=nodejs22 --entry-point=embed --source=functions/dist/my_net --trigger-http --no-allow-unauthenticated --memory=4Gi --cpu=4 --concurrency=8 --min-instances=1 --max-instances=20 --timeout=30s --service-account=embed@our-project.iam.gserviceaccount.com --set-env-vars=EIS_FUNCTION_CONCURRENCY=8 --quiet',
    );
  });

  it('leaves to gcloud what nobody says', () => {
    const words = deployArguments(bare());
    expect(words.filter((word) => /^--(project|region|service-account)/.test(word))).toEqual([]);
    expect(bindingArguments(bare())).toBeUndefined();
  });

  it('gives the function as many requests as it takes, and the variables that it reads', () => {
    expect(variablesOf(whole({ BUCKET: 'gs://images', LOG_LEVEL: 'warn' }))).toBe('EIS_FUNCTION_CONCURRENCY=8,BUCKET=gs://images,LOG_LEVEL=warn');
  });

  it('separates variables by what none of them holds', () => {
    expect(variablesOf(whole({ EIS_FETCH_DENY: '10.0.0.0/8,*.example.com' }))).toBe('^|^EIS_FUNCTION_CONCURRENCY=8|EIS_FETCH_DENY=10.0.0.0/8,*.example.com');
    expect(variablesOf(whole({ A: ',|' }))).toBe('^;^EIS_FUNCTION_CONCURRENCY=8;A=,|');
  });
});

describe('bindingArguments()', () => {
  it('lets the account of gateways and workers call it, and no other', () => {
    expect(bindingArguments(whole())!.join(' ')).toBe('functions add-invoker-policy-binding embed-my-net --project=our-project --region=europe-west1 --member=serviceAccount:gateway@our-project.iam.gserviceaccount.com --quiet');
  });
});

describe('shellLine()', () => {
  it('is read by a shell as the words that it was made of', () => {
    const words = ['plain', '--flag=^|^A=1|B=2', 'two words', "it's", '$HOME', '*', ''];
    expect(execFileSync('sh', ['-c', `printf '%s\\n' ${shellLine(words)}`], { encoding: 'utf8' })).toBe(`${words.join('\n')}\n`);
  });
});

const hasGcloud = spawnSync('gcloud', ['--version'], { env: { ...process.env, CLOUDSDK_CORE_DISABLE_PROMPTS: '1' } }).status === 0;

describe.skipIf(!hasGcloud)('gcloud itself (skipped where it is not on the PATH)', () => {
  const lint = (line: string): { success: boolean; error_message: string | null } => (JSON.parse(execFileSync('gcloud', ['meta', 'lint-gcloud-commands', `--command-string=${line}`], { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 })) as { success: boolean; error_message: string | null }[])[0]!;

  it.each([
    ['a function of which everything is said', deployArguments(whole({ EIS_FETCH_DENY: '10.0.0.0/8,*.example.com' }))],
    ['a function of which nothing is said', deployArguments(bare())],
    ['who may call it', bindingArguments(whole())!],
  ])('knows every flag of %s', (_what, words) => {
    expect(lint(shellLine(['gcloud', ...words]))).toMatchObject({ success: true, error_message: null });
  }, 60_000);

  it('is strict enough to be asked', () => {
    expect(lint('gcloud functions deploy x --gen3').success).toBe(false);
  });
});

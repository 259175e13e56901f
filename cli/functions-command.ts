/** `eis functions`: the lines that deploy the functions of config.json; with --build their bundles, with --deploy all of it. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { loadConfig, modelConfig, type Config, type FunctionConfig, type FunctionsPlace } from '../common/config.js';
import { FUNCTION_VARIABLES, type Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { packagePath } from '../common/package-root.js';
import { tryParseJson } from '../common/read-bounded.js';
import { BUNDLES_FOLDER, buildBundle, type Bundle } from '../functions/bundle/build-bundle.js';
import { deployFunction } from '../functions/deploy/gcloud.js';
import { bindingArguments, deployArguments, shellLine, type FunctionDeployment } from '../functions/deploy/gcloud-arguments.js';
import { fetchModels } from './fetch-models.js';
import { formatBytes } from './layout.js';

export interface FunctionsCommandOptions {
  readonly build?: boolean;
  readonly deploy?: boolean;
  /** Holds function-urls.json. */
  readonly dir: string;
  readonly json: boolean;
}

/** A JSON object of functions' URLs by model: `eis deploy` reads it. */
const URLS_FILE = 'function-urls.json';

/**
 * @param names of models; none: all
 * @throws EisError EIS_FUNCTION_DEPLOY, EIS_BUNDLE, …: what was deployed until then stays noted
 */
export async function functionsCommand(names: readonly string[], environment: Environment, { build = false, deploy = false, dir, json }: FunctionsCommandOptions): Promise<void> {
  const config = loadConfig(environment.configFile);
  const deployments = planDeployments(names, config, environment);
  if (!deploy) noteMissing(deployments);
  const bundles = build || deploy ? await buildBundles(deployments, environment) : [];
  const urls = deploy ? await deployAll(deployments, resolve(environment.workingDir, dir)) : new Map<string, string>();
  if (json) return print(JSON.stringify({ functions: deployments.map((deployment) => describe(deployment, { bundles, urls })) }));
  if (deploy) for (const [model, url] of urls) print(`${model} ${url}`);
  else if (!build) for (const line of deployments.flatMap(linesOf)) print(line);
}

function planDeployments(names: readonly string[], config: Config, { google, functionVariables }: Environment): FunctionDeployment[] {
  const models = names.length === 0 ? config.models : names.map((name) => modelConfig(config, name));
  const place: FunctionsPlace = { ...config.functionsPlace, project: google.project ?? config.functionsPlace.project, region: google.region ?? config.functionsPlace.region };
  const variables = { ...Object.fromEntries(Object.entries(config.platform.environment).filter(([name]) => FUNCTION_VARIABLES.includes(name))), ...functionVariables };
  return models.map((model) => ({ model, settings: config.functions.get(model.name) as FunctionConfig, place, source: relative(packagePath(), join(BUNDLES_FOLDER, model.name)), variables }));
}

/** What gcloud decides by itself, where neither config.json nor the environment says it. */
function noteMissing([first]: readonly FunctionDeployment[]): void {
  const { project, region, serviceAccount, invoker } = (first as FunctionDeployment).place;
  const missing = Object.entries({ project, region, service_account: serviceAccount, invoker }).filter(([, value]) => value === undefined).map(([name]) => name);
  if (missing.length > 0) console.error(`Not said in the service "functions" of config.json: ${missing.join(', ')}. gcloud takes its own project and region, functions run as the project's default account, and who may call them is to be said by hand.`);
}

function linesOf(deployment: FunctionDeployment): string[] {
  const binding = bindingArguments(deployment);
  return [deployArguments(deployment), ...(binding ? [binding] : [])].map((words) => shellLine(['gcloud', ...words]));
}

function describe(deployment: FunctionDeployment, { bundles, urls }: { readonly bundles: readonly Bundle[]; readonly urls: ReadonlyMap<string, string> }): object {
  const { name } = deployment.model;
  const bundle = bundles.find(({ model }) => model === name);
  return { model: name, commands: linesOf(deployment), ...(bundle && { folder: bundle.folder, bytes: bundle.bytes, model_version: bundle.modelVersion }), ...(urls.has(name) && { url: urls.get(name) }) };
}

async function buildBundles(deployments: readonly FunctionDeployment[], environment: Environment): Promise<Bundle[]> {
  const { dataDir, proxy, modelMirror: mirror } = environment;
  const models = deployments.map(({ model }) => model);
  await fetchModels(models, { environment, signal: new AbortController().signal });
  const bundles: Bundle[] = [];
  for (const model of models) {
    const bundle = await buildBundle(model, BUNDLES_FOLDER, { dataDir, proxy, mirror });
    console.error(`${model.name}: ${relative(process.cwd(), bundle.folder)}, ${formatBytes(bundle.bytes)} without its packages`);
    bundles.push(bundle);
  }
  return bundles;
}

/** One after the other; the address of each is noted as soon as it is known. */
async function deployAll(deployments: readonly FunctionDeployment[], folder: string): Promise<Map<string, string>> {
  const urls = new Map<string, string>();
  for (const [i, deployment] of deployments.entries()) {
    const { name } = deployment.model;
    console.error(`Deploying the function of ${name} (${i + 1} of ${deployments.length})`);
    const url = await deployFunction(deployment).catch((thrown: EisError) => {
      const done = [...urls.keys()];
      const left = deployments.slice(i).map(({ model }) => model.name);
      thrown.message += `\n${done.length === 0 ? 'None was deployed before it' : `Deployed before it: ${done.join(', ')}`}. When that is mended, go on with: npm run eis -- functions --deploy ${left.join(' ')}`;
      throw thrown;
    });
    urls.set(name, url);
    noteUrl(join(folder, URLS_FILE), name, url);
  }
  return urls;
}

function noteUrl(file: string, model: string, url: string): void {
  const noted = existsSync(file) ? tryParseJson(readFileSync(file, 'utf8')) : {};
  if (typeof noted !== 'object' || noted === null || Array.isArray(noted)) throw new EisError('EIS_SOURCE_UNREADABLE', { source: file, detail: `it is no JSON object of URLs by model. Remove it, or correct it and add ${JSON.stringify(model)}: ${JSON.stringify(url)}.` });
  mkdirSync(resolve(file, '..'), { recursive: true });
  const entries = Object.entries({ ...noted, [model]: url }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(`${file}.draft`, `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
  renameSync(`${file}.draft`, file);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

#!/usr/bin/env node
/** The `eis` command. What a command needs is loaded when it is called: TensorFlow alone takes longer than most of them. */
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { CheckModelOptions } from './cli/check-model.js';
import type { ComposeCommandOptions } from './cli/compose-command.js';
import type { DedupeCommandOptions } from './cli/dedupe-command.js';
import type { FunctionsCommandOptions } from './cli/functions-command.js';
import type { IngestCommandOptions } from './cli/ingest-command.js';
import type { DeployCommandOptions } from './cli/deploy-command.js';
import { addEvaluateCommand } from './cli/evaluate-options.js';
import { createGatewayOption } from './cli/gateway-option.js';
import { addAutoscaleCommand, addOperatingCommands, addReembedCommand } from './cli/operating-commands.js';
import { parseSeconds, parseSubmission, parseWhole } from './cli/parse-options.js';
import type { SearchCommandOptions } from './cli/search-command.js';
import { parseBucketUri } from './common/cloud-storage.js';
import { ENGINES, PREPROCESSING } from './common/config-schema.js';
import { loadConfig, readEnvironment } from './common/config.js';
import type { Environment } from './common/environment.js';
import { runMain } from './common/lifecycle.js';
import { packageVersion } from './common/package-root.js';
import { suggest } from './common/suggest.js';
import { IMAGE_ID } from './common/wire.js';
import { isPath } from './ingest/upload-walk.js';

/** A path from the folder that the user is in, although npm runs scripts in the package's own; URLs and - as they are. */
function locate(source: string, workingDir: string): string {
  return isPath(source) && workingDir !== process.cwd() ? resolve(workingDir, source) : source;
}

function buildProgram(): Command {
  const environment = readEnvironment();
  const { workingDir, limits, dataDir } = environment;
  const gateway = createGatewayOption(environment);
  const program = new Command('eis').description('Image similarity search: an image in, similar images out.').version(packageVersion()).enablePositionalOptions().showHelpAfterError('(--help shows what is possible)');

  program
    .command('start')
    .description('start the whole system on this machine')
    .option('--images <dir>', 'ingest the images of a folder once it runs')
    .action(async (options: { images?: string }) => {
      const [{ start }, { explainFailure }] = await Promise.all([import('./start.js'), import('./local/supervisor.js')]);
      await start(options).catch((error: unknown) => Promise.reject(explainFailure(error)));
    });

  program
    .command('ingest')
    .description('add images: files, folders, http(s):// URLs, gs:// objects or prefixes, or - for URLs on standard input, one a line. With BUCKET=gs://… files are put into the bucket from here')
    .argument('<sources...>', 'PATH | URL | gs://… | -')
    .addOption(gateway)
    .option('--no-wait', 'do not wait for what becomes of them')
    .option('--submission <id>', 'name of this submission: the same name and images again go on where it stopped', parseSubmission)
    .option('--metadata <file>', 'metadata of the images: a JSON object by name, or .ndjson with {"name", "metadata"} a line; names are paths within the folder, or URLs')
    .option('--sidecars', 'the metadata of photo.jpg is in photo.jpg.json, where that is', false)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (sources: string[], options: Omit<IngestCommandOptions, 'bucket' | 'imageBytesMax' | 'journalFolder'>) => {
      const [{ ingestCommand }, { openBucket }] = await Promise.all([import('./cli/ingest-command.js'), import('./common/bucket/open-bucket.js')]);
      const bucket = parseBucketUri(environment.bucket) && (await openBucket(environment));
      process.exitCode = await ingestCommand(sources.map((source) => locate(source, workingDir)), { ...options, ...(options.metadata === undefined ? {} : { metadata: locate(options.metadata, workingDir) }), imageBytesMax: limits.imageBytesMax, bucket, journalFolder: join(dataDir, 'ingest') });
    });

  program
    .command('search')
    .description('find the images most like one or several')
    .argument('<images...>', 'files, http(s):// or gs:// URLs, or ids of stored images; several are one search')
    .addOption(gateway)
    .option('--top <n>', 'how many', '10')
    .option('--model <name>', 'which model; default: chosen by the serving weights')
    .option('--not <image>', 'less like this one, which weighs half as much; can be given several times', (image: string, others: string[]) => [...others, image], [])
    .option('--filter <json>', `only images whose metadata match, in single quotes: '{"year":{"gte":2020},"tags":{"in":["cat","dog"]}}' (docs/searching.md)`)
    .option('--json', 'print the answer as JSON', false)
    .action(async (images: string[], options: SearchCommandOptions) => {
      const { searchCommand } = await import('./cli/search-command.js');
      const [wanted, not] = [images, options.not].map((all) => all.map((image) => (IMAGE_ID.test(image) ? image : locate(image, workingDir)))) as [string[], string[]];
      process.exitCode = await searchCommand(wanted, { ...options, not });
    });
  addOperatingCommands(program, gateway);
  addAutoscaleCommand(program, environment);
  addReembedCommand(program, environment);
  addStoreCommand(program, environment);
  addDedupeCommand(program, environment);
  addFunctionsCommand(program, environment);
  addModelsCommand(program, environment);
  addEvaluateCommand(program, environment);
  addDeployCommand(program, environment);
  addComposeCommand(program, environment);
  return program;
}

function addStoreCommand(program: Command, environment: Environment): void {
  program
    .command('store')
    .description('the store that MONGODB_URI names')
    .command('init')
    .description('make its indexes and, in a sharded cluster, its shard keys; what is there stays')
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: { json: boolean }) => {
      process.exitCode = await (await import('./cli/store-command.js')).storeInitCommand(environment, options);
    });
}

function addDedupeCommand(program: Command, environment: Environment): void {
  program
    .command('dedupe')
    .description('find near-duplicates in the store: say which there are (the default), or group them, so that a search answers each group once')
    .option('--model <name>', 'of one model only')
    .addOption(new Option('--report', 'only say what is found').conflicts('apply'))
    .option('--apply', 'and write it into the store', false)
    .option('--all', 'judge every image anew, not only what came since the last run', false)
    .option('--json', 'print one JSON object on standard output, with all groups', false)
    .action(async (options: DedupeCommandOptions) => (await import('./cli/dedupe-command.js')).dedupeCommand(options, environment));
}

function addFunctionsCommand(program: Command, environment: Environment): void {
  program
    .command('functions')
    .description('the lines that deploy the functions of config.json to Google Cloud (the default), or what they deploy')
    .argument('[models...]', 'names of config.json; default: all')
    .addOption(new Option('--build', 'make their bundles in functions/dist').conflicts('deploy'))
    .option('--deploy', 'make their bundles, run the lines, and note the addresses for eis deploy')
    .option('--dir <dir>', 'holds function-urls.json', 'k8s')
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (models: string[], options: FunctionsCommandOptions) => {
      const { functionsCommand } = await import('./cli/functions-command.js');
      await functionsCommand(models, environment, options);
    });
}

function addDeployCommand(program: Command, environment: Environment): void {
  program
    .command('deploy')
    .description('from config.json to OpenShift or Kubernetes: what would change (the default), or make it so')
    .addOption(new Option('--plan', 'say what would change, what it costs and what it means').conflicts(['apply', 'render']))
    .addOption(new Option('--apply', 'and apply it with oc or kubectl, in a safe order').conflicts('render'))
    .option('--render', 'only write the files')
    .option('--out <dir>', 'where --render writes them; default: staging in --dir')
    .option('--dir <dir>', 'holds staging and current', 'k8s')
    .option('--timeout <seconds>', 'for the pods of one workload to be ready', parseSeconds, 900)
    .option('--drained <shard...>', 'shards of MongoDB that were emptied and may go')
    .option('--exit-code', 'end with 2 when the plan has changes', false)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: DeployCommandOptions) => {
      const { deployCommand } = await import('./cli/deploy-command.js');
      process.exitCode = await deployCommand(environment, options);
    });
}

function addComposeCommand(program: Command, environment: Environment): void {
  program
    .command('compose')
    .description('from config.json to docker-compose.yml: the system of a cluster on one machine')
    .option('--out <dir>', 'where it is written; its image is built from there', '.')
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: ComposeCommandOptions) => (await import('./cli/compose-command.js')).composeCommand(environment, options));
}

function addModelsCommand(program: Command, environment: Environment): void {
  const models = program
    .command('models')
    .description('the models of config.json, and what is known about them')
    .usage('[options] | check <model>')
    .enablePositionalOptions()
    .option('--json', 'print one JSON object on standard output', false)
    .allowExcessArguments()
    .action(async (options: { json: boolean }, command: Command) => {
      const [word] = command.args;
      if (word !== undefined) command.error(`error: unknown command '${word}'${suggest(word, ['check']) === undefined ? '' : '\n(Did you mean check?)'}`);
      const { modelsCommand } = await import('./cli/models-command.js');
      await modelsCommand(loadConfig(environment.configFile), environment, options);
    });
  models
    .command('check')
    .description('load a model, run it, and say what it is and what it costs here')
    .argument('<model>', 'a name of config.json, a known name, a path or a URL')
    .addOption(new Option('--engine <engine>', 'what runs it').choices(ENGINES))
    .option('--layer <layer>', 'whose output is the embedding')
    .addOption(new Option('--preprocess <kind>', 'how pixels become numbers').choices(PREPROCESSING))
    .option('--input-size <pixels>', 'of its square input, where the model leaves it open', (text) => parseWhole(text, 8, 2048))
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (model: string, options: CheckModelOptions) => {
      const { checkModelCommand } = await import('./cli/check-model.js');
      process.exitCode = await checkModelCommand(model, environment, options);
    });
}

runMain(async () => {
  await buildProgram().parseAsync();
});

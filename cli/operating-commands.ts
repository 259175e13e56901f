/** The commands of who operates the system: `eis status`, `eis dead`, `eis backfill`, `eis reembed`, `eis delete`, `eis autoscale`. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Environment } from '../common/environment.js';
import type { AutoscaleCommandOptions } from './autoscale-command.js';
import type { BackfillCommandOptions } from './backfill-command.js';
import type { DeadDropOptions, DeadListOptions, DeadReplayOptions } from './dead-command.js';
import type { DeleteCommandOptions } from './delete-command.js';
import { parseSubmission, parseUrl, parseWhole } from './parse-options.js';
import type { ReembedCommandOptions } from './reembed-command.js';
import type { StatusCommandOptions } from './status-command.js';

const LISTED_MAX = 100_000;
/** Far above what versions agree on that have nothing in common, and below what any two good models do. */
const MIN_OVERLAP = 0.1;

function parseLimit(text: string): number {
  return parseWhole(text, 1, LISTED_MAX);
}

function parseShare(text: string): number {
  const share = Number(text);
  if (!/^[\d.]+$/.test(text) || !(share >= 0 && share <= 1)) throw new InvalidArgumentError('It must be a number from 0 to 1.');
  return share;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** @param gateway see `createGatewayOption` */
export function addOperatingCommands(program: Command, gateway: Option): void {
  program
    .command('status')
    .description('what waits, what failed, what is indexed')
    .option('--submission <id>', 'and what became of this submission', parseSubmission)
    .option('--rejected', 'and list what was refused, and why', false)
    .option('--limit <n>', 'how many of these', parseLimit, 20)
    .addOption(gateway)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: StatusCommandOptions) => (await import('./status-command.js')).statusCommand(options));

  program
    .command('backfill')
    .description('fill a model with every stored image that it has not embedded, such as one that was added to config.json')
    .argument('<model>', 'a name of config.json')
    .option('--no-wait', 'do not wait until they are embedded')
    .option('--submission <id>', 'name of this backfill; default: the last one of the model that is not done, or a new one', parseSubmission)
    .addOption(gateway)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (model: string, options: BackfillCommandOptions) => {
      process.exitCode = await (await import('./backfill-command.js')).backfillCommand(model, options);
    });

  program
    .command('delete')
    .description('remove images from every model')
    .argument('<ids...>', 'ids of images, as a search answers them')
    .option('--object', 'also remove their bytes from the bucket', false)
    .addOption(gateway)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (ids: string[], options: DeleteCommandOptions) => {
      process.exitCode = await (await import('./delete-command.js')).deleteCommand(ids, options);
    });

  const dead = program.command('dead').description('messages that failed for good: list them, try them again, or throw them away');
  const add = (name: string, description: string): Command =>
    dead
      .command(name)
      .description(description)
      .option('--model <name>', 'of one model only')
      .addOption(gateway)
      .option('--json', 'print one JSON object on standard output', false);
  add('list', 'which they are, and why')
    .option('--limit <n>', 'how many, of each model', parseLimit, 20)
    .action(async (options: DeadListOptions) => (await import('./dead-command.js')).deadListCommand(options));
  add('replay', 'put them back into the queue, once their cause is mended').action(async (options: DeadReplayOptions) => (await import('./dead-command.js')).deadReplayCommand(options));
  add('drop', 'throw them away')
    .option('--all', 'of every model', false)
    .action(async (options: DeadDropOptions) => (await import('./dead-command.js')).deadDropCommand(options));
}

/** Where a pod finds what speaks for it. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export function addAutoscaleCommand(program: Command, environment: Environment): void {
  program
    .command('autoscale')
    .description('scale gateways by requests in flight and workers by queue age, within "pods" of config.json; without --apply only say what would be done')
    .option('--apply', 'and do it', false)
    .option('--once', 'look once, and end', false)
    .option('--prometheus <url>', 'which Prometheus is asked', parseUrl, 'http://prometheus:9090')
    .option('--api <url>', 'of the cluster; that of "kubectl proxy" takes no token', parseUrl, 'https://kubernetes.default.svc')
    .option('--token-file <file>', 'of the service account', `${SERVICE_ACCOUNT}/token`)
    .option('--ca-file <file>', 'of the certificate authority of the API', `${SERVICE_ACCOUNT}/ca.crt`)
    .option('--json', 'print each round as one JSON object on standard output', false)
    .action(async (options: AutoscaleCommandOptions) => {
      process.exitCode = await (await import('./autoscale-command.js')).autoscaleCommand(environment, options);
    });
}

const REEMBED_WAY = `
On one machine the system has to run meanwhile ("npm start"). Step by step:

  eis reembed MODEL --to PLACE
      embeds every stored image with the new weights, beside what is searched;
      holds both versions against each other; switches, or says why not
  eis status
      how far it is
  eis reembed MODEL --rollback
      searches the former version again; before the switch: stays with it
  eis reembed MODEL --finish --write-config
      keeps what is searched, removes the other version

Cut off anywhere, the same command goes on. To end it without a switch, give
--rollback, then --finish.`;

/** `eis reembed`, which works on the store and the queue themselves. */
export function addReembedCommand(program: Command, environment: Environment): void {
  program
    .command('reembed')
    .description('change the weights of a model while it is searched')
    .argument('<model>', 'a name of config.json')
    .option('--to <place>', 'the new weights: a URL, or a path; default: those of the one that is under way, or "next" of the model in config.json')
    .option('--min-overlap <share>', 'switch only if both versions find this share of the nearest 10 alike, from 0 to 1', parseShare, MIN_OVERLAP)
    .option('--max-recall-loss <share>', 'switch only if the new version does not find fewer altered copies of stored images than the former one, by more than this share and by more than chance explains', parseShare, 0)
    .option('--max-missing <n>', 'switch only if at most so many images cannot be embedded with the new weights', parseCount, 0)
    .addOption(new Option('--rollback', 'search the former version again, at once').conflicts(['to', 'finish']))
    .addOption(new Option('--finish', 'keep the version that is searched, and remove the other').conflicts('to'))
    .option('--write-config', 'with --finish: write the new weights into config.json')
    .option('--json', 'print one JSON object on standard output', false)
    .addHelpText('after', REEMBED_WAY)
    .action(async (model: string, options: ReembedCommandOptions) => {
      await (await import('./reembed-command.js')).reembedCommand(model, environment, options);
    });
}

/** The commands of who operates the system: `eis status`, `eis dead`, `eis backfill`, `eis delete`, `eis autoscale`. */
import { InvalidArgumentError, type Command, type Option } from 'commander';
import type { Environment } from '../common/environment.js';
import type { AutoscaleCommandOptions } from './autoscale-command.js';
import type { BackfillCommandOptions } from './backfill-command.js';
import type { DeadDropOptions, DeadListOptions, DeadReplayOptions } from './dead-command.js';
import type { DeleteCommandOptions } from './delete-command.js';
import { parseSubmission, parseUrl } from './parse-options.js';
import type { StatusCommandOptions } from './status-command.js';

const LISTED_MAX = 100_000;

function parseLimit(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > LISTED_MAX) throw new InvalidArgumentError(`It must be a whole number from 1 to ${LISTED_MAX}.`);
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

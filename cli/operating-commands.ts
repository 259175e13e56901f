/** The commands of who operates the system: `eis status` and `eis dead`. */
import { InvalidArgumentError, type Command } from 'commander';
import type { DeadDropOptions, DeadListOptions, DeadReplayOptions } from './dead-command.js';
import { parseSubmission, parseUrl } from './parse-options.js';
import type { StatusCommandOptions } from './status-command.js';

const LISTED_MAX = 100_000;

function parseLimit(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || Number(text) > LISTED_MAX) throw new InvalidArgumentError(`It must be a whole number from 1 to ${LISTED_MAX}.`);
  return Number(text);
}

/** @param gateway where the gateway is, unless the command says otherwise */
export function addOperatingCommands(program: Command, gateway: string): void {
  program
    .command('status')
    .description('what waits, what failed, what is indexed')
    .option('--submission <id>', 'and what became of this submission', parseSubmission)
    .option('--rejected', 'and list what was refused, and why', false)
    .option('--limit <n>', 'how many of these', parseLimit, 20)
    .option('--gateway <url>', 'where the gateway is', parseUrl, gateway)
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: StatusCommandOptions) => (await import('./status-command.js')).statusCommand(options));

  const dead = program.command('dead').description('messages that failed for good: list them, try them again, or throw them away');
  const add = (name: string, description: string): Command =>
    dead
      .command(name)
      .description(description)
      .option('--model <name>', 'of one model only')
      .option('--gateway <url>', 'where the gateway is', parseUrl, gateway)
      .option('--json', 'print one JSON object on standard output', false);
  add('list', 'which they are, and why')
    .option('--limit <n>', 'how many, of each model', parseLimit, 20)
    .action(async (options: DeadListOptions) => (await import('./dead-command.js')).deadListCommand(options));
  add('replay', 'put them back into the queue, once their cause is mended').action(async (options: DeadReplayOptions) => (await import('./dead-command.js')).deadReplayCommand(options));
  add('drop', 'throw them away')
    .option('--all', 'of every model', false)
    .action(async (options: DeadDropOptions) => (await import('./dead-command.js')).deadDropCommand(options));
}

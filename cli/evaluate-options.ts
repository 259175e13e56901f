/** The options of `eis evaluate`. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { IndexAlgorithm } from '../common/config.js';
import { INDEX_ALGORITHMS } from '../common/config-schema.js';
import type { Environment } from '../common/environment.js';
import { MODES, type Mode } from '../evaluation/evaluation.js';
import type { Places } from '../evaluation/runs.js';
import { parseUrl, parseWhole } from './parse-options.js';

const DEFAULT_PLACES = '1,5,10';
const LIMIT_MAX = 1_000_000;
const SEED_MAX = 4_294_967_295;

interface ParsedOptions extends Partial<Record<Mode, string>> {
  readonly model: string[];
  readonly algorithm: IndexAlgorithm[];
  readonly k: Places;
  readonly seed: number;
  readonly limit?: number;
  readonly function?: string;
  readonly report?: string;
  readonly json: boolean;
}

export function addEvaluateCommand(program: Command, environment: Environment): void {
  const { topMax } = environment.limits;
  const conflicts = (mode: Mode): Mode[] => MODES.filter((other) => other !== mode);
  program
    .command('evaluate')
    .description('how good models and indexes are at finding images: on classes, on groups, or on altered copies that are made for it. With MLFLOW_TRACKING_URI, logged to MLflow')
    .addOption(new Option('--labelled <dir>', 'images in a folder for each class').conflicts(conflicts('labelled')))
    .addOption(new Option('--groups <file>', 'JSON: { "group": ["a.jpg", …] }, paths relative to it').conflicts(conflicts('groups')))
    .addOption(new Option('--altered <dir>', 'images of which altered copies are made, that are to find them').conflicts(conflicts('altered')))
    .option('--model <model>', 'a name of config.json, a known name, a path or a URL; may be repeated; default: all of config.json', (name: string, names: string[]) => [...names, name], [])
    .addOption(new Option('--algorithm <algorithm>', `of the index: ${INDEX_ALGORITHMS.join(', ')}; may be repeated; default: the model's of config.json`).argParser(addAlgorithm).default([], 'as config.json has it'))
    .addOption(new Option('--k <numbers>', 'how many of the first answers are judged; the largest is how many are asked for').argParser((text) => parsePlaces(text, topMax)).default(parsePlaces(DEFAULT_PLACES, topMax), DEFAULT_PLACES))
    .option('--limit <n>', 'at most so many images, drawn by the seed', (text) => parseWhole(text, 1, LIMIT_MAX))
    .option('--seed <n>', 'of what is drawn at random; the same gives the same figures', (text) => parseWhole(text, 0, SEED_MAX), 1)
    .option('--function <url>', 'a function of the model that runs; default: it is started here', parseUrl)
    .option('--report <dir>', 'write a page with figures and example pictures there')
    .option('--json', 'print one JSON object on standard output', false)
    .action(async (options: ParsedOptions, command: Command) => {
      const mode = MODES.find((one) => options[one] !== undefined);
      if (mode === undefined) return command.error(`error: name images with one of ${MODES.map((one) => `--${one}`).join(', ')}`);
      const { evaluateCommand } = await import('./evaluate-command.js');
      process.exitCode = await evaluateCommand(environment, {
        mode, source: options[mode] as string, models: options.model, algorithms: options.algorithm, places: options.k,
        seed: options.seed, limit: options.limit, functionUrl: options.function, report: options.report, json: options.json,
      });
    });
}

function addAlgorithm(text: string, chosen: readonly IndexAlgorithm[]): IndexAlgorithm[] {
  const algorithm = INDEX_ALGORITHMS.find((one) => one === text);
  if (algorithm === undefined) throw new InvalidArgumentError(`It must be one of ${INDEX_ALGORITHMS.join(', ')}.`);
  return [...new Set([...chosen, algorithm])];
}

function parsePlaces(text: string, topMax: number): Places {
  const numbers = text.split(',').map((part) => parseWhole(part.trim(), 1, topMax));
  return [...new Set(numbers)].sort((a, b) => a - b) as unknown as Places;
}

/** `eis models`: which models are configured, where each comes from, and whether it is here. Asks no network. */
import type { Config, ModelConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { isEisError } from '../common/errors.js';
import { displayAddress } from '../functions/models/download-failure.js';
import { findModel } from '../functions/models/obtain-model.js';
import { findKnown, KNOWN_MODELS, KNOWN_NAMES } from '../functions/models/known-models.js';
import { isUrl, resolveModel, type ResolvedModel } from '../functions/models/registry.js';
import { alignColumns, formatBytes, shorten, terminalWidth, wrap } from './layout.js';

type Place = Pick<Environment, 'dataDir' | 'modelMirror'>;

/** A row of the table, and of the JSON. */
interface ModelRow {
  readonly name: string;
  /** Null: the name has no address, and nothing was configured. */
  readonly from: ResolvedModel['from'] | null;
  readonly location: string | null;
  /** `damaged`: it was fetched, and its files changed since; it is fetched again. `local`: it lies where the configuration says, and is not copied; `missing`: it should, and does not. */
  readonly cached: 'yes' | 'no' | 'damaged' | 'local' | 'missing';
  readonly bytes: number | null;
  /** Whether `bytes` is what its publisher says, rather than what lies here. */
  readonly bytes_expected: boolean;
  /** Null: as its network shows. */
  readonly preprocess: string | null;
  /** Numbers of an embedding; null: known when it is loaded. */
  readonly dim: number | null;
}

export async function modelsCommand(config: Config, place: Place, { json }: { readonly json: boolean }): Promise<void> {
  const rows = await Promise.all(config.models.map((model) => describeModel(model, place)));
  const others = KNOWN_NAMES.filter((name) => !rows.some((row) => row.name === name));
  if (json) process.stdout.write(`${JSON.stringify({ models: rows, known: others.map(describeKnown) })}\n`);
  else process.stdout.write(`${[...formatTable(rows), ...formatNotes(rows, others)].join('\n')}\n`);
}

async function describeModel(config: ModelConfig, { dataDir, modelMirror }: Place): Promise<ModelRow> {
  const model = tryResolve(config, modelMirror);
  const known = config.modelUrl === undefined ? findKnown(config.name) : undefined;
  const found = model && (await findModel(model, dataDir).catch(() => undefined)); // a URL that cannot be one is not here
  const publishedBytes = model?.from === 'url' && known?.source.kind === 'url' ? known.source.bytes : undefined;
  return {
    name: config.name,
    from: model?.from ?? null,
    location: model ? displayAddress(model.location) : null,
    cached: model === undefined || isUrl(model.location) ? (found ? (found.isDamaged ? 'damaged' : 'yes') : 'no') : found ? 'local' : 'missing',
    bytes: found?.bytes ?? publishedBytes ?? null,
    bytes_expected: found?.bytes === undefined && publishedBytes !== undefined,
    preprocess: config.preprocess ?? known?.preprocess ?? null,
    dim: config.layer === undefined ? (known?.dim ?? null) : null,
  };
}

/** Undefined: it has no address; `eis models check` says why. */
function tryResolve(config: ModelConfig, mirror: string | undefined): ResolvedModel | undefined {
  try {
    return resolveModel(config, { mirror });
  } catch (error) {
    if (isEisError(error)) return undefined;
    throw error;
  }
}

function describeKnown(name: string): object {
  const { title, source, inputSize, preprocess = null, dim, licence } = KNOWN_MODELS[name] as (typeof KNOWN_MODELS)[string];
  return { name, title, url: source.kind === 'url' ? source.url : null, input_size: inputSize, preprocess, dim, licence };
}

function formatTable(rows: readonly ModelRow[]): string[] {
  const cells = rows.map(({ name, from, location, cached, bytes, bytes_expected: isExpected, preprocess, dim }) => [
    name,
    cached,
    bytes === null ? '—' : `${isExpected ? '~' : ''}${formatBytes(bytes)}`,
    preprocess ?? '—',
    dim === null ? '—' : String(dim),
    from === 'mirror' ? `mirror: ${location}` : from === 'builtin' ? 'builtin' : (location ?? 'no address'),
  ]);
  const table = [['name', 'cached', 'size', 'preprocess', 'dim', 'from'], ...cells];
  const width = terminalWidth(process.stdout);
  if (width === undefined) return alignColumns(table, [2, 4]);
  const taken = Math.max(...alignColumns(table.map((row) => row.slice(0, -1)), [2, 4]).map((line) => line.length)) + 2;
  return alignColumns(table.map((row) => [...row.slice(0, -1), shorten(row.at(-1) as string, Math.max(12, width - taken))]), [2, 4]);
}

function formatNotes(rows: readonly ModelRow[], others: readonly string[]): string[] {
  const notes = [
    ...rows.filter(({ from }) => from === null).map(({ name }) => `${name} has no address: "eis models check ${name}" says what to do.`),
    ...(others.length > 0 ? [`Known by name, too: ${others.join(', ')}.`] : []),
  ];
  return notes.length === 0 ? [] : ['', ...notes.flatMap((note) => wrap(note, terminalWidth(process.stdout)))];
}

/** What `eis reembed --finish` asks of config.json: that it names the new weights as the model's own. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { definitionFile } from '../common/config-defaults.js';
import { loadConfig, modelConfig, type ModelDefinition } from '../common/config.js';
import type { DefinitionFile, ModelFile } from '../common/config-schema.js';
import { EisError } from '../common/errors.js';
import { isSameDefinition } from '../common/model-lanes.js';
import { stopped } from '../ingest/reembed/parts.js';

interface ConfigPlace {
  readonly file: string;
  readonly isWritten: boolean;
  /** Whether it is the one of a deployment, which tells where functions are: there, a second lane runs for as long as it is named. */
  readonly isDeployed: boolean;
}

/**
 * Sees that config.json names the new weights as the model's own, or writes it so.
 *
 * @throws EisError EIS_REEMBED saying what to write there
 */
export function demandConfig(model: string, to: ModelDefinition, { file, isWritten, isDeployed }: ConfigPlace): void {
  const { next, ...standing } = modelConfig(loadConfig(file), model);
  if (isSameDefinition(standing, to) && (next ? isSameDefinition(next, to) : !isDeployed)) return;
  if (isDeployed) {
    const definition = toFile(to, dirname(file));
    throw stopped(model, `config.json has to name the new weights before the former version goes, and "next" has to stay until its second lane is not searched any more. Write this as the entry of ${model} (paths as you have them), apply it, and give --finish again; its function is to be deployed anew then, too:\n  ${JSON.stringify({ name: model, ...definition, next: definition })}`);
  }
  const entry = { name: model, ...toFile(to) };
  if (!isWritten) throw stopped(model, `config.json has to name the new weights before the former version goes. Write this as the entry of ${model} in ${file} (or give --write-config), then give --finish again:\n  ${JSON.stringify(entry)}`);
  const contents = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')) as { models: ModelFile[] };
  const changed = { ...contents, models: contents.models.map((each) => (each.name === model ? entry : each)) };
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(changed, null, 2)}\n`);
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw new EisError('EIS_REEMBED', { model, detail: `${relative('.', resolve(file))} cannot be written: ${(cause as Error).message}` }, { cause });
  }
}

/** What is its default is left out. @param folder as of `definitionFile` */
function toFile(to: ModelDefinition, folder?: string): DefinitionFile {
  const { engine, ...definition } = definitionFile(to, folder);
  return { ...definition, ...(engine === 'auto' ? {} : { engine }) };
}

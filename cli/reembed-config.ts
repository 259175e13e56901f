/** What `eis reembed --finish` asks of config.json: that it names the new weights as the model's own. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { definitionFile } from '../common/config-defaults.js';
import { loadConfig, modelConfig, type ModelDefinition } from '../common/config.js';
import type { DefinitionFile, ModelFile } from '../common/config-schema.js';
import { EisError } from '../common/errors.js';
import { stopped } from '../ingest/reembed/parts.js';
import { isSameDefinition } from '../ingest/reembed/reembed.js';

/**
 * Sees that config.json names the new weights as the model's own, or writes it so.
 *
 * @throws EisError EIS_REEMBED saying what to write there
 */
export function demandConfig(model: string, to: ModelDefinition, { file, isWritten }: { readonly file: string; readonly isWritten: boolean }): void {
  const { next, ...standing } = modelConfig(loadConfig(file), model);
  if (!next && isSameDefinition(standing, to)) return;
  const entry = toEntry(model, to);
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

/** What is its default is left out. */
function toEntry(name: string, to: ModelDefinition): DefinitionFile & { readonly name: string } {
  const { engine, ...definition } = definitionFile(to);
  return { name, ...definition, ...(engine === 'auto' ? {} : { engine }) };
}

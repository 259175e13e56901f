/** Which models are evaluated, and the configuration that their functions read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { definitionFile } from '../common/config-defaults.js';
import { loadConfig, modelConfig, type Config, type IndexingConfig, type ModelConfig } from '../common/config.js';
import { MODEL_NAME_PATTERN } from '../common/config-schema.js';
import type { Environment } from '../common/environment.js';
import { findSubject, type ModelSubject } from './model-subject.js';

export interface ChosenModels {
  readonly config: Config;
  readonly models: readonly ModelConfig[];
}

/**
 * @param names as `eis models check` takes them; none: every model of the configuration
 * @param scratch where the configuration is written of models that config.json does not have
 * @throws EisError EIS_CONFIG_INVALID; EIS_BAD_REQUEST, EIS_SOURCE_UNREADABLE when there is no such model
 */
export function chooseModels(names: readonly string[], environment: Environment, scratch: string): ChosenModels {
  const config = loadConfig(environment.configFile);
  const wanted = [...new Set(names)];
  if (wanted.length === 0) return { config, models: config.models };
  if (wanted.every((name) => config.models.some((model) => model.name === name))) return { config, models: wanted.map((name) => modelConfig(config, name)) };
  const subjects = nameOnce(wanted.map((name) => findSubject(name, environment)));
  const file = join(scratch, 'config.json');
  writeFileSync(file, JSON.stringify(describeConfig(subjects, config)));
  const written = loadConfig(file);
  return { config: written, models: written.models };
}

/** A file's name is seldom one that a model may have. */
function nameOnce(subjects: readonly ModelSubject[]): ModelSubject[] {
  const taken = new Set<string>();
  return subjects.map((subject) => {
    const plain = subject.name.toLowerCase().replace(/[^a-z0-9_-]+/g, '-').replace(/^[^a-z]+/, '').slice(0, 36);
    const name = new RegExp(MODEL_NAME_PATTERN).test(plain) ? plain : 'model';
    let unique = name;
    for (let i = 2; taken.has(unique); i++) unique = `${name}-${i}`;
    taken.add(unique);
    return { ...subject, name: unique };
  });
}

function describeConfig(subjects: readonly ModelSubject[], { indexing }: Config): object {
  const indexed = subjects.map(({ name }) => describeIndexing(name, indexing.get(name)));
  return {
    models: subjects.map((subject) => ({ name: subject.name, ...definitionFile(subject) })),
    services: [{ name: 'indexing', models: indexed }],
  };
}

/** As config.json has it; undefined: the defaults. */
function describeIndexing(name: string, indexing: IndexingConfig | undefined): object {
  return { name, index_algorithm: indexing?.algorithm, connectivity: indexing?.connectivity, expansion_add: indexing?.expansionAdd, expansion_search: indexing?.expansionSearch };
}

/** Finds what is wrong in a configuration file: first its shape, then the relations between its parts. */
import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import type { ModelFile, PlatformFile, PodsConfig, ServiceFile, ServiceName } from './config-schema.js';
import { parseEnvironment, PLATFORM_VARIABLES } from './environment.js';
import { toEisError } from './errors.js';
import { parseFetchRules } from './fetch-rules.js';
import { packagePath } from './package-root.js';
import { suggest } from './suggest.js';

/** The file after validation of its shape. */
export interface ConfigFile {
  readonly models: ModelFile[];
  readonly services?: ServiceFile[ServiceName][];
  readonly platform?: PlatformFile;
}

interface PublishedSchema {
  readonly properties: Readonly<Record<string, object>> & { readonly services: { readonly items: { readonly anyOf: readonly ServiceSchema[] } } };
}

interface ServiceSchema {
  readonly properties: { readonly name: { readonly const: string } };
}

/** Our own schema is not checked against the one of schemas: that would be most of the time that this takes. */
const ajv = new Ajv({ allErrors: true, strict: false, verbose: true, validateSchema: false, meta: false });

/** The published schema, which `config-schema.ts` writes: to build it anew would take a start 300 ms. */
const published = JSON.parse(readFileSync(packagePath('config.schema.json'), 'utf8')) as PublishedSchema;
const serviceSchemas = new Map(published.properties.services.items.anyOf.map((schema) => [schema.properties.name.const, schema]));

/** The services are looked at one by one, each by its own schema, so that errors speak of the right one. */
const validateFile = ajv.compile({ ...published, properties: { ...published.properties, services: { type: 'array', items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } } } });

// ── Shape ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Problems of shape, each with its path in the file. Empty: the value is a `ConfigFile`. */
export function findSchemaProblems(value: unknown): string[] {
  const problems = validateFile(value) ? [] : describe(validateFile.errors, '');
  const services = typeof value === 'object' && value !== null && 'services' in value ? value.services : undefined;
  if (!Array.isArray(services)) return problems;
  services.forEach((service: unknown, i) => {
    const name = typeof service === 'object' && service !== null && 'name' in service ? service.name : undefined;
    if (typeof name !== 'string') return;
    const schema = serviceSchemas.get(name);
    if (!schema) {
      problems.push(`services[${i}].name: there is no service ${JSON.stringify(name)}.${didYouMean(name, [...serviceSchemas.keys()])}`);
      return;
    }
    const validate = ajv.compile(schema); // which it does once
    if (!validate(service)) problems.push(...describe(validate.errors, `services[${i}]`));
  });
  return problems;
}

/** Ajv's errors in a person's words, one a path: of a union, the branch that fits the value best speaks. */
function describe(errors: readonly ErrorObject[] | null | undefined, prefix: string): string[] {
  const byPath = new Map<string, string>();
  for (const error of errors ?? []) {
    if (error.keyword === 'anyOf' || (error.keyword === 'const' && error.schemaPath.includes('anyOf'))) continue;
    const path = `${prefix}${toPath(error.instancePath)}${pathDetail(error)}`.replace(/^\./, '') || '(the file)';
    const sentence = explain(error);
    if (!byPath.has(path) || error.keyword !== 'type') byPath.set(path, sentence);
  }
  for (const error of errors ?? []) {
    const path = `${prefix}${toPath(error.instancePath)}`.replace(/^\./, '');
    if (error.keyword === 'anyOf' && ![...byPath.keys()].some((known) => known.startsWith(path))) byPath.set(path, 'it fits none of the forms allowed here.');
  }
  return [...byPath].map(([path, sentence]) => `${path}: ${sentence}`);
}

function toPath(pointer: string): string {
  return pointer.split('/').slice(1).map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part.replace(/~1/g, '/').replace(/~0/g, '~')}`)).join('');
}

function pathDetail(error: ErrorObject): string {
  if (error.keyword === 'additionalProperties') return `.${String(error.params['additionalProperty'])}`;
  if (error.keyword === 'required') return `.${String(error.params['missingProperty'])}`;
  return '';
}

function explain(error: ErrorObject): string {
  const is = `is ${JSON.stringify(error.data)}`;
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties':
      return `there is no such property.${didYouMean(String(params['additionalProperty']), Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {}))}`;
    case 'required':
      return 'is missing. Add it.';
    case 'minimum':
      return `${is}; it must be ${String(params['limit'])} or more.`;
    case 'maximum':
      return `${is}; it must be ${String(params['limit'])} or less.`;
    case 'exclusiveMinimum':
      return `${is}; it must be more than ${String(params['limit'])}.`;
    case 'enum': {
      const allowed = params['allowedValues'] as string[];
      return `${is}; it must be one of ${allowed.map((value) => JSON.stringify(value)).join(', ')}.`;
    }
    case 'type':
      return `${is}; it must be of type ${String(params['type'])}.`;
    case 'minItems':
      return 'is empty; it needs at least one entry (a service that is left out of the file covers every model).';
    case 'pattern':
      return `${is}; it must be ${String((error.parentSchema as { description?: string } | undefined)?.description ?? `of the form ${String(params['pattern'])}`)}.`;
    default:
      return `${is}; it ${error.message ?? 'is not valid'}.`;
  }
}

function didYouMean(word: string, known: readonly string[]): string {
  const nearest = suggest(word, known);
  return nearest ? ` Did you mean ${JSON.stringify(nearest)}?` : ` Known: ${known.filter((name) => name !== '$schema').join(', ')}.`;
}

// ── Relations ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A service of the file by its name. */
export function serviceOf<N extends ServiceName>(file: ConfigFile, name: N): ServiceFile[N] | undefined {
  return file.services?.find((service) => service.name === name) as ServiceFile[N] | undefined;
}

/** What the schema cannot say: names that must be known, unique, served… */
export function findRelationProblems(file: ConfigFile): string[] {
  const known = file.models.map((model) => model.name);
  return [
    ...findNameProblems(file.models),
    ...(file.services ?? []).flatMap((service, i) => [
      ...findRepeats(file.services ?? [], i, `services[${i}].name`, 'service'),
      ...findServiceProblems(service, `services[${i}]`, known),
    ]),
    ...findServingProblems(file),
    ...findShadowProblems(file),
    ...findEnvironmentProblems(file.platform?.environment ?? {}),
  ];
}

function findEnvironmentProblems(variables: NonNullable<PlatformFile['environment']>): string[] {
  return Object.entries(variables).flatMap(([name, value]) => {
    const path = `platform.environment.${name}`;
    if (!PLATFORM_VARIABLES.includes(name)) return [`${path}: this is no variable that every process may be given.${didYouMean(name, PLATFORM_VARIABLES)}`];
    try {
      parseFetchRules(parseEnvironment({ [name]: String(value) }).fetchFrom);
      return [];
    } catch (thrown) {
      return [`${path}: ${toEisError(thrown).message}`];
    }
  });
}

function findNameProblems(models: readonly ModelFile[]): string[] {
  return models.flatMap((model, i) => {
    const repeats = findRepeats(models, i, `models[${i}].name`, 'model');
    if (repeats.length > 0) return repeats;
    const lane = models.find((other) => other.next && kubernetesName(model.name) === `${kubernetesName(other.name)}-next`);
    if (lane) return [`models[${i}].name: ${JSON.stringify(model.name)} is what the second lane of ${JSON.stringify(lane.name)} is called, which has "next". Rename it, or finish that first.`];
    const twin = models.slice(0, i).find((other) => kubernetesName(other.name) === kubernetesName(model.name));
    return twin ? [`models[${i}].name: ${JSON.stringify(model.name)} and ${JSON.stringify(twin.name)} become the same Kubernetes name ${kubernetesName(model.name)}. Rename one.`] : [];
  });
}

function findRepeats(entries: readonly { name: string }[], i: number, path: string, kind: string): string[] {
  const name = (entries[i] as { name: string }).name;
  const first = entries.findIndex((entry) => entry.name === name);
  return first < i ? [`${path}: the ${kind} ${JSON.stringify(name)} stands in the file twice. Remove one.`] : [];
}

function findServiceProblems(service: ServiceFile[ServiceName], path: string, known: readonly string[]): string[] {
  const lists: [string, readonly { name: string }[]][] = [];
  if ('models' in service) lists.push([`${path}.models`, service.models ?? []]);
  if (service.name === 'nginx') lists.push([`${path}.serving_weights`, service.serving_weights ?? []]);
  const problems = lists.flatMap(([listPath, entries]) =>
    entries.flatMap((entry, i) => [
      ...(known.includes(entry.name) ? [] : [`${listPath}[${i}].name: there is no model ${JSON.stringify(entry.name)}.${didYouMean(entry.name, known)}`]),
      ...findRepeats(entries, i, `${listPath}[${i}].name`, 'model'),
      ...('pods' in entry ? findPodsProblems(entry.pods as PodsConfig, `${listPath}[${i}].pods`) : []),
      ...findInstanceProblems(entry, `${listPath}[${i}]`),
    ]),
  );
  if ('pods' in service && service.pods !== undefined) problems.push(...findPodsProblems(service.pods, `${path}.pods`));
  return problems;
}

function findPodsProblems(pods: PodsConfig | undefined, path: string): string[] {
  return typeof pods === 'object' && pods.min > pods.max ? [`${path}: min is ${pods.min} and max is ${pods.max}; min must not be more than max.`] : [];
}

function findInstanceProblems(entry: { name: string; min_instances?: number; max_instances?: number; cpu?: number; concurrency?: number }, path: string): string[] {
  const { min_instances: min, max_instances: max, cpu, concurrency } = entry;
  return [
    ...(min !== undefined && max !== undefined && min > max ? [`${path}.min_instances: is ${min} and max_instances is ${max}; min_instances must not be more than max_instances.`] : []),
    ...(cpu !== undefined && cpu < 1 && concurrency !== 1 ? [`${path}.concurrency: must be 1 where cpu is less than 1: Cloud Run gives part of a CPU one request at a time.`] : []),
  ];
}

function findServingProblems(file: ConfigFile): string[] {
  const services = file.services ?? [];
  const serving = serviceOf(file, 'serving')?.models.map((model) => model.name) ?? file.models.map((model) => model.name);
  const indexing = serviceOf(file, 'indexing');
  const problems: string[] = [];
  if (indexing) {
    const indexed = indexing.models.map((model) => model.name);
    const missing = serving.filter((name) => !indexed.includes(name));
    if (missing.length > 0) problems.push(`services[${services.indexOf(indexing)}].models: ${missing.join(', ')} is served but has no index. Add it here, or take it out of serving.`);
  }
  const nginx = serviceOf(file, 'nginx');
  const weights = nginx?.serving_weights;
  if (nginx && weights) {
    const path = `services[${services.indexOf(nginx)}].serving_weights`;
    weights.forEach(({ name }, i) => {
      if (file.models.some((model) => model.name === name) && !serving.includes(name)) problems.push(`${path}[${i}].name: the model ${JSON.stringify(name)} is given a weight but is not served. Add it to serving, or remove its weight.`);
    });
    if (weights.every(({ weight }) => weight === 0)) problems.push(`${path}: no weight is more than 0, so no search could choose a model. Give one.`);
  }
  return problems;
}

/** A shadow needs no gateway of its own, but a function, which every model has, and an index. */
function findShadowProblems(file: ConfigFile): string[] {
  const serving = serviceOf(file, 'serving');
  if (!serving) return [];
  const path = `services[${(file.services ?? []).indexOf(serving)}].models`;
  const known = file.models.map(({ name }) => name);
  const indexed = serviceOf(file, 'indexing')?.models.map(({ name }) => name) ?? known;
  return serving.models.flatMap(({ name, shadow }, i) => {
    if (!shadow) return [];
    if (!known.includes(shadow.model)) return [`${path}[${i}].shadow.model: there is no model ${JSON.stringify(shadow.model)}.${didYouMean(shadow.model, known)}`];
    if (shadow.model === name) return [`${path}[${i}].shadow.model: ${JSON.stringify(name)} would be compared with itself. Name another model.`];
    return indexed.includes(shadow.model) ? [] : [`${path}[${i}].shadow.model: ${JSON.stringify(shadow.model)} has no index. Add it to indexing.`];
  });
}

/** A name as Kubernetes takes it. */
export function kubernetesName(name: string): string {
  return name.replaceAll('_', '-');
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { definitionFile, resolveDefinition } from '../../common/config-defaults.js';
import { PublishedSchema } from '../../common/config-schema.js';
import { loadConfig, modelConfig, parseConfig, type ModelDefinition } from '../../common/config.js';
import { EisError } from '../../common/errors.js';
import { packagePath } from '../../common/package-root.js';

const SEED = packagePath('test/fixtures/seed-config.json');

function problemsOf(value: unknown): string {
  try {
    parseConfig(typeof value === 'string' ? value : JSON.stringify(value), '/etc/eis/config.json');
  } catch (error) {
    expect(error).toBeInstanceOf(EisError);
    expect((error as EisError).code).toBe('EIS_CONFIG_INVALID');
    return (error as EisError).message;
  }
  throw new Error('It was accepted.');
}

const models = [{ name: 'resnet' }, { name: 'mobilenet' }];

describe('loadConfig()', () => {
  it('loads the seed configuration unchanged', () => {
    const config = loadConfig(SEED);
    expect(config.models.map(({ name }) => name)).toEqual(['resnet', 'mobilenet', 'custom']);
    expect(modelConfig(config, 'custom').modelUrl).toBe('https://storage.googleapis.com/images-search/model-finetuned.h5');
    expect(config.indexing.get('resnet')).toMatchObject({ shards: 2, pods: { min: 5, max: 5 }, algorithm: 'brute' });
    expect(config.serving.get('resnet')).toEqual({ pods: { min: 20, max: 20 }, weight: 1, shadow: undefined });
    expect(config.rabbitmq.pods).toBe(2);
    expect(config.mongo).toEqual({ configPods: 3, routerPods: { min: 3, max: 3 }, shards: 2, podsPerShard: 3 });
  });

  it('lets a service cover only the models it lists', () => {
    expect([...loadConfig(SEED).extractWorkers.keys()]).toEqual(['resnet', 'mobilenet']);
  });

  it('lets a service that is left out cover every model', () => {
    const config = parseConfig(JSON.stringify({ models }), '/config.json');
    for (const service of [config.extractWorkers, config.indexing, config.serving, config.functions]) expect([...service.keys()]).toEqual(['resnet', 'mobilenet']);
  });

  it('serves builtin on two shards as it is shipped', () => {
    const config = loadConfig(packagePath('config.json'));
    expect(config.models.map(({ name }) => name)).toEqual(['builtin']);
    expect(config.indexing.get('builtin')?.shards).toBe(2);
  });

  it('resolves a relative model_url from the folder of the file, and leaves URLs alone', () => {
    const config = parseConfig(JSON.stringify({ models: [{ name: 'a', model_url: '../models/mine' }, { name: 'b', model_url: 'gs://bucket/model.json' }, { name: 'c', model_url: '/abs' }] }), '/etc/eis/config.json');
    expect(config.models.map(({ modelUrl }) => modelUrl)).toEqual([join('/etc/models/mine'), 'gs://bucket/model.json', '/abs']);
  });

  it('draws a model for every search anew, unless nginx is told to be sticky', () => {
    const stickiness = (more: object) => parseConfig(JSON.stringify({ models, services: [{ name: 'nginx', ...more }] }), '/config.json').nginx.sticky;
    expect([stickiness({}), stickiness({ sticky: true })]).toEqual([false, true]);
  });

  it('gives a served model that has no weight none of the unnamed searches', () => {
    const config = parseConfig(JSON.stringify({ models, services: [{ name: 'nginx', serving_weights: [{ name: 'resnet', weight: 2 }] }] }), '/config.json');
    expect([...config.serving].map(([name, { weight }]) => [name, weight])).toEqual([['resnet', 2], ['mobilenet', 0]]);
  });

  it('says where functions are deployed, for every model though the service lists none', () => {
    const config = parseConfig(JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'functions', project: 'our-project', region: 'europe-west1', service_account: 'f@p.iam.gserviceaccount.com' }] }), '/c.json');
    expect(config.functionsPlace).toEqual({ project: 'our-project', region: 'europe-west1', serviceAccount: 'f@p.iam.gserviceaccount.com', invoker: undefined });
    expect([...config.functions.keys()]).toEqual(['builtin']);
  });

  it('cannot be changed afterwards', () => {
    const config = loadConfig(SEED);
    expect(() => Object.assign(config.platform, { namespace: 'other' })).toThrow(TypeError);
  });

  it('says which file cannot be read', () => {
    expect(() => loadConfig('/nowhere/config.json')).toThrow(/\/nowhere\/config\.json is not a valid configuration:\n {2}it cannot be read/);
  });
});

describe('a broken configuration gets an error that names the path in the file and the fix', () => {
  const cases: [what: string, value: unknown, message: string][] = [
    ['no JSON', '{\n  "models": [\n    { "name": "a" },\n  ]\n}', 'it is not JSON: '],
    ['no models', { models: [] }, 'models: is empty; it needs at least one entry'],
    ['a mistyped property', { models: [{ name: 'a', modelurl: 'x' }] }, 'models[0].modelurl: there is no such property. Did you mean "model_url"?'],
    ['a missing property', { models: [{ model_url: 'x' }] }, 'models[0].name: is missing. Add it.'],
    ['a mistyped service', { models, services: [{ name: 'indexng', models: [] }] }, 'services[0].name: there is no service "indexng". Did you mean "indexing"?'],
    ['an unknown model in a service', { models, services: [{ name: 'indexing', models: [{ name: 'resnet' }, { name: 'mobilnet' }, { name: 'mobilenet' }] }] }, 'services[0].models[1].name: there is no model "mobilnet". Did you mean "mobilenet"?'],
    ['num_indexes below 1', { models, services: [{ name: 'indexing', models: [{ name: 'resnet', num_indexes: 0 }] }] }, 'services[0].models[0].num_indexes: is 0; it must be 1 or more.'],
    ['pods of the wrong type', { models, services: [{ name: 'serving', models: [{ name: 'resnet', pods: '4' }] }] }, 'services[0].models[0].pods: is "4"; it must be of type'],
    ['min over max', { models, services: [{ name: 'extract_worker', models: [{ name: 'resnet', pods: { min: 3, max: 1 } }] }] }, 'services[0].models[0].pods: min is 3 and max is 1'],
    ['requests at once on part of a CPU', { models, services: [{ name: 'functions', models: [{ name: 'resnet', cpu: 0.5 }] }] }, 'services[0].models[0].concurrency: must be 1 where cpu is less than 1'],
    ['a project that Google Cloud cannot have', { models, services: [{ name: 'functions', project: 'Our Project' }] }, 'services[0].project: is "Our Project"; it must be the id of a Google Cloud project'],
    ['an algorithm that is none', { models, services: [{ name: 'indexing', models: [{ name: 'resnet', index_algorithm: 'ball_tree' }] }] }, 'services[0].models[0].index_algorithm: is "ball_tree"; it must be one of "brute", "hnsw", "kd_tree".'],
    ['a weight of a model that is not served', { models, services: [{ name: 'serving', models: [{ name: 'resnet' }] }, { name: 'nginx', serving_weights: [{ name: 'resnet', weight: 1 }, { name: 'mobilenet', weight: 1 }] }] }, 'services[1].serving_weights[1].name: the model "mobilenet" is given a weight but is not served.'],
    ['a model that is served without an index', { models, services: [{ name: 'indexing', models: [{ name: 'resnet' }] }] }, 'services[0].models: mobilenet is served but has no index.'],
    ['two names that become one in Kubernetes', { models: [{ name: 'a_b' }, { name: 'a-b' }] }, 'models[1].name: "a-b" and "a_b" become the same Kubernetes name a-b. Rename one.'],
    ['a model twice', { models: [{ name: 'a' }, { name: 'a' }] }, 'models[1].name: the model "a" stands in the file twice. Remove one.'],
    ['a service twice', { models, services: [{ name: 'nginx' }, { name: 'nginx' }] }, 'services[1].name: the service "nginx" stands in the file twice. Remove one.'],
    ['a name that Kubernetes cannot take', { models: [{ name: 'My Model' }] }, 'models[0].name: is "My Model"; it must be lowercase letters'],
    ['a list in place of the file', [], '(the file): is []; it must be of type object.'],
    ['a shadow that is no model', { models, services: [{ name: 'serving', models: [{ name: 'resnet', shadow: { model: 'resnett', share: 0.1 } }] }] }, 'services[0].models[0].shadow.model: there is no model "resnett". Did you mean "resnet"?'],
    ['a model that is its own shadow', { models, services: [{ name: 'serving', models: [{ name: 'resnet', shadow: { model: 'resnet', share: 0.1 } }] }] }, 'services[0].models[0].shadow.model: "resnet" would be compared with itself.'],
    ['a shadow without an index', { models, services: [{ name: 'serving', models: [{ name: 'resnet', shadow: { model: 'mobilenet', share: 0.1 } }] }, { name: 'indexing', models: [{ name: 'resnet' }] }] }, 'services[0].models[0].shadow.model: "mobilenet" has no index. Add it to indexing.'],
    ['more than every search', { models, services: [{ name: 'serving', models: [{ name: 'resnet', shadow: { model: 'mobilenet', share: 10 } }] }] }, 'services[0].models[0].shadow.share: is 10; it must be 1 or less.'],
    ['no weight above 0', { models, services: [{ name: 'nginx', serving_weights: [{ name: 'resnet', weight: 0 }] }] }, 'services[0].serving_weights: no weight is more than 0'],
    ['a variable that is none', { models, platform: { environment: { EIS_TOPMAX: 5 } } }, 'platform.environment.EIS_TOPMAX: this is no variable that every process may be given. Did you mean "EIS_TOP_MAX"?'],
    ['a variable that the deployment sets', { models, platform: { environment: { MONGODB_URI: 'mongodb://h/eis' } } }, 'platform.environment.MONGODB_URI: this is no variable that every process may be given.'],
    ['a limit that is none', { models, platform: { environment: { EIS_TOP_MAX: 'many' } } }, 'platform.environment.EIS_TOP_MAX: Environment variable EIS_TOP_MAX: "many" is not a whole number from 1'],
    ['a range that is none', { models, platform: { environment: { EIS_FETCH_ALLOW: '10.0.0.0/40' } } }, 'platform.environment.EIS_FETCH_ALLOW: Environment variable EIS_FETCH_ALLOW:'],
    ['a hostile name', '{"models":[{"name":"__proto__"}]}', 'models[0].name: is "__proto__"; it must be'],
  ];
  it.each(cases)('%s', (_what, value, message) => {
    expect(problemsOf(value)).toContain(`/etc/eis/config.json is not a valid configuration:\n  ${message}`);
  });

  it('every problem at once, one a line', () => {
    const message = problemsOf({ models: [{ name: 'a', engine: 'onnx' }], services: [{ name: 'serving', models: [{ name: 'a', pods: 0 }] }], platform: { autoscaling: 'magic' } });
    expect(message.split('\n').slice(1).map((line) => line.trim().split(':')[0])).toEqual(['models[0].engine', 'platform.autoscaling', 'services[0].models[0].pods']);
  });
});

describe('config.schema.json', () => {
  const published = JSON.parse(readFileSync(packagePath('config.schema.json'), 'utf8')) as object;

  it('is in step with the schema that the code validates with (npm run schema)', () => {
    expect(published).toEqual(JSON.parse(JSON.stringify(PublishedSchema)));
  });

  it('accepts the shipped and the seed configuration', () => {
    const validate = new Ajv({ strict: false }).compile(published);
    for (const file of [packagePath('config.json'), SEED]) expect(validate(JSON.parse(readFileSync(file, 'utf8')))).toBe(true);
  });
});

describe('definitionFile()', () => {
  it('says a definition as a file does, also one whose undefined fields a store gave back as null', () => {
    const definition = resolveDefinition({ model_url: '/models/m.keras', layer: 'avg', input_size: 224, preprocess: 'torch', engine: 'onnxruntime' }, '/');
    const stored = { ...definition, sha256: null } as unknown as ModelDefinition;
    expect(definitionFile(stored)).toEqual({ model_url: '/models/m.keras', layer: 'avg', input_size: 224, preprocess: 'torch', engine: 'onnxruntime' });
    expect(resolveDefinition(definitionFile(stored), '/')).toEqual(definition);
  });
});

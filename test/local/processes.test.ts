import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { packagePath } from '../../common/package-root.js';
import { planProcesses } from '../../local/processes.js';

describe('planProcesses()', () => {
  it('runs every role of the seed configuration once for each model or shard', () => {
    const specs = planProcesses(loadConfig(packagePath('test/fixtures/seed-config.json')), parseEnvironment({}));
    expect(specs.map(({ name, port }) => `${port} ${name}`)).toEqual([
      '8090 function resnet', '8091 function mobilenet', '8092 function custom',
      '8100 index resnet 0/2', '8101 index resnet 1/2', '8102 index mobilenet 0/1', '8103 index custom 0/1',
      '8082 worker resnet', '8083 worker mobilenet', '8081 wrapper', '8080 gateway',
    ]);
  });

  it('tells every process where the others are, in the form that the environment is read in', () => {
    const [, , , , , worker] = planProcesses(loadConfig(packagePath('test/fixtures/seed-config.json')), parseEnvironment({ EIS_BASE_PORT: '9000' })).slice(2);
    const environment = parseEnvironment(worker?.env ?? {});
    expect(environment.functionUrl('custom')).toBe('http://127.0.0.1:9012');
    expect(environment.indexUrls('resnet')).toEqual([['http://127.0.0.1:9020'], ['http://127.0.0.1:9021']]);
    expect(environment.wrapperUrl).toBe('http://127.0.0.1:9001');
    expect(environment.host).toBe('127.0.0.1');
  });

  it('moves the gateway alone by PORT', () => {
    const specs = planProcesses(loadConfig(packagePath('config.json')), parseEnvironment({ PORT: '3000' }));
    expect(specs.map(({ name, port }) => [name, port])).toEqual([['function builtin', 8090], ['index builtin 0/2', 8100], ['index builtin 1/2', 8101], ['worker builtin', 8082], ['wrapper', 8081], ['gateway', 3000]]);
  });

  it('gives no port twice, however many models there are', () => {
    const models = Array.from({ length: 40 }, (_, i) => ({ name: `model${i}` }));
    const specs = planProcesses(parseConfig(JSON.stringify({ models, services: [{ name: 'indexing', models: models.map(({ name }) => ({ name, num_indexes: 8 })) }] }), '/config.json'), parseEnvironment({}));
    expect(new Set(specs.map(({ port }) => port)).size).toBe(specs.length);
    expect(specs).toHaveLength(40 + 320 + 40 + 2);
  });
});

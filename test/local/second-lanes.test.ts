import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig, type ModelDefinition } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { planProcesses, planSecondLane, type ProcessSpec } from '../../local/processes.js';
import { SecondLanes } from '../../local/second-lanes.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';

const TO: ModelDefinition = { modelUrl: '/models/new', sha256: undefined, layer: undefined, inputSize: undefined, preprocess: '[0,1]', engine: 'auto' };
const FROM = { version: 'a'.repeat(64), dim: 4 };

describe('planSecondLane()', () => {
  it('has a function of the new weights, index pods and a worker of their own, on ports that nobody else has', () => {
    const models = ['a', 'b'].map((name) => ({ name, model_url: '/m' }));
    const config = parseConfig(JSON.stringify({ models, services: [{ name: 'indexing', models: models.map(({ name }) => ({ name, num_indexes: 2 })) }] }), '/config.json');
    const environment = parseEnvironment({});
    const main = planProcesses(config, environment);
    const lanes = ['a', 'b'].flatMap((model) => planSecondLane(config, environment, { model, configFile: `/lanes/${model}.json` }));
    expect(lanes.map(({ name }) => name)).toEqual(['a', 'b'].flatMap((model) => [`function ${model}.next`, `index ${model}.next 0/2`, `index ${model}.next 1/2`, `worker ${model}.next`]));
    const ports = [...main, ...lanes].map(({ port }) => port);
    expect(new Set(ports).size).toBe(ports.length);
    expect(lanes.filter(({ role }) => role === 'function').map(({ env }) => [env['EIS_CONFIG'], env['LANE']])).toEqual([['/lanes/a.json', undefined], ['/lanes/b.json', undefined]]);
    expect(lanes.filter(({ role }) => role !== 'function').every(({ env }) => env['LANE'] === 'next' && env['EIS_CONFIG'] === '/config.json')).toBe(true);
    const gateway = parseEnvironment(main.at(-1)!.env);
    expect(gateway.functionUrl('b', 'next')).toBe(`http://127.0.0.1:${lanes[4]!.port}`);
    expect(gateway.indexUrls('b', 'next')).toEqual([[`http://127.0.0.1:${lanes[5]!.port}`], [`http://127.0.0.1:${lanes[6]!.port}`]]);
  });
});

describe('planProcesses()', () => {
  it('tells everybody where the function and the index of a model are that is called as the second lane of another', () => {
    const config = parseConfig(JSON.stringify({ models: [{ name: 'm' }, { name: 'm_next' }] }), '/config.json');
    const specs = planProcesses(config, parseEnvironment({}));
    const gateway = parseEnvironment(specs.at(-1)!.env);
    const urlsOf = (role: string): string[] => specs.filter((spec) => spec.role === role && spec.model === 'm_next').map(({ port }) => `http://127.0.0.1:${port}`);
    expect([gateway.functionUrl('m_next')]).toEqual(urlsOf('function'));
    expect(gateway.indexUrls('m_next')?.flat()).toEqual(urlsOf('index'));
  });
});

describe('SecondLanes', () => {
  function prepare({ next = false } = {}) {
    const store = new MemoryStore();
    const calls: string[] = [];
    const notices: string[] = [];
    const state = { fails: false, next, readable: true };
    const folder = tempFolder();
    const lanes = new SecondLanes({
      store,
      folder,
      supervisor: {
        add: async (specs) => {
          calls.push(...specs.map(({ name }) => `add ${name}`));
          if (state.fails) throw new Error('no such model');
        },
        remove: async (names) => void calls.push(...names.map((name) => `remove ${name}`)),
        restart: async (name) => void calls.push(`restart ${name}`),
      },
      readConfig: () => {
        if (!state.readable) throw new Error('not JSON');
        return parseConfig(JSON.stringify({ models: [{ name: 'm', ...(state.next ? { next: { model_url: '/models/next' } } : {}) }] }), '/config.json');
      },
      plan: ({ model, configFile }) => [{ name: `function ${model}.next ${configFile.slice(folder.length)}` } as ProcessSpec],
      onNotice: (notice) => notices.push(notice),
    });
    const save = async (step: 'filling' | 'switched' | 'finishing' | 'removing'): Promise<void> => void (await store.reembeddings.save({ model: 'm', step, to: TO, from: FROM, startedAt: 1, revision: (await store.reembeddings.get('m'))?.revision ?? 0 }));
    const look = async (): Promise<string[]> => {
      await lanes.look();
      await new Promise(setImmediate);
      return calls.splice(0);
    };
    return { store, lanes, state, notices, folder, save, look };
  }
  const NAME = 'function m.next /m.next.json';

  it('starts a lane when a model is embedded again, by the new weights, and ends it when that is over', async () => {
    const { look, save, folder } = prepare();
    expect(await look()).toEqual([]);
    await save('filling');
    expect(await look()).toEqual([`add ${NAME}`]);
    expect(loadConfig(`${folder}/m.next.json`).models[0]).toMatchObject({ name: 'm', modelUrl: '/models/new', preprocess: '[0,1]' });
    expect(JSON.parse(readFileSync(`${folder}/m.next.json`, 'utf8'))).toEqual({ models: [{ name: 'm', model_url: '/models/new', preprocess: '[0,1]', engine: 'auto' }] });
    await save('switched');
    expect(await look()).toEqual([]);
    await save('finishing');
    expect(await look()).toEqual(['restart function m']);
    expect(await look()).toEqual([]);
    await save('removing');
    expect(await look()).toEqual([`remove ${NAME}`]);
  });

  it('starts one where config.json has "next", keeps it while the file cannot be read, and ends it when that is taken out', async () => {
    const { look, state } = prepare({ next: true });
    expect(await look()).toEqual([`add ${NAME}`]);
    state.readable = false;
    expect(await look()).toEqual([]);
    state.readable = true;
    state.next = false;
    expect(await look()).toEqual([`remove ${NAME}`]);
  });

  it('gives a lane up that cannot be started, says why, and tries it again when the command is given again', async () => {
    const { look, save, state, notices } = prepare();
    state.fails = true;
    await save('filling');
    expect(await look()).toEqual([`add ${NAME}`, `remove ${NAME}`]);
    expect(notices.at(-1)).toContain('no such model');
    expect(await look()).toEqual([]);
    state.fails = false;
    await save('filling');
    expect(await look()).toEqual([`add ${NAME}`]);
  });

  it('restarts no function for a finish that was under way before it started', async () => {
    const { look, save } = prepare();
    await save('finishing');
    expect(await look()).toEqual([`add ${NAME}`]);
  });
});

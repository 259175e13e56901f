/** Which engine is picked, what it is held to, and what is kept for the next start. */
import { chmod, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EisError } from '../../../common/errors.js';
import { packagePath } from '../../../common/package-root.js';
import { chooseEngine } from '../../../functions/engines/choose-engine.js';
import type { Engine, EngineFactory, EngineName, EngineOptions } from '../../../functions/engines/engine.js';
import { onnxruntime } from '../../../functions/engines/onnxruntime.js';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { modelOf, TinyNetwork } from '../support/tiny-network.js';
import { drawPixels, ENGINE, load } from './engine-contract.js';

const builtin = packagePath('models/builtin/model.json');

/** A network with seeded weights, from 9×11 pixels to 4 numbers. */
function tinyModel(changes: Partial<LoadedModel> = {}, spoil: (values: Float32Array) => Float32Array = (values) => values): LoadedModel {
  const n = new TinyNetwork();
  const network = n.build(n.node({ op: 'reduce', kind: 'mean', inputs: [n.conv(n.input, [3, 3], 4)], axes: [1, 2], keepDims: false }));
  const weights = new Map([...network.weights].map(([name, { shape, values }]) => [name, { shape, values: spoil(values) }]));
  return modelOf({ ...network, weights }, { layer: 'pooled', ...changes });
}

/** An engine that is another with something changed. */
function variant(name: EngineName, change: (engine: Engine, options: EngineOptions) => Partial<Engine>): EngineFactory {
  return {
    name,
    async create(model, options) {
      const engine = await tfjsWasm.create(model, options);
      return { ...engine, name, ...change(engine, options) };
    },
  };
}

const missing: EngineFactory = { name: 'tfjs-node', create: async () => { throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'tfjs-node', detail: 'it is not installed.' }); } };
const disagreeing = variant('onnxruntime', (engine) => ({ embed: async (pixels, count) => (await engine.embed(pixels, count)).map((value, i) => value * (i % 2 === 0 ? 1 : -1)) }));

describe('chooseEngine()', () => {
  it('takes the fastest that is there', async () => {
    const { engine, passedOver } = await chooseEngine(await load(builtin), 'auto', ENGINE);
    expect(engine).toMatchObject({ name: 'onnxruntime', dim: 256 });
    expect(passedOver).toEqual([]);
    await engine.dispose();
  });

  it('passes over what is not there, and what computes something else than TF.js, and says so', async () => {
    const { engine, passedOver } = await chooseEngine(tinyModel(), 'auto', ENGINE, [disagreeing, missing, tfjsWasm]);
    expect(engine.name).toBe('tfjs-wasm');
    expect(passedOver).toEqual([expect.stringMatching(/onnxruntime.*another embedding.*cosine is -?0\.\d+/), expect.stringContaining('tfjs-node')]);
  });

  it('says why, when there is none', async () => {
    await expect(chooseEngine(tinyModel(), 'auto', ENGINE, [disagreeing, missing])).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE', message: expect.stringMatching(/another embedding.*not installed/) as string });
  });

  it('does not replace an engine that was asked for by name', async () => {
    await expect(chooseEngine(tinyModel(), 'tfjs-node', ENGINE, [onnxruntime, missing, tfjsWasm])).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE', message: expect.stringContaining('not installed') as string });
    await expect(chooseEngine(tinyModel(), 'onnxruntime', ENGINE, [disagreeing, tfjsWasm])).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE', message: expect.stringContaining('another embedding') as string });
  });

  it('frees what it passes over, and confirms what it takes', async () => {
    const events: string[] = [];
    const watched = (name: EngineName, spoilt: boolean): EngineFactory => variant(name, (engine) => ({
      ...(spoilt && { embed: async (pixels, count) => (await engine.embed(pixels, count)).map((value, i) => (i === 0 ? -value : value * 0.1)) }),
      confirm: async () => void events.push(`${name} confirmed`),
      dispose: async () => { events.push(`${name} disposed`); await engine.dispose(); },
    }));
    await chooseEngine(tinyModel(), 'auto', ENGINE, [watched('onnxruntime', true), watched('tfjs-wasm', false)]);
    expect(events).toEqual(['onnxruntime disposed', 'tfjs-wasm confirmed']);
  });

  it('says which layer gives no numbers, when weights are damaged', async () => {
    for (const choice of ['auto', 'tfjs-wasm', 'onnxruntime'] as const) {
      await expect(chooseEngine(tinyModel({}, (values) => values.map(() => NaN)), choice, ENGINE)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/tiny\.json.*layer pooled gives numbers that are none/) as string });
      await expect(chooseEngine(tinyModel({}, (values) => values.map(() => 0)), choice, ENGINE)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('nothing but zeros') as string });
    }
  });

  it('refuses a model that is not the one that its name says', async () => {
    await expect(chooseEngine(tinyModel({ expected: { name: 'mobilenet', dim: 1280 } }), 'auto', ENGINE)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('it gives 4 numbers where mobilenet gives 1280') as string });
  });
});

describe('an optimised model', () => {
  let cacheDir: string;
  let fresh: number;
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'eis-onnx-'));
    fresh = 0;
  });
  afterEach(async () => {
    await chmod(cacheDir, 0o700);
    await rm(cacheDir, { recursive: true, force: true });
  });

  /** onnxruntime, counting how often it makes a model anew. */
  const counting: EngineFactory = { name: 'onnxruntime', create: (model, options) => onnxruntime.create(model, { ...options, onFresh: () => { fresh++; options.onFresh?.(); } }) };
  const start = async (model = tinyModel()): Promise<Float32Array> => {
    const { engine } = await chooseEngine(model, 'onnxruntime', { threads: 1, cacheDir: join(cacheDir, 'onnx') }, [counting]);
    const embedding = await engine.embed(drawPixels(model), 1);
    await engine.dispose();
    return embedding;
  };
  const kept = async (): Promise<string[]> => (await readdir(join(cacheDir, 'onnx'))).filter((name) => !name.endsWith('.json'));

  it('is kept when it agrees, and opened at the next start without being compared again', async () => {
    const first = await start();
    expect([fresh, (await kept()).length]).toEqual([1, 1]);
    const second = await start();
    expect([fresh, (await kept()).length]).toEqual([1, 1]);
    expect([...second].every((value, i) => Math.abs(value - first[i]!) < 1e-5)).toBe(true);
  });

  it('is not kept when it does not agree', async () => {
    const spoilt: EngineFactory = { name: 'onnxruntime', async create(model, options) {
      const engine = await onnxruntime.create(model, options);
      return { ...engine, embed: async (pixels, count) => (await engine.embed(pixels, count)).map((value, i) => (i === 0 ? -value : value * 0.1)) };
    } };
    await expect(chooseEngine(tinyModel(), 'onnxruntime', { threads: 1, cacheDir: join(cacheDir, 'onnx') }, [spoilt])).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE' });
    expect(await kept()).toEqual([]);
  });

  it('is another for other weights', async () => {
    await start();
    await start(tinyModel({ version: 'e'.repeat(64) }, (values) => values.map((value) => value + 0.01)));
    expect([fresh, (await kept()).length]).toEqual([2, 2]);
  });

  it('is made anew when what was kept is damaged', async () => {
    const first = await start();
    const [name] = await kept();
    await writeFile(join(cacheDir, 'onnx', name!), 'half of a file');
    expect(await start()).toEqual(first);
    expect(fresh).toBe(2);
    expect((await stat(join(cacheDir, 'onnx', name!))).size).toBeGreaterThan(100);
  });

  it('is made anew when what was kept computes something else, and is kept again at the next start', async () => {
    const model = tinyModel();
    const first = await start(model);
    const [name] = await kept();
    await writeFile(join(cacheDir, 'onnx', `${name}.json`), JSON.stringify([1, -1, 1, -1]));
    expect(await start(model)).toEqual(first);
    expect([fresh, await kept()]).toEqual([2, []]);
    await start(model);
    await start(model);
    expect([fresh, await kept()]).toEqual([3, [name]]);
  });

  it('is another for a network that is lowered otherwise from the same file', async () => {
    const model = tinyModel();
    await start(model);
    await start({ ...model, network: { ...model.network, nodes: model.network.nodes.map((node) => (node.op === 'conv' ? { ...node, padding: [1, 1, 1, 1] as const } : node)) } });
    expect([fresh, (await kept()).length]).toEqual([2, 2]);
  });

  it('is not written by threads that were not compared, and drafts of starts that were killed go', async () => {
    const folder = join(cacheDir, 'onnx');
    await mkdir(folder);
    for (const [name, at] of [['old.draft', new Date(2020, 0, 1)], ['new.draft', new Date()]] as const) {
      await writeFile(join(folder, name), 'x');
      await utimes(join(folder, name), at, at);
    }
    const { engine } = await chooseEngine(tinyModel(), 'onnxruntime', { threads: 1, cacheDir: folder, hasAgreed: true }, [onnxruntime]);
    expect((await kept()).sort()).toEqual(['new.draft', 'old.draft']);
    await engine.dispose();
    await start();
    expect((await kept()).filter((name) => name.endsWith('.draft'))).toEqual(['new.draft']);
  });

  it('is not kept where nothing can be written, which hurts nobody', async () => {
    await writeFile(join(cacheDir, 'onnx'), 'a file where the folder should be');
    expect(await start()).toHaveLength(4);
    expect(fresh).toBe(1);
  });

  it('makes room: of those of other models, the oldest go', async () => {
    await start();
    const [own] = await kept();
    for (let i = 0; i < 12; i++) {
      const path = join(cacheDir, 'onnx', `${String(i).padStart(32, '0')}.onnx`);
      await writeFile(path, 'x');
      await utimes(path, new Date(2020, 0, i + 1), new Date(2020, 0, i + 1));
    }
    await start(tinyModel({ version: 'e'.repeat(64) }));
    const names = await kept();
    expect(names).toHaveLength(8);
    expect(names).toContain(own);
    expect(names).toContain(`${'11'.padStart(32, '0')}.onnx`);
  });
});

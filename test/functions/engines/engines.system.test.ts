import { memory } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { onnxruntime } from '../../../functions/engines/onnxruntime.js';
import { tfjsNode } from '../../../functions/engines/tfjs-node.js';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { graphBytes, graphModel, tinyGraph } from '../support/tiny-graph.js';
import { temporaryFolder, writeModel } from '../support/tiny-model.js';
import { describeEngine, ENGINE, load } from './engine-contract.js';

const TFJS_NODE: string = '@tensorflow/tfjs-node';
const nodeMissing = await import(TFJS_NODE).then(() => undefined, () => `${TFJS_NODE} is not installed, or its binary is not`);

const onnxMissing = await import('onnxruntime-node').then(() => undefined, () => 'onnxruntime-node is not installed, or has no binary for this machine');

describeEngine(onnxruntime, { skip: onnxMissing });
describeEngine(tfjsWasm);
describeEngine(tfjsNode, { skip: nodeMissing });

const builtin = packagePath('models/builtin/model.json');

describe('the engine tfjs-wasm over time', () => {
  it('keeps no tensor of any of 1,000 images', async () => {
    const model = await load(builtin, { layer: 'conv_f_0' });
    const engine = await tfjsWasm.create(model, ENGINE);
    const pixels = new Uint8Array(112 * 112 * 3).fill(190);
    await engine.embed(pixels, 1);
    const before = memory().numTensors;
    for (let i = 0; i < 1_000; i++) await engine.embed(pixels, 1);
    expect(memory().numTensors).toBe(before);
    await engine.dispose();
    expect(memory().numTensors).toBeLessThan(before);
  });
});

describe('the engine tfjs-wasm over time, on a graph', () => {
  it('keeps no tensor of any of 1,000 images, and frees all with the model', async () => {
    const folder = await temporaryFolder();
    const model = await load(await writeModel(folder.path, graphModel(tinyGraph()), graphBytes(tinyGraph())));
    await folder.remove();
    const empty = memory().numTensors;
    const engine = await tfjsWasm.create(model, ENGINE);
    const pixels = new Uint8Array(16 * 16 * 3).fill(190);
    const first = await engine.embed(pixels, 1);
    const before = memory().numTensors;
    for (let i = 0; i < 1_000; i++) await engine.embed(pixels, 1);
    expect(memory().numTensors).toBe(before);
    expect(await engine.embed(pixels, 1)).toEqual(first);
    await engine.dispose();
    expect(memory().numTensors).toBe(empty);
  });
});

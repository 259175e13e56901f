/** What quantising weights does to embeddings of real photos. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { packagePath } from '../../../common/package-root.js';
import { dot, normalise } from '../../../common/vector.js';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { decodeGroup, parseManifest } from '../../../functions/models/weights.js';
import { missingTestData, readPhotos, testDataPath } from '../../support/test-data.js';
import { expectAgreement as expectAgreementWithTfjs, ENGINE, load } from '../engines/engine-contract.js';
import { quantise, seededQuantised } from '../support/tiny-graph.js';
import { temporaryFolder, writeModel, type ModelJson, type WeightJson } from '../support/tiny-model.js';

/** The cosine that embeddings of a quantised network and of its own real numbers must agree to. */
const AGREEMENT = { uint8: 0.99, uint16: 0.9999 } as const;
const PHOTOS = 4;

const missing = missingTestData('models') ?? missingTestData('images');

describe.skipIf(missing)(`quantised weights ${missing ?? ''}`, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => folder.remove());

  const read = (path: string): ModelJson => JSON.parse(readFileSync(path, 'utf8')) as ModelJson;

  /** The numbers of a file's weights, or those of `bytes` by its manifest. */
  function numbersOf(json: ModelJson, bytes: Buffer): { readonly spec: WeightJson; readonly values: Float32Array }[] {
    const [group] = parseManifest(json.weightsManifest, 'model.json');
    const specs = json.weightsManifest[0]!.weights;
    return decodeGroup(group!, bytes, { file: 'model.json', isWanted: () => true }).map(({ values }, i) => ({ spec: specs[i]!, values: Float32Array.from(values) }));
  }

  async function writeAs(kind: 'float32' | 'uint8' | 'uint16', json: ModelJson, numbers: ReturnType<typeof numbersOf>): Promise<string> {
    const parts = numbers.map(({ spec: { name, shape, dtype }, values }) => {
      if (kind === 'float32') return { spec: { name, shape, dtype }, bytes: Buffer.from(values.buffer) };
      const { bytes, quantization } = quantise(values, kind);
      return { spec: { name, shape, dtype, quantization }, bytes };
    });
    const manifest = [{ paths: ['w.bin'], weights: parts.map(({ spec }) => spec) }];
    return writeModel(`${folder.path}/${kind}`, { ...json, weightsManifest: manifest }, Buffer.concat(parts.map(({ bytes }) => bytes)));
  }

  async function embedPhotos(path: string): Promise<Float32Array[]> {
    const model = await load(path);
    const engine = await tfjsWasm.create(model, ENGINE);
    const { width, height } = model.input;
    const vectors: Float32Array[] = [];
    for (const { bytes } of readPhotos(PHOTOS)) {
      const pixels = await sharp(bytes).resize(width, height, { fit: 'fill' }).toColourspace('srgb').removeAlpha().raw().toBuffer();
      vectors.push(normalise(await engine.embed(pixels, 1)));
    }
    await engine.dispose();
    return vectors;
  }

  /** Each photo's cosine between its embeddings of float32 and of `kind`, and the highest between two photos. */
  async function compare(json: ModelJson, numbers: ReturnType<typeof numbersOf>, kind: 'uint8' | 'uint16'): Promise<{ readonly least: number; readonly apart: number }> {
    const plain = await embedPhotos(await writeAs('float32', json, numbers));
    const quantised = await embedPhotos(await writeAs(kind, json, numbers));
    return { least: Math.min(...quantised.map((vector, i) => dot(vector, plain[i]!))), apart: Math.max(...plain.slice(1).map((vector) => dot(vector, plain[0]!))) };
  }

  /** The photos' embeddings must differ from each other by more, for that to say anything. */
  async function expectAgreement(json: ModelJson, numbers: ReturnType<typeof numbersOf>, kind: 'uint8' | 'uint16'): Promise<void> {
    const { least, apart } = await compare(json, numbers, kind);
    expect(least, kind).toBeGreaterThan(AGREEMENT[kind]);
    expect(apart).toBeLessThan(least);
  }

  it('give the embeddings of their real numbers: Teachable Machine (float32), as uint16', async () => {
    const json = read(testDataPath('models/teachable-machine/model.json'));
    await expectAgreement(json, numbersOf(json, readFileSync(testDataPath('models/teachable-machine/weights.bin'))), 'uint16');
  });

  /**
   * Measured: 0.90 to 0.91, and it is the numbers' loss, not the reading's. Quantised alone, the 144 numbers of the first
   * depthwise kernel cost 0.01 to 0.04 (they go from -25 to 22, and the nine of a channel cancel: edges), the 1x1 kernels
   * 0.01 to 0.02, the moving means as much, the variances up to 0.02. uint8 has one scale a weight, and this is the
   * narrowest MobileNetV2 (alpha 0.35). So it is held to TF.js on the same file instead, and to telling photos apart.
   */
  it('lose what TF.js loses with them: Teachable Machine as uint8', async () => {
    const json = read(testDataPath('models/teachable-machine/model.json'));
    const numbers = numbersOf(json, readFileSync(testDataPath('models/teachable-machine/weights.bin')));
    const { least, apart } = await compare(json, numbers, 'uint8');
    expect(least).toBeGreaterThan(0.89);
    expect(apart).toBeLessThan(0.5);
    await expectAgreementWithTfjs(tfjsWasm, await writeAs('uint8', json, numbers), 'global_average_pooling2d_GlobalAveragePooling2D5', 1280, { within: ['sequential_17'] });
  });

  it('give the embeddings of their real numbers: builtin (float16)', async () => {
    const json = read(packagePath('models/builtin/model.json'));
    const numbers = numbersOf(json, readFileSync(packagePath('models/builtin/weights.bin')));
    await expectAgreement(json, numbers, 'uint8');
    await expectAgreement(json, numbers, 'uint16');
  });

  it('give the embeddings of their real numbers: a graph of seeded ones', async () => {
    const json = read(testDataPath('models/topologies/mobilenet-v2-graph-model.json'));
    const numbers = numbersOf(json, seededQuantised(json));
    await expectAgreement(json, numbers, 'uint8');
    await expectAgreement(json, numbers, 'uint16');
  });
});

/** What quantising weights does to embeddings of real photos. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { packagePath } from '../../../common/package-root.js';
import { dot, normalise } from '../../../common/vector.js';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { preprocess } from '../../../functions/models/preprocess.js';
import { decodeGroup, parseManifest } from '../../../functions/models/weights.js';
import { missingTestData, readPhotos, testDataPath } from '../../support/test-data.js';
import { load } from '../engines/engine-contract.js';
import { quantise, seededQuantised } from '../support/tiny-graph.js';
import { temporaryFolder, writeModel, type ModelJson, type WeightJson } from '../support/tiny-model.js';

/** The cosine that embeddings of a quantised network and of its own real numbers must agree to. */
const AGREEMENT = { uint8: 0.99, uint16: 0.999999 } as const;
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
    const engine = await tfjsWasm.create(model);
    const { width, height } = model.input;
    const vectors: Float32Array[] = [];
    for (const { bytes } of readPhotos(PHOTOS)) {
      const pixels = await sharp(bytes).resize(width, height, { fit: 'fill' }).toColourspace('srgb').removeAlpha().raw().toBuffer();
      vectors.push(normalise(await engine.embed(preprocess(pixels, model.input, model.preprocess))));
    }
    engine.dispose();
    return vectors;
  }

  /** Compares each photo's embedding with its own of float32, which must differ from photo to photo for that to say anything. */
  async function expectAgreement(json: ModelJson, numbers: ReturnType<typeof numbersOf>): Promise<void> {
    const plain = await embedPhotos(await writeAs('float32', json, numbers));
    const apart = Math.max(...plain.slice(1).map((vector) => dot(vector, plain[0]!)));
    for (const kind of ['uint8', 'uint16'] as const) {
      const cosines = (await embedPhotos(await writeAs(kind, json, numbers))).map((vector, i) => dot(vector, plain[i]!));
      if (process.env['SHOW']) console.log(kind, cosines, 'apart', apart);
      expect(Math.min(...cosines), kind).toBeGreaterThan(AGREEMENT[kind]);
      expect(apart).toBeLessThan(Math.min(...cosines));
    }
  }

  it('give the embeddings of their real numbers: Teachable Machine (float32)', async () => {
    const json = read(testDataPath('models/teachable-machine/model.json'));
    await expectAgreement(json, numbersOf(json, readFileSync(testDataPath('models/teachable-machine/weights.bin'))));
  });

  it('give the embeddings of their real numbers: builtin (float16)', async () => {
    const json = read(packagePath('models/builtin/model.json'));
    await expectAgreement(json, numbersOf(json, readFileSync(packagePath('models/builtin/weights.bin'))));
  });

  it('give the embeddings of their real numbers: a graph of seeded ones', async () => {
    const json = read(testDataPath('models/topologies/mobilenet-v2-graph-model.json'));
    await expectAgreement(json, numbersOf(json, seededQuantised(json)));
  });
});

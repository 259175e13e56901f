import { io } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { describe, expect, it } from 'vitest';
import { decodeGroup, parseManifest } from '../../../functions/models/weights.js';
import { seededRandom } from '../support/tiny-model.js';

const SPECS = [
  { name: 'a/kernel', shape: [3, 4], dtype: 'float32' },
  { name: 'b/kernel', shape: [5], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.013, min: -1.7 } },
  { name: 'c/kernel', shape: [2, 3], dtype: 'float32', quantization: { dtype: 'uint16', scale: 0.0007, min: 0.3 } },
  { name: 'd/kernel', shape: [7], dtype: 'float32', quantization: { dtype: 'float16', original_dtype: 'float32' } },
  { name: 'e/steps', shape: [3], dtype: 'int32' },
  { name: 'f/steps', shape: [3], dtype: 'int32', quantization: { dtype: 'uint8', scale: 0.4, min: -3 } },
  { name: 'g/scalar', shape: [], dtype: 'float32' },
] as const;
const BYTES = 48 + 5 + 12 + 14 + 12 + 3 + 4;

const random = seededRandom(11);
const bytes = Uint8Array.from({ length: BYTES }, () => Math.floor(random() * 120));
// Of half precision: a subnormal, zeros of both signs, one, a negative number, the largest, infinity.
new Uint8Array(bytes.buffer, 65, 14).set([0x01, 0x00, 0x00, 0x80, 0x00, 0x3c, 0x55, 0xb9, 0xff, 0x7b, 0x00, 0x7c, 0x00, 0x00]);

const [group] = parseManifest([{ paths: ['w.bin'], weights: SPECS }], 'model.json');
const all = { file: 'model.json', isWanted: () => true };

describe('decodeGroup()', () => {
  it('gives the numbers that TF.js gives, plain and quantised', async () => {
    const expected = io.decodeWeights(bytes.buffer, SPECS as unknown as io.WeightsManifestEntry[]);
    const decoded = decodeGroup(group!, bytes, all);
    expect(decoded.map(({ name }) => name)).toEqual(SPECS.map(({ name }) => name));
    for (const { name, shape, values } of decoded) {
      expect(shape, name).toEqual(expected[name]!.shape);
      expect([...values], name).toEqual([...(await expected[name]!.data())]);
    }
  });

  it('leaves out what is not wanted, and still finds what follows it', () => {
    const [only] = decodeGroup(group!, bytes, { ...all, isWanted: (name) => name === 'e/steps' });
    expect([...only!.values]).toEqual([...new Int32Array(bytes.buffer.slice(79, 91))]);
  });

  it('refuses more and fewer bytes than are announced', () => {
    for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, Buffer.of(0)])]) {
      expect(() => decodeGroup(group!, wrong, all)).toThrow(expect.objectContaining({ code: 'EIS_MODEL_FILE', message: expect.stringContaining(`${wrong.length} bytes where model.json announces ${BYTES}`) as string }));
    }
  });
});

describe('parseManifest()', () => {
  it('refuses weights outside the folder of the model', () => {
    for (const path of ['../w.bin', '/etc/passwd', 'a/../../w.bin', 'a\\..\\w.bin', 'https://host/w.bin', 'C:w.bin', '', 'a//b', './w.bin', 'w\0.bin']) {
      expect(() => parseManifest([{ paths: [path], weights: [] }], 'model.json'), path).toThrow(expect.objectContaining({ code: 'EIS_MODEL_FILE' }));
    }
  });

  it('refuses what is no manifest, and types that it does not know', () => {
    const spec = SPECS[0];
    for (const value of [undefined, {}, [null], [{ paths: 1 }], [{ paths: [], weights: [null] }], [{ paths: [], weights: [{ ...spec, shape: [-1] }] }], [{ paths: [], weights: [{ ...spec, dtype: 'string' }] }], [{ paths: [], weights: [{ ...spec, quantization: { dtype: 'int4' } }] }]]) {
      expect(() => parseManifest(value, 'model.json'), JSON.stringify(value)).toThrow(expect.objectContaining({ code: 'EIS_MODEL_FILE' }));
    }
  });
});

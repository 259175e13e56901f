import type { Group } from 'h5wasm';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withHdf5 } from '../../../functions/models/hdf5-file.js';
import { kerasH5Loader } from '../../../functions/models/keras-h5-loader.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { asKeras, kerasH5, makeGroups, setLayers, setTexts, tinyH5, writeHdf5, writeModelFile } from '../support/keras-files.js';
import { OPTIONS, seededRandom, temporaryFolder, tinyClassifier } from '../support/tiny-model.js';

const TINY = asKeras(tinyClassifier());

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let secret: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  secret = join(folder.path, 'secret.bin');
  await writeFile(secret, Buffer.alloc(4_096, 0x42));
});
afterAll(() => folder.remove());

let count = 0;
const load = async (bytes: Buffer): Promise<LoadedModel> => kerasH5Loader.load(await writeModelFile(join(folder.path, `${count++}.h5`), bytes), OPTIONS);
const refused = (words: string | RegExp): object => ({ code: 'EIS_MODEL_FILE', message: (typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)) as string });

/** The tiny classifier, to which something is added or from which something is taken. */
const changed = (change: (weights: Group) => void, libver?: 'latest'): Promise<Buffer> => writeHdf5((file) => {
  file.create_attribute('model_config', JSON.stringify(TINY.topology));
  const weights = file.create_group('model_weights');
  setLayers(weights, TINY.layers);
  change(weights);
}, libver);

const longs = (...numbers: readonly number[]): Buffer => Buffer.concat(numbers.map((number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(number));
  return bytes;
}));

/** Everywhere in a file these bytes are replaced by as many others. */
function replaced(file: Buffer, from: Buffer, to: Buffer): Buffer {
  const bytes = Buffer.from(file);
  let at = bytes.indexOf(from);
  if (at === -1) throw new Error('These bytes are not there.');
  for (; at !== -1; at = bytes.indexOf(from, at + 1)) to.copy(bytes, at);
  return bytes;
}

describe('an HDF5 file', () => {
  it.each<[string, (weights: Group) => void]>([
    ['that links to another file', (weights) => weights.create_external_link('/etc/passwd', '/', 'more')],
    ['that links to itself as another file', (weights) => weights.create_external_link('/model/file.h5', '/model_weights', 'more')],
    ['whose links go round in circles', (weights) => {
      weights.create_soft_link('/model_weights/two', 'one');
      weights.create_soft_link('/model_weights/one', 'two');
    }],
    ['that links to a layer', (weights) => weights.create_soft_link('/model_weights/conv', 'more')],
    ['that links to nowhere', (weights) => weights.create_soft_link('/nowhere', 'more')],
  ])('%s is refused', async (_what, change) => {
    await expect(load(await changed(change))).rejects.toMatchObject(refused('Links are not followed'));
  });

  it('whose groups contain each other is refused', async () => {
    await expect(load(await changed((weights) => weights.create_hard_link('/model_weights', 'loop')))).rejects.toMatchObject(refused('nested more than 32 deep'));
    await expect(load(await changed((weights) => {
      for (const name of ['a', 'b', 'c']) weights.create_hard_link('/model_weights', name);
    }))).rejects.toMatchObject(refused('more than 10000 groups and datasets'));
  });

  it('of deeply nested groups is refused', async () => {
    await expect(load(await changed((weights) => void makeGroups(weights, Array.from({ length: 40 }, () => 'g').join('/'))))).rejects.toMatchObject(refused('nested more than 32 deep'));
  });

  it('whose numbers lie in another file is refused, and that file is not read', async () => {
    // An attribute of the kernel becomes its list of external files, the bytes of another dataset the heap with the name.
    const heap = Buffer.concat([Buffer.from('HEAP\0\0\0\0', 'latin1'), longs(256, 1, 0), Buffer.alloc(8), Buffer.from(`${secret}\0`), Buffer.alloc(256)]).subarray(0, 32 + 256);
    const bytes = await changed((weights) => {
      const kernel = (weights.get('conv') as Group).get('conv/kernel:0') as Group;
      kernel.create_attribute('external', new Int8Array(64).fill(0x7e), [64]);
      weights.create_dataset({ name: 'heap', data: new Int8Array(heap), shape: [heap.length] });
    });
    const heapAt = bytes.indexOf(heap);
    longs(heapAt + 32).copy(bytes, heapAt + 24);
    const message = bytes.indexOf('external\0') - 16;
    expect(bytes.readUInt16LE(message)).toBe(0x0c);
    bytes.writeUInt16LE(0x07, message);
    Buffer.concat([Buffer.from([1, 0, 0, 0, 1, 0, 1, 0]), longs(heapAt, 8, 0, 432)]).copy(bytes, message + 8);
    const layout = bytes.lastIndexOf(longs(432), message) - 10;
    expect([...bytes.subarray(layout, layout + 2)]).toEqual([3, 1]);
    bytes.fill(0xff, layout + 2, layout + 10);
    await expect(load(bytes).then(({ version }) => version)).rejects.toMatchObject(refused(/its dataset "model_weights\/conv\/conv\/kernel:0" cannot be (read|opened) \(.*external.*\)/));
  });

  it('that announces more than it holds is refused before anything is allocated', async () => {
    const before = process.memoryUsage().rss;
    const packed = replaced(await kerasH5(TINY.topology, TINY.layers, { isPacked: true }), longs(3, 3, 3, 4), longs(75_000_000, 3, 3, 4));
    await expect(load(packed)).rejects.toMatchObject(refused(/\[75000000, 3, 3, 4\]/));
    const plain = replaced(await tinyH5(), longs(3, 3, 3, 4), longs(75_000_000, 3, 3, 4));
    await expect(load(plain)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    const overflowing = replaced(await kerasH5(TINY.topology, TINY.layers, { isPacked: true }), longs(3, 3, 3, 4), longs(2 ** 40, 3, 3, 4));
    await expect(load(overflowing)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
  });

  it('whose attributes hold more texts than are read, or names of what is not in it, is refused', async () => {
    const many = await changed((weights) => {
      weights.delete_attribute('layer_names');
      weights.create_attribute('layer_names', Array.from({ length: 120_000 }, () => 'a'), [120_000], 'S1');
    }, 'latest');
    await expect(load(many)).rejects.toMatchObject(refused('announces 120000 texts'));
    const names = await changed((weights) => {
      weights.delete_attribute('layer_names');
      setTexts(weights, 'layer_names', ['conv', '../../etc/passwd']);
    });
    await expect(load(names)).rejects.toMatchObject(refused('names the layer "../../etc/passwd", which is not in it'));
  });

  it('that is cut short anywhere is refused', async () => {
    const whole = await tinyH5();
    for (let length = 8; length < whole.length; length += Math.floor(whole.length / 10)) await expect(load(whole.subarray(0, length)), String(length)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
  });

  it('of which bytes changed is read or refused, and the reading ends', async () => {
    const random = seededRandom(7);
    const whole = await tinyH5();
    for (let i = 0; i < 30; i++) {
      const bytes = Buffer.from(whole);
      for (let k = 0; k <= i % 5; k++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const outcome = await load(bytes).then(() => 'read', (error: unknown) => (error as { code?: string }).code);
      expect(['read', 'EIS_MODEL_FILE'], `variant ${i}`).toContain(outcome);
    }
  }, 120_000);

  it('that sends the library round in circles is given up', async () => {
    const bytes = await tinyH5();
    bytes[bytes.indexOf('{"class_name"') - 8]! += 14; // the size of a text in the heap of texts: HDF5 2.0 never comes to the end of it
    const { path } = await writeModelFile(join(folder.path, 'endless.h5'), bytes);
    const startedAt = performance.now();
    await expect(withHdf5({ kind: 'part', path, start: 0, bytes: bytes.length }, { file: path, stallMs: 2_000 }, async () => undefined)).rejects.toMatchObject(refused(/it is damaged: reading it came to no end/));
    expect(performance.now() - startedAt).toBeLessThan(30_000);
  });
});

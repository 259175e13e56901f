import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ImageMemory } from '../../../common/bucket/image-memory.js';

describe('ImageMemory', () => {
  it('refuses an image for which there is no room beside the others, until there is', async () => {
    const memory = new ImageMemory({ imageBytesMax: 100, heldBytesMax: 150 });
    const first = new PassThrough();
    const held = memory.hold(first, async (image) => image.length);
    first.write(Buffer.alloc(80));
    await new Promise(setImmediate);
    const second = Readable.from([Buffer.alloc(80)]);
    await expect(memory.hold(second, async () => 0)).rejects.toMatchObject({ code: 'EIS_OVERLOADED', retryAfterS: 1 });
    expect(second.destroyed).toBe(true);
    first.end();
    expect(await held).toBe(80);
    expect(await memory.hold(Readable.from([Buffer.alloc(80)]), async (image) => image.length)).toBe(80);
  });

  it('counts an image as long as it is used, and no longer when that fails', async () => {
    const memory = new ImageMemory({ imageBytesMax: 100, heldBytesMax: 100 });
    for (let i = 0; i < 3; i++) await expect(memory.hold(Readable.from([Buffer.alloc(100)]), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await memory.hold(Readable.from([Buffer.alloc(100)]), async () => 'used')).toBe('used');
  });
});

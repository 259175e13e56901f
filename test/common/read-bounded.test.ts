import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readBounded } from '../../common/read-bounded.js';

describe('readBounded()', () => {
  it('gives the whole of a stream', async () => {
    expect((await readBounded(Readable.from([Buffer.from('ab'), Buffer.from('cd')]), 4))?.toString()).toBe('abcd');
    expect(await readBounded(Readable.from([]), 4)).toHaveLength(0);
  });

  it('gives nothing of a longer one, and leaves its rest unread and the stream open', async () => {
    const stream = new PassThrough();
    stream.write(Buffer.from('abc'));
    expect(await readBounded(stream, 2)).toBeUndefined();
    expect(stream.destroyed).toBe(false);
    expect(stream.isPaused()).toBe(true);
    stream.end(Buffer.from('rest'));
    stream.resume();
    await new Promise((resolve) => stream.once('end', resolve));
  });

  it('tells of every piece before it is kept, and ends with what the listener throws, the stream still open', async () => {
    const seen: number[] = [];
    const stream = new PassThrough();
    const reading = readBounded(stream, 100, (bytes) => {
      seen.push(bytes);
      if (seen.length === 2) throw new Error('enough');
    });
    for (const piece of ['a', 'bb', 'ccc']) stream.write(Buffer.from(piece));
    await expect(reading).rejects.toThrow('enough');
    expect(seen).toEqual([1, 2]);
    expect(stream.destroyed).toBe(false);
    expect(['data', 'end', 'error', 'close'].map((event) => stream.listeners(event).filter(({ name }) => ['take', 'end', 'fail', 'close'].includes(name)))).toEqual([[], [], [], []]);
  });

  it('fails with what the stream fails with, before and while it is read', async () => {
    const broken = new PassThrough();
    broken.on('error', () => undefined).destroy(new Error('torn before'));
    await expect(readBounded(broken, 9)).rejects.toThrow('torn before');
    const breaking = new PassThrough();
    const reading = readBounded(breaking, 9);
    breaking.write(Buffer.from('ab'));
    breaking.destroy(new Error('torn'));
    await expect(reading).rejects.toThrow('torn');
  });

  it('fails for a stream that is closed before its end, without an error of its own', async () => {
    const stream = new PassThrough();
    const reading = readBounded(stream, 9);
    stream.write(Buffer.from('ab'));
    stream.destroy();
    await expect(reading).rejects.toThrow('closed before its end');
    await expect(readBounded(stream, 9)).rejects.toThrow('closed before it was read');
  });
});

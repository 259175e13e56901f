import { describe, expect, it } from 'vitest';
import { DecodeTurns, type TurnBounds, type TurnRequest } from '../../functions/decode-turns.js';

interface Run {
  readonly begun: string[];
  readonly start: (name: string, request: TurnRequest) => Promise<void>;
  readonly end: (name: string) => Promise<void>;
  readonly turns: DecodeTurns;
}

/** Work that ends when it is told to. */
function createRun(bounds: TurnBounds): Run {
  const turns = new DecodeTurns(bounds);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const ended = new Map<string, Promise<void>>();
  const start: Run['start'] = (name, request) => {
    const work = async (): Promise<void> => {
      begun.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
    };
    const run = turns.run(request, work);
    ended.set(name, run);
    return run;
  };
  const end: Run['end'] = async (name) => {
    ends.get(name)!();
    await ended.get(name);
  };
  return { begun, start, end, turns };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('DecodeTurns', () => {
  it('decodes as many images at once as it may, in the order they came', async () => {
    const { begun, start, end } = createRun({ imagesMax: 2, pixelsMax: 100 });
    for (const name of ['a', 'b', 'c', 'd']) void start(name, { pixels: 1 });
    await turn();
    expect(begun).toEqual(['a', 'b']);
    await end('b');
    expect(begun).toEqual(['a', 'b', 'c']);
  });

  it('holds no more pixels than it may, and takes an image of more than that alone', async () => {
    const { begun, start, end } = createRun({ imagesMax: 4, pixelsMax: 100 });
    for (const [name, pixels] of [['a', 60], ['b', 40], ['c', 1], ['huge', 200], ['e', 1]] as const) void start(name, { pixels });
    await turn();
    expect(begun).toEqual(['a', 'b']);
    await end('a');
    expect(begun).toEqual(['a', 'b', 'c']);
    await end('b');
    expect(begun).not.toContain('huge');
    await end('c');
    expect(begun).toEqual(['a', 'b', 'c', 'huge']);
    await end('huge');
    expect(begun).toContain('e');
  });

  it('lets only what needs no pixels go before an image that waits for them', async () => {
    const { begun, start, end } = createRun({ imagesMax: 2, pixelsMax: 100 });
    for (const [name, pixels] of [['a', 90], ['b', 90], ['small', 5], ['row by row', 0]] as const) void start(name, { pixels });
    await turn();
    expect(begun).toEqual(['a', 'row by row']);
    await end('a');
    expect(begun).toEqual(['a', 'row by row', 'b']);
  });

  it('does not begin what was given up while it waited, and lets the next one go', async () => {
    const { begun, start, end, turns } = createRun({ imagesMax: 2, pixelsMax: 100 });
    const gone = new AbortController();
    void start('a', { pixels: 90 });
    const given = start('b', { pixels: 90, signal: gone.signal });
    void start('c', { pixels: 10 });
    await turn();
    expect(begun).toEqual(['a']);
    gone.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    await turn();
    expect(begun).toEqual(['a', 'c']);
    await expect(start('d', { pixels: 0, signal: gone.signal })).rejects.toThrow('gone');
    await end('a');
    expect([begun, turns.waiting]).toEqual([['a', 'c'], 0]);
  });

  it('frees the turn of work that failed', async () => {
    const turns = new DecodeTurns({ imagesMax: 1, pixelsMax: 10 });
    await expect(turns.run({ pixels: 10 }, () => Promise.reject(new Error('damaged')))).rejects.toThrow('damaged');
    expect(await turns.run({ pixels: 10 }, async () => 'next')).toBe('next');
  });
});

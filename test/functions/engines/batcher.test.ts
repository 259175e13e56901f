import { describe, expect, it } from 'vitest';
import { BatchSizer } from '../../../functions/engines/batch-sizer.js';
import { Batcher, type FinishedCall, type Lane, type Outcome } from '../../../functions/engines/batcher.js';

/** A lane that answers when it is told to. The embedding of an image is its pixels. */
class HeldLane implements Lane {
  readonly calls: number[][] = [];
  #release: ((how: { readonly error?: Error; readonly outcomes?: readonly Outcome[] }) => void) | undefined;

  async compute(images: readonly Uint8Array[]): Promise<readonly Outcome[]> {
    this.calls.push(images.map(([first]) => first as number));
    const { error, outcomes } = await new Promise<{ readonly error?: Error; readonly outcomes?: readonly Outcome[] }>((resolve) => (this.#release = resolve));
    if (error) throw error;
    return outcomes ?? images.map((image) => Float32Array.from(image));
  }

  /** Lets the present call end, and everybody hear of it. */
  async release(how: { readonly error?: Error; readonly outcomes?: readonly Outcome[] } = {}): Promise<void> {
    this.#release?.(how);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Takes as many as it is told to. */
function fixedSizer(size: number): BatchSizer {
  return Object.assign(new BatchSizer({ imagesMax: 8 }), { next: (waiting: number) => Math.min(size, waiting) });
}

const image = (value: number): Uint8Array => Uint8Array.of(value);

function setUp({ size = 4, lanes = 1 } = {}): { batcher: Batcher; lanes: HeldLane[]; finished: FinishedCall[]; clock: { ms: number }; embed: (value: number, signal?: AbortSignal) => Promise<string> } {
  const finished: FinishedCall[] = [];
  const clock = { ms: 0 };
  const batcher = new Batcher({ sizer: fixedSizer(size), onCall: (call) => finished.push(call), now: () => clock.ms });
  const made = Array.from({ length: lanes }, () => new HeldLane());
  for (const lane of made) batcher.add(lane);
  const embed = (value: number, signal?: AbortSignal): Promise<string> => batcher.embed(image(value), signal).then((vector) => [...vector].join(), (error: Error) => error.message);
  return { batcher, lanes: made, finished, clock, embed };
}

describe('Batcher', () => {
  it('computes an image at once where a lane is idle, and together those that came while it was busy', async () => {
    const { batcher, lanes: [lane], embed } = setUp();
    const answers = [1, 2, 3, 4, 5, 6].map((value) => embed(value));
    expect([lane!.calls, batcher.waiting]).toEqual([[[1]], 5]);
    await lane!.release();
    expect([lane!.calls.at(-1), batcher.waiting]).toEqual([[2, 3, 4, 5], 1]);
    await lane!.release();
    await lane!.release();
    expect(await Promise.all(answers)).toEqual(['1', '2', '3', '4', '5', '6']);
  });

  it('gives each image to one lane, whichever is idle', async () => {
    const { lanes: [left, right], embed } = setUp({ size: 1, lanes: 2 });
    const answers = [1, 2, 3, 4].map((value) => embed(value));
    await right!.release();
    await right!.release();
    expect([left!.calls, right!.calls]).toEqual([[[1]], [[2], [3], [4]]]);
    await Promise.all([left!.release(), right!.release()]);
    expect(await Promise.all(answers)).toEqual(['1', '2', '3', '4']);
  });

  it('does not compute an image that was given up while it waited', async () => {
    const { batcher, lanes: [lane], embed } = setUp();
    const gone = new AbortController();
    const begun = embed(1, gone.signal);
    const answers = [embed(2), embed(3, gone.signal), embed(4)];
    gone.abort(new Error('gone'));
    expect([await answers[1], batcher.waiting]).toEqual(['gone', 2]);
    await lane!.release();
    await lane!.release();
    expect(lane!.calls).toEqual([[1], [2, 4]]);
    expect(await Promise.all([begun, answers[0], answers[2]])).toEqual(['1', '2', '4']);
    expect(await embed(5, gone.signal)).toBe('gone');
    expect(lane!.calls).toHaveLength(2);
  });

  it('fails the images that failed, and no others', async () => {
    const { lanes: [lane], embed } = setUp({ size: 2 });
    const answers = [1, 2, 3, 4, 5].map((value) => embed(value));
    await lane!.release({ outcomes: [new Error('no direction')] });
    await lane!.release({ error: new Error('the thread died') });
    await lane!.release({ outcomes: [Float32Array.of(4), new Error('no direction')] });
    expect(await Promise.all(answers)).toEqual(['no direction', 'the thread died', 'the thread died', '4', 'no direction']);
  });

  it('gives nothing to a lane that is gone, and goes on when there is another', async () => {
    const { batcher, lanes: [lane], embed } = setUp();
    const answers = [1, 2, 3].map((value) => embed(value));
    batcher.remove(lane!);
    await lane!.release({ error: new Error('the thread died') });
    expect([lane!.calls, batcher.hasLanes, batcher.waiting]).toEqual([[[1]], false, 2]);
    const other = new HeldLane();
    batcher.add(other);
    await other.release();
    expect(await Promise.all(answers)).toEqual(['the thread died', '2', '3']);
  });

  it('can fail all that wait', async () => {
    const { batcher, lanes: [lane], embed } = setUp();
    const answers = [1, 2, 3].map((value) => embed(value));
    batcher.rejectWaiting(new Error('closing'));
    expect(batcher.waiting).toBe(0);
    await lane!.release();
    expect(await Promise.all(answers)).toEqual(['1', 'closing', 'closing']);
  });

  it('says of each call how many images it took, how long they had waited, and how long it was', async () => {
    const { lanes: [lane], finished, clock, embed } = setUp();
    const answers = [embed(1)];
    clock.ms = 5;
    answers.push(embed(2));
    clock.ms = 8;
    answers.push(embed(3));
    clock.ms = 10;
    await lane!.release();
    clock.ms = 17;
    await lane!.release();
    await Promise.all(answers);
    expect(finished).toEqual([{ images: 1, durationMs: 10, waitedMs: [0] }, { images: 2, durationMs: 7, waitedMs: [5, 2] }]);
  });
});

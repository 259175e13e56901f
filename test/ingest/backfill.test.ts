import { describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import { backfill, backfillSubmission, type BackfillParts, type BackfillProgress } from '../../ingest/backfill.js';
import { PublishError, type PublishOptions } from '../../ingest/queue/queue.js';
import type { ImageMessage } from '../../common/wire.js';
import { imageWrite } from '../common/store/store-contract.js';
import { MemoryStore } from '../support/memory-store.js';

const version = (letter: string): { version: string; dim: number } => ({ version: letter.repeat(64), dim: 4 });
const texts = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Takes what is published, until it is told to fail. */
class StubQueue {
  readonly published: ImageMessage[] = [];
  readonly models = new Set<string | undefined>();
  fail: (messages: readonly ImageMessage[]) => PublishError | undefined = () => undefined;

  async publish(messages: readonly ImageMessage[], { model }: PublishOptions = {}): Promise<void> {
    this.models.add(model);
    const failure = this.fail(messages);
    this.published.push(...(failure ? failure.confirmed : messages));
    if (failure) throw failure;
  }

  get sources(): string[] {
    return this.published.map(({ source }) => source).sort();
  }
}

async function run(parts: Omit<BackfillParts, 'model' | 'submission'> & Partial<BackfillParts>): Promise<BackfillProgress> {
  let last: BackfillProgress | undefined;
  for await (const progress of backfill({ model: 'new', submission: 's', backoff: { baseMs: 1, capMs: 2 }, ...parts })) last = progress;
  return last!;
}

describe('backfill()', () => {
  it('publishes what the target lacks, each image once, and nothing that was removed from it', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const [one, two, target] = [store.collection('one', version('a')), store.collection('two', version('b')), store.collection('new', version('c'))];
    await one.write(['a', 'b', 'removed everywhere', 'removed here'].map((text) => imageWrite(text)));
    await two.write(['b', 'c'].map((text) => imageWrite(text)));
    await target.write(['c', 'removed here'].map((text) => imageWrite(text)));
    await one.delete(imageWrite('removed everywhere').id);
    await target.delete(imageWrite('removed here').id);
    expect(await run({ store, queue, target, from: [one, two] })).toEqual({ published: 2, known: 0, share: 1 });
    expect(queue.sources).toEqual(['https://example.com/a', 'https://example.com/b']);
    expect([...queue.models]).toEqual(['new']);
    expect(await store.ledger.counts('s')).toMatchObject({ accepted: 2 });
  });

  it('publishes what was removed from the target only where that is asked for, and nothing that is removed before it is read', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const [from, target] = [store.collection('one', version('a')), store.collection('new', version('c'))];
    await from.write(['a', 'removed here', 'removed meanwhile'].map((text) => imageWrite(text)));
    await target.delete(imageWrite('removed here').id);
    store.fault = async (operation) => {
      if (operation !== 'getMany') return;
      store.fault = () => undefined;
      await from.delete(imageWrite('removed meanwhile').id, Date.now());
    };
    expect(await run({ store, queue, target, from: [from], revives: true })).toMatchObject({ published: 2 });
    expect(queue.sources).toEqual(['https://example.com/a', 'https://example.com/removed here']);
  });

  it('publishes every image of a large collection, and says how far it is', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const from = store.collection('one', version('a'));
    await from.write(texts(700).map((text) => imageWrite(text)));
    const shares: number[] = [];
    for await (const { share } of backfill({ store, queue, model: 'new', target: store.collection('new', version('c')), from: [from], submission: 's' })) shares.push(share);
    expect(new Set(queue.sources).size).toBe(700);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  });

  it('hands on what was known of an image with it, and when that was given', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const from = store.collection('one', version('a'));
    const metadata = { values: { year: 2024 }, givenAt: 5 };
    await from.write([imageWrite('a', { metadata }), imageWrite('b')]);
    await run({ store, queue, target: undefined, from: [from] });
    expect(new Map(queue.published.map((message) => [message.source, message.metadata]))).toEqual(new Map([['https://example.com/a', metadata], ['https://example.com/b', undefined]]));
  });

  it('goes on after it was cut off, without publishing anything twice', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const parts = { store, queue, model: 'new', target: undefined, from: [store.collection('one', version('a'))], submission: 's' };
    await parts.from[0]!.write(texts(100).map((text) => imageWrite(text)));
    for await (const { published } of backfill(parts)) if (published > 40) break;
    const before = queue.published.length;
    expect(before).toBeLessThan(100);
    expect(await run(parts)).toEqual({ published: 100 - before, known: before, share: 1 });
    expect(new Set(queue.sources).size).toBe(100);
    expect(queue.published).toHaveLength(100);
  });

  it('waits for a queue that is full, and sends again only what was not confirmed', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const from = store.collection('one', version('a'));
    await from.write(texts(20).map((text) => imageWrite(text)));
    let failures = 5;
    queue.fail = (messages) => (failures-- > 0 ? new PublishError(new EisError('EIS_QUEUE_FULL', { queue: 'new', messagesMax: 1 }, { retryAfterS: 0 }), messages.slice(0, 1)) : undefined);
    expect(await run({ store, queue, target: undefined, from: [from] })).toMatchObject({ published: 20 });
    expect(queue.published).toHaveLength(20);
    expect(await store.ledger.counts('s')).toMatchObject({ accepted: 20 });
  });

  it('gives up waiting when it is told to', async () => {
    const [store, queue] = [new MemoryStore(), new StubQueue()];
    const from = store.collection('one', version('a'));
    await from.write([imageWrite('a')]);
    const stopping = new AbortController();
    queue.fail = () => {
      stopping.abort(new Error('stop'));
      return new PublishError(new Error('away'), []);
    };
    await expect(run({ store, queue, target: undefined, from: [from], signal: stopping.signal })).rejects.toThrow('stop');
  });
});

describe('backfillSubmission()', () => {
  it('goes on with one that has images without an outcome, and begins another after one that has none', async () => {
    const { ledger } = new MemoryStore();
    const live = version('a');
    const first = await backfillSubmission(ledger, { model: 'new', live });
    expect(first).toBe('backfill-new-aaaaaaaa-1');
    const key = { submission: first, source: 'https://example.com/a', model: 'new' };
    await ledger.accept([key]);
    expect(await backfillSubmission(ledger, { model: 'new', live })).toBe(first);
    await ledger.settle([{ ...key, state: 'rejected', code: 'EIS_URL_FAILED', message: 'gone' }]);
    expect(await backfillSubmission(ledger, { model: 'new', live })).toBe('backfill-new-aaaaaaaa-2');
    expect(await backfillSubmission(ledger, { model: 'other', live: undefined })).toBe('backfill-other-new-1');
  });
});

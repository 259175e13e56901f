import { fork, type ChildProcess } from 'node:child_process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseEnvironment } from '../../../common/environment.js';
import { SILENT_LOG } from '../../../common/log.js';
import { packagePath } from '../../../common/package-root.js';
import { EmbeddedQueue } from '../../../ingest/queue/embedded-queue.js';
import { openQueue } from '../../../ingest/queue/open-queue.js';
import { hasEnded, thisProcess } from '../../../common/process-identity.js';
import { tempFolder } from '../../support/temp-folder.js';
import { PublishError } from '../../../ingest/queue/queue.js';
import { DELIVERY_MAX, MESSAGES_MAX, MODELS, describeQueue } from './queue-contract.js';

const image = (i: number): { submission: string; source: string; acceptedAt: number } => ({ submission: 's', source: `https://example.com/${i}`, acceptedAt: 1 });
const openEmbedded = (folder: string): EmbeddedQueue => new EmbeddedQueue({ folder, models: MODELS, deliveryMax: DELIVERY_MAX, messagesMax: MESSAGES_MAX, log: SILENT_LOG });

describeQueue('embedded (LMDB)', () => {
  const folder = tempFolder();
  return { open: async () => openEmbedded(folder) };
});

describe('EmbeddedQueue', () => {
  it('takes all messages of a call or none', async () => {
    const queue = openEmbedded(tempFolder());
    await queue.publish(Array.from({ length: MESSAGES_MAX - 1 }, (_, i) => image(i)));
    const refused = await queue.publish([image(100), image(101)]).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(PublishError);
    expect((refused as PublishError).confirmed).toEqual([]);
    expect((await queue.depth('beta')).ready).toBe(MESSAGES_MAX - 1);
    await queue.publish([image(100)]);
    await queue.close();
  });
});

describe('openQueue()', () => {
  it('opens the embedded queue where no AMQP_URL is set', async () => {
    const queue = await openQueue({ environment: parseEnvironment({ EIS_DATA_DIR: tempFolder() }), models: ['alpha'], log: SILENT_LOG });
    expect(queue).toBeInstanceOf(EmbeddedQueue);
    await queue.close();
  });

  it('says which broker did not answer in time, without its password', async () => {
    const environment = parseEnvironment({ AMQP_URL: 'amqp://eis:s3cret@127.0.0.1:9/images' });
    const failure = await openQueue({ environment, models: ['alpha'], log: SILENT_LOG, brokerWaitMs: 300 }).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringMatching(/AMQP_URL: .*amqp:\/\/127\.0\.0\.1:9\/images .*ECONNREFUSED/) as string });
    expect((failure as Error).message).not.toContain('s3cret');
  });
});

describe('hasEnded()', () => {
  it('knows that this process runs', () => {
    expect(hasEnded(thisProcess())).toBe(false);
  });

  it('sees that a pid was given to another process meanwhile', () => {
    const self = thisProcess();
    expect(hasEnded({ ...self, startTicks: (self.startTicks ?? 0) + 1 })).toBe(self.startTicks !== undefined);
  });

  it('does not judge processes of other hosts', () => {
    expect(hasEnded({ ...thisProcess(), host: 'elsewhere', pid: 999_999_999 })).toBe(false);
  });
});

describe('EmbeddedQueue and processes that are killed', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** A process of its own with the queue open; its messages are collected. */
  const start = (folder: string, mode: string): { child: ChildProcess; said: string[]; ended: Promise<void> } => {
    const child = fork(packagePath('test/support/queue-process.mjs'), [folder, mode, MODELS.join(',')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(child);
    const said: string[] = [];
    child.on('message', (text) => said.push(text as string));
    return { child, said, ended: new Promise((resolve) => child.once('exit', () => resolve())) };
  };
  const until = (condition: () => boolean): Promise<void> => vi.waitFor(() => expect(condition()).toBe(true), { timeout: 15_000, interval: 10 });

  it('delivers to others what a killed process held, uncounted', async () => {
    const folder = tempFolder();
    const queue = openEmbedded(folder);
    await queue.publish(Array.from({ length: 10 }, (_, i) => image(i)));
    const holder = start(folder, 'hold');
    await until(() => holder.said.length === 10);
    holder.child.kill('SIGKILL');
    await holder.ended;
    const got: { source: string; attempt: number; redelivered: boolean }[] = [];
    await queue.consume('alpha', { prefetch: 10, onDelivery: ({ message, attempt, redelivered }) => got.push({ source: message.source, attempt, redelivered }) });
    await until(() => got.length === 10);
    expect(got.map(({ source }) => source)).toEqual(holder.said);
    expect(got.every(({ attempt, redelivered }) => attempt === 1 && redelivered)).toBe(true);
    await queue.close();
  });

  it('loses nothing and settles everything once over processes killed at any moment', async () => {
    const folder = tempFolder();
    const total = 600;
    const queue = new EmbeddedQueue({ folder, models: MODELS, deliveryMax: DELIVERY_MAX, messagesMax: total, log: SILENT_LOG });
    await queue.publish(Array.from({ length: total }, (_, i) => image(i)));
    const acked: string[] = [];
    for (let round = 0; round < 5; round++) {
      const { child, said, ended } = start(folder, 'ack');
      await until(() => said.length >= 6);
      child.kill('SIGKILL');
      await ended;
      acked.push(...said.filter((source) => source !== 'ready'));
    }
    const rest: string[] = [];
    await queue.consume('alpha', {
      prefetch: 20,
      onDelivery: (delivery) => {
        rest.push(delivery.message.source);
        void delivery.ack();
      },
    });
    await vi.waitFor(async () => expect(await queue.depth('alpha')).toMatchObject({ ready: 0, unacked: 0 }), { timeout: 15_000 });
    const every = [...acked, ...rest];
    expect(every.length).toBe(new Set(every).size);
    // A process killed between its commit and saying so settled messages that nobody heard of, ten in hand at the most.
    expect(every.length).toBeGreaterThanOrEqual(total - 5 * 10);
    expect(rest.length).toBeGreaterThan(0);
    await queue.close();
  });

  it('keeps every message that a killed publisher was told is confirmed', async () => {
    const folder = tempFolder();
    const publisher = start(folder, 'publish');
    await until(() => publisher.said.length >= 5);
    publisher.child.kill('SIGKILL');
    await publisher.ended;
    const queue = openEmbedded(folder);
    expect((await queue.depth('alpha')).ready).toBeGreaterThanOrEqual(publisher.said.length);
    const got: string[] = [];
    await queue.consume('beta', { prefetch: MESSAGES_MAX, onDelivery: ({ message }) => got.push(message.source) });
    await until(() => publisher.said.every((source) => got.includes(source)));
    await queue.close();
  });

  it('delivers across processes', async () => {
    const folder = tempFolder();
    const worker = start(folder, 'ack');
    await until(() => worker.said.includes('ready'));
    const queue = openEmbedded(folder);
    await queue.publish([image(1)]);
    await until(() => worker.said.includes(image(1).source));
    await queue.close();
  });
});

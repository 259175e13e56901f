/** What every queue must do: run it over each implementation. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ImageMessage } from '../../../common/wire.js';
import { PublishError, type Consumer, type Delivery, type ImageQueue } from '../../../ingest/queue/queue.js';

export const MODELS = ['alpha', 'beta'] as const;
export const DELIVERY_MAX = 3;
export const MESSAGES_MAX = 100;

export interface QueueFixture {
  /** A queue with MODELS, DELIVERY_MAX and MESSAGES_MAX. Opened again, it is the same queue. */
  open(): Promise<ImageQueue>;
}

const message = (i: number): ImageMessage => ({ submission: 's', source: `https://example.com/${i}.jpg`, acceptedAt: Date.now() });
const messages = (count: number): ImageMessage[] => Array.from({ length: count }, (_, i) => message(i));
const sources = (deliveries: readonly { message: ImageMessage }[]): string[] => deliveries.map((delivery) => delivery.message.source);
const REASON = { code: 'EIS_INTERNAL', message: 'It broke.' };

export function describeQueue(name: string, createFixture: () => QueueFixture): void {
  describe(`ImageQueue: ${name}`, () => {
    let fixture: QueueFixture;
    let queue: ImageQueue;
    let consumers: Consumer[];

    beforeEach(async () => {
      fixture = createFixture();
      queue = await fixture.open();
      consumers = [];
    });
    afterEach(async () => {
      await Promise.all(consumers.map((consumer) => consumer.close()));
      await queue.close();
    });

    const collect = async (from: ImageQueue, model: string, prefetch = 10): Promise<{ deliveries: Delivery[]; consumer: Consumer }> => {
      const deliveries: Delivery[] = [];
      const consumer = await from.consume(model, { prefetch, onDelivery: (delivery) => deliveries.push(delivery) });
      consumers.push(consumer);
      return { deliveries, consumer };
    };
    const until = (condition: () => boolean | Promise<boolean>): Promise<void> => vi.waitFor(async () => expect(await condition()).toBe(true), { timeout: 10_000, interval: 10 });
    const rejectUntilDead = async (): Promise<void> => {
      const { deliveries, consumer } = await collect(queue, 'alpha');
      for (let i = 0; i < DELIVERY_MAX; i++) {
        await until(() => deliveries.length === i + 1);
        await deliveries[i]!.reject(REASON);
      }
      await consumer.close();
    };

    it('delivers every message to every model, in the order of publishing', async () => {
      await queue.publish(messages(5));
      const alpha = await collect(queue, 'alpha');
      const beta = await collect(queue, 'beta');
      await until(() => alpha.deliveries.length === 5 && beta.deliveries.length === 5);
      expect(sources(alpha.deliveries)).toEqual(messages(5).map(({ source }) => source));
      expect(sources(beta.deliveries)).toEqual(sources(alpha.deliveries));
      expect(alpha.deliveries[0]).toMatchObject({ attempt: 1, redelivered: false });
      expect(alpha.deliveries[0]!.message).toMatchObject({ submission: 's', acceptedAt: expect.any(Number) as number });
    });

    it('delivers the metadata that came with an image', async () => {
      const metadata = { values: { tags: ['été', ''], year: 2024, isPublic: true }, givenAt: 5 };
      await queue.publish([{ ...message(0), metadata }, message(1)]);
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 2);
      expect(deliveries.map((delivery) => delivery.message.metadata)).toEqual([metadata, undefined]);
    });

    it('delivers to a consumer that was there first', async () => {
      const { deliveries } = await collect(queue, 'alpha');
      await queue.publish(messages(3));
      await until(() => deliveries.length === 3);
    });

    it('delivers to one model alone what is published for it', async () => {
      await queue.publish(messages(3), { model: 'beta' });
      const { deliveries } = await collect(queue, 'beta');
      await until(() => deliveries.length === 3);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0 });
      await expect(queue.publish(messages(1), { model: 'gamma' })).rejects.toThrow('alpha, beta');
    });

    it('holds no more than the prefetch in hand, and goes on as they are settled', async () => {
      await queue.publish(messages(6));
      const { deliveries } = await collect(queue, 'alpha', 2);
      await until(() => deliveries.length === 2);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 4, unacked: 2, dead: 0 });
      await deliveries[0]!.ack();
      await until(() => deliveries.length === 3);
      await deliveries[1]!.ack();
      await deliveries[2]!.ack();
      await until(() => deliveries.length === 5);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 1, unacked: 2 });
    });

    it('forgets what was acknowledged', async () => {
      await queue.publish(messages(2));
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 2);
      await Promise.all(deliveries.map((delivery) => delivery.ack()));
      expect(await queue.depth('alpha')).toEqual({ ready: 0, unacked: 0, dead: 0, oldestAgeMs: 0 });
      expect(await queue.depth('beta')).toMatchObject({ ready: 2 });
    });

    it('gives no message to two consumers at once', async () => {
      await queue.publish(messages(60));
      const first = await collect(queue, 'alpha', 20);
      const second = await collect(queue, 'alpha', 20);
      await until(() => first.deliveries.length === 20 && second.deliveries.length === 20);
      expect(new Set([...sources(first.deliveries), ...sources(second.deliveries)]).size).toBe(40);
    });

    it('keeps messages over a close', async () => {
      await queue.publish(messages(4));
      const before = await collect(queue, 'alpha');
      await until(() => before.deliveries.length === 4);
      await before.deliveries[0]!.ack();
      await queue.close();
      queue = await fixture.open();
      const after = await collect(queue, 'alpha');
      await until(() => after.deliveries.length === 3);
      expect(sources(after.deliveries)).toEqual(sources(before.deliveries.slice(1)));
      expect(after.deliveries[0]).toMatchObject({ attempt: 1, redelivered: true });
    });

    it('gives back what a closed consumer held, uncounted and in its place', async () => {
      await queue.publish(messages(4));
      const first = await collect(queue, 'alpha', 2);
      await until(() => first.deliveries.length === 2);
      await first.consumer.close();
      const second = await collect(queue, 'alpha');
      await until(() => second.deliveries.length === 4);
      expect(sources(second.deliveries)).toEqual(messages(4).map(({ source }) => source));
      expect(second.deliveries.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
    });

    it('delivers a released message again, uncounted', async () => {
      await queue.publish(messages(1));
      const { deliveries } = await collect(queue, 'alpha');
      for (let i = 0; i < DELIVERY_MAX + 2; i++) {
        await until(() => deliveries.length === i + 1);
        await deliveries[i]!.release();
      }
      await until(() => deliveries.length === DELIVERY_MAX + 3);
      expect(deliveries.at(-1)).toMatchObject({ attempt: 1, redelivered: true });
    });

    it('counts rejections, and dead-letters at the limit with the reason', async () => {
      await queue.publish(messages(1));
      const { deliveries } = await collect(queue, 'alpha');
      for (let attempt = 1; attempt <= DELIVERY_MAX; attempt++) {
        await until(() => deliveries.length === attempt);
        expect(deliveries.at(-1)!.attempt).toBe(attempt);
        expect(await deliveries.at(-1)!.reject(REASON)).toBe(attempt === DELIVERY_MAX);
      }
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0, unacked: 0, dead: 1 });
      const { letters, next } = await queue.dead('alpha', { limit: 10 });
      expect(letters).toMatchObject([{ message: { source: message(0).source }, reason: REASON, deadAt: expect.any(Number) as number }]);
      expect(next).toBeUndefined();
      expect(await queue.depth('beta')).toMatchObject({ ready: 1, dead: 0 });
    });

    it('lets the others pass a rejected message', async () => {
      await queue.publish(messages(2));
      const { deliveries } = await collect(queue, 'alpha', 1);
      await until(() => deliveries.length === 1);
      await deliveries[0]!.reject(REASON);
      await until(() => deliveries.length === 2);
      expect(deliveries[1]!.message.source).toBe(message(1).source);
    });

    it('replays dead letters as if they were new, once they are prepared', async () => {
      await queue.publish(messages(1));
      await rejectUntilDead();
      const prepared: string[] = [];
      const replayed = await queue.replay('alpha', {
        prepare: async (batch) => {
          expect((await queue.depth('alpha')).ready).toBe(0);
          prepared.push(...batch.map(({ source }) => source));
        },
      });
      expect(replayed).toBe(1);
      expect(prepared).toEqual([message(0).source]);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 1, dead: 0 });
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 1);
      expect(deliveries[0]).toMatchObject({ attempt: 1 });
    });

    it('keeps dead letters that could not be prepared', async () => {
      await queue.publish(messages(1));
      await rejectUntilDead();
      await expect(queue.replay('alpha', { prepare: () => Promise.reject(new Error('ledger down')) })).rejects.toThrow('ledger down');
      await until(async () => (await queue.depth('alpha')).dead === 1);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0 });
    });

    it('drops dead letters', async () => {
      await queue.publish(messages(1));
      await rejectUntilDead();
      expect(await queue.drop('alpha')).toBe(1);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0, dead: 0 });
    });

    it('lists dead letters page by page', async () => {
      await queue.publish(messages(5));
      const { deliveries } = await collect(queue, 'alpha');
      const died = new Set<string>();
      let seen = 0;
      await until(async () => {
        for (; seen < deliveries.length; seen++) if (await deliveries[seen]!.reject(REASON)) died.add(deliveries[seen]!.message.source);
        return died.size === 5;
      });
      const first = await queue.dead('alpha', { limit: 3 });
      expect(first.letters).toHaveLength(3);
      const second = await queue.dead('alpha', { limit: 3, after: first.next! });
      expect(second.letters).toHaveLength(2);
      expect(second.next).toBeUndefined();
      expect(new Set(sources([...first.letters, ...second.letters]))).toEqual(died);
    });

    it('delivers nothing while paused', async () => {
      const { deliveries, consumer } = await collect(queue, 'alpha');
      consumer.pause();
      await queue.publish(messages(1));
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(deliveries).toHaveLength(0);
      consumer.resume();
      await until(() => deliveries.length === 1);
    });

    it('takes no more messages than it may hold, give or take those that arrive at once, and says so', async () => {
      await queue.publish(messages(MESSAGES_MAX));
      let refused: unknown;
      for (let i = 0; i < 10 && refused === undefined; i++) refused = await queue.publish(messages(1)).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(PublishError);
      expect((refused as PublishError).failure.code).toBe('EIS_QUEUE_FULL');
      expect((refused as PublishError).confirmed).toEqual([]);
      for (const model of MODELS) {
        const { deliveries, consumer } = await collect(queue, model, MESSAGES_MAX * 2);
        await until(() => deliveries.length >= MESSAGES_MAX);
        expect(deliveries.length).toBeLessThan(MESSAGES_MAX + 10);
        await Promise.all(deliveries.map((delivery) => delivery.ack()));
        await consumer.close();
      }
      await until(() => queue.publish(messages(1)).then(() => true, () => false));
    });

    it('says how old the foremost message is', async () => {
      await queue.publish([{ ...message(0), acceptedAt: Date.now() - 5_000 }, message(1)]);
      expect((await queue.depth('alpha')).oldestAgeMs).toBeGreaterThanOrEqual(5_000);
    });

    it('names the models it knows when asked for another', async () => {
      await expect(queue.consume('gamma', { prefetch: 1, onDelivery: () => {} })).rejects.toMatchObject({ code: 'EIS_MODEL_UNKNOWN', message: expect.stringContaining('alpha, beta') as string });
    });

    it('does nothing when a delivery is settled twice', async () => {
      await queue.publish(messages(2));
      const { deliveries } = await collect(queue, 'alpha', 1);
      await until(() => deliveries.length === 1);
      await deliveries[0]!.ack();
      await deliveries[0]!.ack();
      await until(() => deliveries.length === 2);
      expect(await deliveries[0]!.reject(REASON)).toBe(false);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0, unacked: 1 });
    });
  });
}

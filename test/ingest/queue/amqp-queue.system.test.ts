/** The queue over RabbitMQ: the contract of every queue, and what only a broker can do to it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect, type Channel } from 'amqplib';
import { pino } from 'pino';
import { SILENT_LOG } from '../../../common/log.js';
import type { ImageMessage } from '../../../common/wire.js';
import { AmqpQueue, type AmqpQueueOptions } from '../../../ingest/queue/amqp-queue.js';
import { PublishError, type Consumer, type Delivery } from '../../../ingest/queue/queue.js';
import { Broker, RABBITMQ_MISSING } from '../../support/rabbitmq.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { DELIVERY_MAX, MESSAGES_MAX, MODELS, describeQueue } from './queue-contract.js';

const REASON = { code: 'EIS_INTERNAL', message: 'It broke.' };

let broker: Broker;
let proxy: TcpProxy;
const opened: AmqpQueue[] = [];

const openAmqp = async (options: Partial<AmqpQueueOptions> = {}, waitMs = 10_000): Promise<AmqpQueue> => {
  const queue = new AmqpQueue({ url: broker.url, models: MODELS, deliveryMax: DELIVERY_MAX, messagesMax: MESSAGES_MAX, publishTimeoutMs: 5_000, log: SILENT_LOG, ...options });
  opened.push(queue);
  await queue.ready(waitMs);
  return queue;
};

/** Work on the broker past the queue. */
const onBroker = async <T>(work: (channel: Channel) => Promise<T>): Promise<T> => {
  const connection = await connect(broker.url);
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    return await work(channel);
  } finally {
    await connection.close();
  }
};

const emptyQueues = (): Promise<void> => onBroker(async (channel) => {
  for (const model of MODELS) for (const queue of [`eis.extract.${model}`, `eis.dead.${model}`]) await channel.purgeQueue(queue);
});
const readyOf = (model: string): Promise<number> => onBroker(async (channel) => (await channel.checkQueue(`eis.extract.${model}`)).messageCount);
const proxyUrl = (): string => `amqp://127.0.0.1:${proxy.port}`;
const image = (i: number): ImageMessage => ({ submission: 's', source: `https://example.com/${i}.jpg`, acceptedAt: 1 });
/** From the first to the last, both included. */
const images = (first: number, last: number): ImageMessage[] => Array.from({ length: last - first + 1 }, (_, i) => image(first + i));
const sources = (deliveries: readonly { message: ImageMessage }[]): string[] => deliveries.map(({ message }) => message.source);
const until = (condition: () => boolean | Promise<boolean>): Promise<void> => vi.waitFor(async () => expect(await condition()).toBe(true), { timeout: 15_000, interval: 10 });
const collect = async (queue: AmqpQueue, model: string, prefetch = 10): Promise<{ deliveries: Delivery[]; consumer: Consumer }> => {
  const deliveries: Delivery[] = [];
  return { deliveries, consumer: await queue.consume(model, { prefetch, onDelivery: (delivery) => deliveries.push(delivery) }) };
};
/** Takes and acknowledges everything that waits. */
const drain = async (queue: AmqpQueue, model: string): Promise<string[]> => {
  const { deliveries, consumer } = await collect(queue, model, 1000);
  let acknowledged = 0;
  await until(async () => {
    for (; acknowledged < deliveries.length; acknowledged++) await deliveries[acknowledged]!.ack();
    return (await queue.depth(model)).ready === 0 && acknowledged === deliveries.length;
  });
  await consumer.close();
  return sources(deliveries);
};

if (RABBITMQ_MISSING !== undefined) console.warn(`skipped, the queue over RabbitMQ: ${RABBITMQ_MISSING}`);

describe.skipIf(RABBITMQ_MISSING !== undefined)('RabbitMQ', () => {
  beforeAll(async () => {
    broker = await Broker.start();
    proxy = await TcpProxy.start(broker.port);
    await openAmqp();
  });
  afterAll(async () => {
    await proxy?.close();
    await broker?.stop();
  });
  beforeEach(emptyQueues);
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((queue) => queue.close()));
  });

  describeQueue('RabbitMQ', () => ({ open: () => openAmqp() }));

  describe('what a broker can do to it', () => {
    it('sends again what was not confirmed when its connection was cut', async () => {
      const queue = await openAmqp({ url: proxyUrl() });
      await queue.publish([image(0)]);
      proxy.muteAnswers();
      const publishing = queue.publish(images(1, 20));
      await until(async () => (await readyOf('beta')) === 21);
      proxy.cut();
      await publishing;
      for (const model of MODELS) expect(new Set(await drain(queue, model))).toEqual(new Set(images(0, 20).map(({ source }) => source)));
    });

    it('goes on consuming after a cut: what was in hand comes again uncounted, and settling the lost delivery does nothing', async () => {
      const queue = await openAmqp({ url: proxyUrl() });
      await queue.publish(images(0, 3));
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 4);
      proxy.cut();
      await deliveries[0]!.ack();
      await deliveries[1]!.release();
      await until(() => deliveries.length === 8);
      expect(await deliveries[2]!.reject(REASON)).toBe(false);
      expect(sources(deliveries.slice(4))).toEqual(sources(deliveries.slice(0, 4)));
      expect(deliveries[4]).toMatchObject({ attempt: 1, redelivered: true });
      await Promise.all(deliveries.slice(4).map((delivery) => delivery.ack()));
      await until(async () => (await queue.depth('alpha')).unacked === 0);
      expect(await queue.depth('alpha')).toMatchObject({ ready: 0, dead: 0 });
    });

    it('finishes what it publishes before it closes', async () => {
      const queue = await openAmqp();
      const publishing = queue.publish(images(0, 49));
      await queue.close();
      await publishing;
      expect(await readyOf('beta')).toBe(50);
      await expect(queue.publish([image(50)])).rejects.toMatchObject({ failure: { code: 'EIS_QUEUE_UNAVAILABLE' } });
    });

    it('stays paused over a cut', async () => {
      const queue = await openAmqp({ url: proxyUrl() });
      const { deliveries, consumer } = await collect(queue, 'alpha');
      consumer.pause();
      proxy.cut();
      await queue.publish([image(0)]);
      await until(async () => (await queue.depth('alpha')).ready === 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(deliveries).toHaveLength(0);
      consumer.resume();
      await until(() => deliveries.length === 1);
    });

    it('hands out no more than the prefetch however often it pauses', async () => {
      const queue = await openAmqp();
      await queue.publish(images(0, 20));
      const { deliveries, consumer } = await collect(queue, 'alpha', 5);
      await until(() => deliveries.length === 5);
      for (let i = 0; i < 5; i++) {
        consumer.pause();
        consumer.resume();
        await queue.depth('alpha');
      }
      expect(deliveries).toHaveLength(5);
      await Promise.all(deliveries.slice(0, 5).map((delivery) => delivery.ack()));
      await until(() => deliveries.length === 10);
      expect(sources(deliveries)).toEqual(images(0, 9).map(({ source }) => source));
    });

    it('opens another channel when the broker closes the one it publishes on, and declares what is missing', async () => {
      const queue = await openAmqp();
      await queue.publish([image(0)]);
      await onBroker((channel) => channel.deleteExchange('eis.images'));
      await queue.publish([image(1)]);
      expect(await drain(queue, 'beta')).toEqual(sources([{ message: image(0) }, { message: image(1) }]));
    });

    it('opens another channel when the broker closes the one it consumes on', async () => {
      await broker.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 300), application:set_env(rabbit, channel_tick_interval, 100).');
      const queue = await openAmqp();
      await queue.publish([image(0)]);
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 2);
      await deliveries[0]!.ack();
      expect(deliveries[1]).toMatchObject({ attempt: 1, redelivered: true });
      await queue.close();
      await broker.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000).');
    });

    it('makes its queue again and goes on when that was deleted', async () => {
      const queue = await openAmqp();
      const { deliveries } = await collect(queue, 'alpha');
      await onBroker((channel) => channel.deleteQueue('eis.extract.alpha'));
      await until(() => readyOf('alpha').then(() => true, () => false));
      await queue.publish([image(1)]);
      await until(() => deliveries.length === 1);
    });

    it('fails within its time when the broker takes no messages, goes on acknowledging, and publishes when it takes them again', async () => {
      const queue = await openAmqp({ publishTimeoutMs: 500 });
      await queue.publish(images(0, 1));
      const { deliveries } = await collect(queue, 'alpha');
      await until(() => deliveries.length === 2);
      await broker.ctl('eval', 'rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []}).');
      try {
        const failure = await queue.publish([image(2)]).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(PublishError);
        expect((failure as PublishError).failure).toMatchObject({ code: 'EIS_QUEUE_UNAVAILABLE', message: expect.stringContaining('short of disk') as string });
        expect((failure as PublishError).confirmed).toEqual([]);
        await expect(deliveries[0]!.reject(REASON)).rejects.toMatchObject({ code: 'EIS_QUEUE_UNAVAILABLE' });
        await deliveries[0]!.release();
        await until(() => deliveries.length === 3);
        expect(deliveries[2]).toMatchObject({ attempt: 1, redelivered: true });
        await deliveries[1]!.ack();
      } finally {
        await broker.ctl('eval', 'rabbit_alarm:clear_alarm({resource_limit, disk, node()}).');
      }
      await queue.publish([image(3)]);
      await until(() => sources(deliveries).includes(image(3).source));
    });
  });

  describe('what it does with messages', () => {
    it('publishes to every queue that is bound when it was opened for one model, which may have a second lane', async () => {
      const both = await openAmqp();
      const one = await openAmqp({ models: ['beta'] });
      await one.publish(images(0, 2));
      expect(await both.depth('alpha')).toMatchObject({ ready: 3 });
      expect(await both.depth('beta')).toMatchObject({ ready: 3 });
    });

    it('makes no queue of a second lane for its worker, which finds it when it is added, and not again when it was removed', async () => {
      const [queue, worker] = [await openAmqp(), await openAmqp({ models: ['alpha.next'] })];
      const exists = (): Promise<boolean> => onBroker((channel) => channel.checkQueue('eis.extract.alpha.next')).then(() => true, () => false);
      const { deliveries, consumer } = await collect(worker, 'alpha.next');
      expect(await exists()).toBe(false);
      await queue.addLane('alpha');
      await queue.publish([image(0)]);
      await until(() => deliveries.length === 1);
      await deliveries[0]!.ack();
      await consumer.close();
      await until(() => queue.removeLane('alpha'));
      const again = await collect(worker, 'alpha.next');
      expect(await exists()).toBe(false);
      await again.consumer.close();
    });

    it('counts rejections of a full queue all the same', async () => {
      const queue = await openAmqp();
      await queue.publish([image(0)], { model: 'alpha' });
      const { deliveries, consumer } = await collect(queue, 'alpha', 1);
      await until(() => deliveries.length === 1);
      for (let i = 1, isFull = false; !isFull; i++) isFull = await queue.publish([image(i)], { model: 'alpha' }).then(() => false, () => true);
      for (let attempt = 1; attempt <= DELIVERY_MAX; attempt++) {
        await until(() => deliveries.length === attempt);
        expect(deliveries.at(-1)).toMatchObject({ attempt, message: { source: image(0).source } });
        expect(await deliveries.at(-1)!.reject(REASON)).toBe(attempt === DELIVERY_MAX);
      }
      await consumer.close();
      expect((await queue.dead('alpha', { limit: 5 })).letters).toMatchObject([{ message: { source: image(0).source }, reason: REASON }]);
    });

    it('says that a queue of no model of ours refuses messages', async () => {
      const queue = await openAmqp();
      await onBroker(async (channel) => {
        await channel.assertQueue('removed', { durable: true, arguments: { 'x-max-length': 0, 'x-overflow': 'reject-publish' } });
        await channel.bindQueue('removed', 'eis.images', '');
      });
      const failure = await queue.publish([image(0)]).catch((error: unknown) => error);
      await onBroker((channel) => channel.deleteQueue('removed'));
      expect((failure as PublishError).failure).toMatchObject({ code: 'EIS_QUEUE_UNAVAILABLE', message: expect.stringContaining('is it of a model that was removed?') as string });
    });

    it('keeps a queue that was made with another length, and says so', async () => {
      const lines: string[] = [];
      await openAmqp();
      const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
      const queue = await openAmqp({ messagesMax: MESSAGES_MAX + 1, log });
      expect(lines.join()).toContain('EIS_QUEUE_MESSAGES_MAX');
      await queue.publish([image(0)]);
    });

    it('says at the start what the broker does not take', async () => {
      await expect(openAmqp({ url: `amqp://eis:s3cret@127.0.0.1:${broker.port}` }, 300)).rejects.toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringMatching(/^(?!.*s3cret).*ACCESS_REFUSED/) as string });
      await onBroker((channel) => channel.assertQueue('eis.dead.gamma', { durable: false }));
      await expect(openAmqp({ models: ['gamma'] })).rejects.toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining("inequivalent arg 'durable' for queue 'eis.dead.gamma'") as string });
    });

    it('puts what is no message of ours to the dead letters, and lists it', async () => {
      const queue = await openAmqp();
      await onBroker(async (channel) => {
        channel.sendToQueue('eis.extract.alpha', Buffer.from('hello'), { persistent: true });
        await channel.checkQueue('eis.extract.alpha');
      });
      await queue.publish([image(0)]);
      const { deliveries } = await collect(queue, 'alpha');
      await until(async () => (await queue.depth('alpha')).dead === 1);
      expect(sources(deliveries)).toEqual([image(0).source]);
      expect((await queue.dead('alpha', { limit: 5 })).letters).toMatchObject([{ message: { source: '(no message of ours) hello' }, reason: { code: 'EIS_BAD_REQUEST' } }]);
    });

    it('lists what the broker itself took out, and replays it', async () => {
      const queue = await openAmqp();
      await queue.publish([image(0)]);
      await onBroker(async (channel) => {
        const message = await channel.get('eis.extract.alpha');
        if (message) channel.reject(message, false);
        await until(async () => (await queue.depth('alpha')).dead === 1);
      });
      expect((await queue.dead('alpha', { limit: 5 })).letters).toMatchObject([{ message: image(0), reason: { code: 'EIS_DELIVERY_LIMIT', message: expect.stringContaining('rejected') as string }, deadAt: expect.any(Number) as number }]);
      expect(await queue.replay('alpha')).toBe(1);
      expect(await drain(queue, 'alpha')).toEqual([image(0).source]);
    });
  });

  it('loses nothing that was confirmed when the broker is killed and starts again', async () => {
    const queue = await openAmqp({ publishTimeoutMs: 30_000, messagesMax: MESSAGES_MAX });
    const { deliveries } = await collect(queue, 'alpha', MESSAGES_MAX);
    const confirmed: string[] = [];
    /** Again when it was refused or took too long, as who sends is told to: a broker may need half a minute to start. */
    const publish = async (i: number): Promise<void> => {
      const isLater = await queue.publish([image(i)]).then(() => false, (error: unknown) => {
        expect(error).toMatchObject({ failure: { code: 'EIS_QUEUE_UNAVAILABLE' } });
        return true;
      });
      if (isLater) await publish(i);
      else confirmed.push(image(i).source);
    };
    for (let i = 0; i < 20; i++) await publish(i);
    await Promise.all(deliveries.slice(0, 10).map((delivery) => delivery.ack()));
    const during = Promise.all(Array.from({ length: 20 }, (_, i) => publish(20 + i)));
    await broker.kill();
    const refused = await openAmqp({ publishTimeoutMs: 300 }, 300).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'EIS_ENVIRONMENT_INVALID' });
    await broker.restart();
    await during;
    expect(confirmed).toHaveLength(40);
    expect(new Set(await drain(queue, 'beta'))).toEqual(new Set(confirmed));
    await until(() => confirmed.slice(20).every((source) => sources(deliveries).includes(source)));
  }, 150_000);
});

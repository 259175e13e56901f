/** Chooses the queue by the environment: RabbitMQ where AMQP_URL is set, else LMDB under EIS_DATA_DIR. */
import { join } from 'node:path';
import type { Environment } from '../../common/environment.js';
import type { Log } from '../../common/log.js';
import { AmqpQueue } from './amqp-queue.js';
import { EmbeddedQueue } from './embedded-queue.js';
import type { ImageQueue } from './queue.js';

/** A broker that starts together with the system needs this long. */
const BROKER_WAIT_MS = 60_000;

export interface OpenQueueOptions {
  readonly environment: Environment;
  /** The models whose queues get every message: one, or all that the system has. */
  readonly models: readonly string[];
  readonly log: Log;
  /** Time that a broker is waited for. */
  readonly brokerWaitMs?: number;
}

/**
 * Opens the queue; a broker that cannot be reached is waited for, with a line in the log for every attempt.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID when there is no broker in time; without the password of the URL
 */
export async function openQueue({ environment, models, log, brokerWaitMs = BROKER_WAIT_MS }: OpenQueueOptions): Promise<ImageQueue> {
  const { deliveryMax, queueMessagesMax: messagesMax, publishTimeoutMs } = environment.limits;
  const { amqpUrl } = environment;
  if (amqpUrl === undefined) return new EmbeddedQueue({ folder: join(environment.dataDir, 'queue'), models, deliveryMax, messagesMax, log });
  const queue = new AmqpQueue({ url: amqpUrl, models, deliveryMax, messagesMax, publishTimeoutMs, log });
  try {
    await queue.ready(brokerWaitMs);
  } catch (error) {
    await queue.close();
    throw error;
  }
  return queue;
}

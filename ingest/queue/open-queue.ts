/** Chooses the queue by the environment: RabbitMQ where AMQP_URL is set, else LMDB under EIS_DATA_DIR. */
import { join } from 'node:path';
import type { Environment } from '../../common/environment.js';
import { EisError } from '../../common/errors.js';
import type { Log } from '../../common/log.js';
import { EmbeddedQueue } from './embedded-queue.js';
import type { ImageQueue } from './queue.js';

export interface OpenQueueOptions {
  readonly environment: Environment;
  /** The models whose queues get every message. */
  readonly models: readonly string[];
  readonly log: Log;
}

/** @throws EisError EIS_ENVIRONMENT_INVALID when the environment asks for a queue that this release does not have */
export async function openQueue({ environment, models, log }: OpenQueueOptions): Promise<ImageQueue> {
  if (environment.amqpUrl !== undefined) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'AMQP_URL', detail: 'this release has the embedded queue only. Leave it unset; the queue then lies under EIS_DATA_DIR.' });
  }
  const { deliveryMax, queueMessagesMax } = environment.limits;
  return new EmbeddedQueue({ folder: join(environment.dataDir, 'queue'), models, deliveryMax, messagesMax: queueMessagesMax, log });
}

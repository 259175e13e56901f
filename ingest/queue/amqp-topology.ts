/**
 * What stands in the broker. A durable fan-out exchange `eis.images` copies every message into the queue
 * `eis.extract.<model>` of every model; a durable exchange `eis.dead` takes dead letters to `eis.dead.<model>`. There is
 * one queue of dead letters for each model and not one for all, because they are listed, replayed and dropped by model,
 * and a queue of AMQP cannot be searched. All queues are quorum queues: replicated, and on the disk before a confirm.
 *
 * How attempts are counted: by a header (see `amqp-message.ts`), not by the broker. Its `x-delivery-count` also counts
 * consumers that died or let go and looks at the queue, which must not be held against an image. So a rejected message
 * is published anew behind what waits, and one at its limit is published to `eis.dead` with the reason, each confirmed
 * before the old copy is acknowledged: a crash between the two makes a second copy, never a loss, and the ledger's
 * first outcome stands. The broker's own delivery limit is as good as off: RabbitMQ 4 has one of 20 where none is named,
 * and a worker that was restarted that often while it held an innocent message would lose it. What the broker itself
 * takes out (by a policy of an operator) goes to `eis.dead` at least once, which `reject-publish` is required for.
 */
import type { Channel } from 'amqplib';
import type { Log } from '../../common/log.js';

export interface Topology {
  /** Begins every name; another one makes another system in the same virtual host. */
  readonly prefix: string;
  readonly models: readonly string[];
  /** Messages that wait in one model's queue at the most. */
  readonly messagesMax: number;
}

export interface TopologyNames {
  readonly imagesExchange: string;
  readonly deadExchange: string;
  workQueue(model: string): string;
  deadQueue(model: string): string;
}

/** Runs work on a channel of its own: what the broker refuses costs the channel. */
export type WithChannel = <T>(work: (channel: Channel) => Promise<T>) => Promise<T>;

/** Never reached, and below what any version of the broker takes for no number. */
const DELIVERY_LIMIT_NEVER = 1_000_000_000;

export function topologyNames(prefix: string): TopologyNames {
  return {
    imagesExchange: `${prefix}.images`,
    deadExchange: `${prefix}.dead`,
    workQueue: (model) => `${prefix}.extract.${model}`,
    deadQueue: (model) => `${prefix}.dead.${model}`,
  };
}

/**
 * Declares exchanges, queues and bindings; what is there already stays as it is. A publisher must have done this
 * before it publishes: `mandatory` does not notice one missing queue of several.
 *
 * @throws what the broker answers, when something of these names is there and is of another kind
 */
export async function declareTopology(topology: Topology, withChannel: WithChannel, log: Log): Promise<void> {
  const names = topologyNames(topology.prefix);
  await withChannel(async (channel) => {
    await channel.assertExchange(names.imagesExchange, 'fanout', { durable: true });
    await channel.assertExchange(names.deadExchange, 'direct', { durable: true });
    for (const model of topology.models) {
      await channel.assertQueue(names.deadQueue(model), quorumQueue({}));
      await channel.bindQueue(names.deadQueue(model), names.deadExchange, model);
    }
  });
  for (const model of topology.models) {
    await declareWorkQueue({ topology, model, withChannel, log });
    await withChannel((channel) => channel.bindQueue(names.workQueue(model), names.imagesExchange, ''));
  }
}

interface WorkQueueOptions {
  readonly topology: Topology;
  readonly model: string;
  readonly withChannel: WithChannel;
  readonly log: Log;
}

/** A queue keeps the length that it was made with: a changed limit must not keep anything from its messages. */
async function declareWorkQueue({ topology, model, withChannel, log }: WorkQueueOptions): Promise<void> {
  const names = topologyNames(topology.prefix);
  const queue = names.workQueue(model);
  const options = quorumQueue({
    'x-overflow': 'reject-publish',
    'x-max-length': topology.messagesMax,
    'x-dead-letter-strategy': 'at-least-once',
    'x-dead-letter-exchange': names.deadExchange,
    'x-dead-letter-routing-key': model,
  });
  try {
    await withChannel((channel) => channel.assertQueue(queue, options));
  } catch (error) {
    if (!String(error).includes("inequivalent arg 'x-max-length'")) throw error;
    log.warn({ queue, messagesMax: topology.messagesMax }, 'the queue was made with another length (EIS_QUEUE_MESSAGES_MAX) and keeps it; delete it while it is empty to change that');
  }
}

function quorumQueue(extra: Record<string, unknown>): { durable: true; arguments: Record<string, unknown> } {
  return { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': DELIVERY_LIMIT_NEVER, ...extra } };
}

/** /queues: how full the queue of each model is, and its dead letters, which can be listed, replayed and dropped. */
import { Type } from 'typebox';
import type { App } from '../common/http.js';
import { laneLedgerKey, laneQueue, requireQueueOf } from '../common/lanes.js';
import type { Reembedding, Store } from '../common/store/store.js';
import { DeadQuery, type DeadAnswer, type DeadLetterWire, type DropAnswer, type QueuesAnswer, type ReembeddingStatus, type ReplayAnswer } from '../common/wire-queues.js';
import type { DeadLetter, ImageQueue } from './queue/queue.js';

export interface QueuesRouteParts {
  readonly queue: ImageQueue;
  readonly store: Pick<Store, 'ledger' | 'reembeddings'>;
  /** The models that have a queue; one that is embedded again has a second one, for its second lane. */
  readonly models: readonly string[];
}

/** RabbitMQ takes all letters for every page of them. */
const LISTED_AT_ONCE = 10_000;
const SETTLED_AT_ONCE = 1_000;

const Params = Type.Object({ model: Type.String() });

export function addQueuesRoutes(app: App, { queue, store: { ledger, reembeddings }, models }: QueuesRouteParts): void {
  app.get('/queues', async (): Promise<QueuesAnswer> => {
    const jobs = await reembeddings.list();
    const names = [...models, ...jobs.flatMap(({ model }) => (models.includes(model) ? [laneQueue(model, 'next')] : []))];
    const depths = await Promise.all(names.map(async (model) => ({ model, ...(await queue.depth(model)) })));
    return { queues: depths.map(({ oldestAgeMs, ...depth }) => ({ ...depth, oldest_age_s: oldestAgeMs / 1000 })), ...(jobs.length > 0 ? { reembeddings: jobs.map(describeJob) } : {}) };
  });

  app.get('/queues/:model/dead', { schema: { params: Params, querystring: DeadQuery } }, async (request): Promise<DeadAnswer> => {
    const model = requireQueueOf(models, request.params.model);
    const { limit, after } = request.query;
    const { letters, next } = await queue.dead(model, { limit, ...(after === undefined ? {} : { after }) });
    return { model, letters: letters.map(toWire), next: next ?? null };
  });

  // The ledger first: a message that is worked off while its entry still says `dead` would be dismissed.
  app.post('/queues/:model/dead/replay', { schema: { params: Params } }, async (request): Promise<ReplayAnswer> => {
    const model = requireQueueOf(models, request.params.model);
    try {
      return { model, replayed: await queue.replay(model, { prepare: (messages) => ledger.reopen(messages.map((message) => laneLedgerKey(model, message))) }) };
    } catch (error) {
      await settleDead(model, { queue, ledger }).catch((failure: unknown) => request.log.error({ err: failure }, 'the outcome of dead letters could not be written; replaying or dropping them does'));
      throw error;
    }
  });

  app.delete('/queues/:model/dead', { schema: { params: Params } }, async (request): Promise<DropAnswer> => {
    const model = requireQueueOf(models, request.params.model);
    await settleDead(model, { queue, ledger });
    return { model, dropped: await queue.drop(model) };
  });
}

/** What lies among the dead letters has the outcome `dead`, also where a replay that was cut off had reopened it. */
async function settleDead(model: string, { queue, ledger }: { readonly queue: ImageQueue; readonly ledger: Pick<Store['ledger'], 'settle'> }): Promise<void> {
  let after: string | undefined;
  do {
    const page = await queue.dead(model, { limit: LISTED_AT_ONCE, ...(after === undefined ? {} : { after }) });
    const outcomes = page.letters.flatMap(({ message: { submission, source }, reason }) => (submission === '' ? [] : [{ ...laneLedgerKey(model, { submission, source }), state: 'dead' as const, ...reason }])); // '': no message of ours
    for (let i = 0; i < outcomes.length; i += SETTLED_AT_ONCE) await ledger.settle(outcomes.slice(i, i + SETTLED_AT_ONCE));
    after = page.next;
  } while (after !== undefined);
}

function describeJob({ model, step, to, from, version, missing, agreement, recall, updatedAt }: Reembedding): ReembeddingStatus {
  return {
    model, step,
    to: to.modelUrl ?? model,
    from_version: from.version,
    ...(version ? { version: version.version } : {}),
    ...(missing === undefined ? {} : { missing }),
    ...(agreement ? { agreement } : {}),
    ...(recall ? { recall } : {}),
    updated_at: new Date(updatedAt).toISOString(),
  };
}

function toWire({ message: { submission, source, acceptedAt }, reason: { code, message }, deadAt }: DeadLetter): DeadLetterWire {
  return { submission, source, code, message, accepted_at: new Date(acceptedAt).toISOString(), dead_at: new Date(deadAt).toISOString() };
}

/** /queues: how full the queue of each model is, and its dead letters, which can be listed, replayed and dropped. */
import { Type } from 'typebox';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Ledger } from '../common/store/store.js';
import { DeadQuery, type DeadAnswer, type DeadLetterWire, type DropAnswer, type ImageMessage, type QueuesAnswer, type ReplayAnswer } from '../common/wire.js';
import type { DeadLetter, ImageQueue } from './queue/queue.js';

export interface QueuesRouteParts {
  readonly queue: ImageQueue;
  readonly ledger: Pick<Ledger, 'getMany' | 'reopen' | 'settle'>;
  /** The models that have a queue. */
  readonly models: readonly string[];
}

/** Dead letters whose outcome is written at once. */
const LETTERS_AT_ONCE = 1_000;

const Params = Type.Object({ model: Type.String() });

export function addQueuesRoutes(app: App, { queue, ledger, models }: QueuesRouteParts): void {
  const known = (model: string): string => {
    if (!models.includes(model)) throw new EisError('EIS_MODEL_UNKNOWN', { model, known: [...models] });
    return model;
  };

  app.get('/queues', async (): Promise<QueuesAnswer> => {
    const depths = await Promise.all(models.map(async (model) => ({ model, ...(await queue.depth(model)) })));
    return { queues: depths.map(({ oldestAgeMs, ...depth }) => ({ ...depth, oldest_age_s: oldestAgeMs / 1000 })) };
  });

  app.get('/queues/:model/dead', { schema: { params: Params, querystring: DeadQuery } }, async (request): Promise<DeadAnswer> => {
    const model = known(request.params.model);
    const { limit, after } = request.query;
    const { letters, next } = await queue.dead(model, { limit, ...(after === undefined ? {} : { after }) });
    return { model, letters: letters.map(toWire), next: next ?? null };
  });

  /** What lies among the dead letters has the outcome `dead`, also where a replay that was cut off had reopened it. */
  const settleDead = async (model: string): Promise<void> => {
    for (let after: string | undefined, isLast = false; !isLast; ) {
      const page = await queue.dead(model, { limit: LETTERS_AT_ONCE, ...(after === undefined ? {} : { after }) });
      await ledger.settle(page.letters.map(({ message: { submission, source }, reason }) => ({ submission, source, model, state: 'dead', ...reason })));
      after = page.next;
      isLast = after === undefined;
    }
  };
  /** A second copy of a letter must not reopen what the first one came to. */
  const reopenDead = async (model: string, messages: readonly ImageMessage[]): Promise<void> => {
    const keys = messages.map(({ submission, source }) => ({ submission, source, model }));
    const entries = await ledger.getMany(keys);
    await ledger.reopen(keys.filter((_, i) => entries[i]?.state === 'dead'));
  };

  // The ledger first: a message that is worked off while its entry still says `dead` would be dismissed.
  app.post('/queues/:model/dead/replay', { schema: { params: Params } }, async (request): Promise<ReplayAnswer> => {
    const model = known(request.params.model);
    try {
      return { model, replayed: await queue.replay(model, { prepare: (messages) => reopenDead(model, messages) }) };
    } catch (error) {
      await settleDead(model).catch((failure: unknown) => request.log.error({ err: failure }, 'the outcome of dead letters could not be written; replaying or dropping them does'));
      throw error;
    }
  });

  app.delete('/queues/:model/dead', { schema: { params: Params } }, async (request): Promise<DropAnswer> => {
    const model = known(request.params.model);
    await settleDead(model);
    return { model, dropped: await queue.drop(model) };
  });
}

function toWire({ message: { submission, source, acceptedAt }, reason: { code, message }, deadAt }: DeadLetter): DeadLetterWire {
  return { submission, source, code, message, accepted_at: new Date(acceptedAt).toISOString(), dead_at: new Date(deadAt).toISOString() };
}

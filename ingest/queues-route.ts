/** /queues: how full the queue of each model is, and its dead letters, which can be listed, replayed and dropped. */
import { Type } from 'typebox';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Ledger } from '../common/store/store.js';
import { DeadQuery, type DeadAnswer, type DeadLetterWire, type DropAnswer, type QueuesAnswer, type ReplayAnswer } from '../common/wire.js';
import type { DeadLetter, ImageQueue } from './queue/queue.js';

export interface QueuesRouteParts {
  readonly queue: ImageQueue;
  readonly ledger: Pick<Ledger, 'reopen'>;
  /** The models that have a queue. */
  readonly models: readonly string[];
}

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

  // The ledger first: a message that is worked off while its entry still says `dead` would be dismissed.
  app.post('/queues/:model/dead/replay', { schema: { params: Params } }, async (request): Promise<ReplayAnswer> => {
    const model = known(request.params.model);
    const replayed = await queue.replay(model, { prepare: (messages) => ledger.reopen(messages.map(({ submission, source }) => ({ submission, source, model }))) });
    return { model, replayed };
  });

  app.delete('/queues/:model/dead', { schema: { params: Params } }, async (request): Promise<DropAnswer> => {
    const model = known(request.params.model);
    return { model, dropped: await queue.drop(model) };
  });
}

function toWire({ message: { submission, source, acceptedAt }, reason: { code, message }, deadAt }: DeadLetter): DeadLetterWire {
  return { submission, source, code, message, accepted_at: new Date(acceptedAt).toISOString(), dead_at: new Date(deadAt).toISOString() };
}

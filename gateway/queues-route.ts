/** /queues: what waits to be embedded, and what failed for good. All of it is the wrapper's work. */
import { Type } from 'typebox';
import type { App } from '../common/http.js';
import { SUBMISSION_ID } from '../common/wire.js';
import { BackfillLine, DeadAnswer, DeadQuery, DropAnswer, QueuesAnswer, ReplayAnswer } from '../common/wire-queues.js';
import { createForward, type ForwardParts } from './forward.js';
import { documented } from './openapi.js';

const tags = ['queues'];
const params = Type.Object({ model: Type.String() });

const QUEUES = {
  schema: { tags, operationId: 'queues', summary: 'What waits, by model' },
  config: documented({ scope: 'write', response: { 200: QueuesAnswer } }),
};

const DEAD = {
  schema: { tags, operationId: 'dead', summary: 'Dead letters', description: 'Messages that failed, for a reason of their own that nobody expected, as often as they may be delivered.', params, querystring: DeadQuery },
  config: documented({ scope: 'admin', response: { 200: DeadAnswer } }),
};

const REPLAY = {
  schema: { tags, operationId: 'replay', summary: 'Try dead letters again', description: 'All of a model go back into its queue, as if they had never been delivered.', params },
  config: documented({ scope: 'admin', response: { 200: ReplayAnswer } }),
};

const DROP = {
  schema: { tags, operationId: 'drop', summary: 'Throw dead letters away', description: 'All of a model. The ledger keeps what became of them.', params },
  config: documented({ scope: 'admin', response: { 200: DropAnswer } }),
};

const BACKFILL = {
  schema: {
    tags,
    operationId: 'backfill',
    summary: 'Fill a model',
    description: 'Every stored image that the model has not embedded is put into its queue, and into no other. Answered by a line of JSON for each step; asked again, also after it was cut off, it goes on.',
    params,
    querystring: Type.Object({ submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source, description: 'of the images; default: the last backfill of the model version that is not done, or a new one' })) }),
  },
  config: documented({ scope: 'admin', response: { 200: { description: 'One JSON text a line', content: { 'application/x-ndjson': { schema: BackfillLine } } } } }),
};

export function addQueuesRoutes(scope: App, parts: ForwardParts): void {
  const forward = createForward(parts);
  scope.get('/queues', QUEUES, forward);
  scope.get('/queues/:model/dead', DEAD, forward);
  scope.post('/queues/:model/dead/replay', REPLAY, forward);
  scope.post('/queues/:model/backfill', BACKFILL, forward);
  scope.delete('/queues/:model/dead', DROP, forward);
}

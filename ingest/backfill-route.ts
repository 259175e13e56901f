/** POST /queues/:model/backfill: fills the queue of a model with every stored image that it has not embedded, and says how far it is. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { EisError, toEisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Log } from '../common/log.js';
import { knownCollections } from '../common/store/known-collections.js';
import type { LiveVersion, Store } from '../common/store/store.js';
import { SUBMISSION_ID } from '../common/wire.js';
import type { BackfillLine } from '../common/wire-queues.js';
import { backfill, backfillSubmission } from './backfill.js';
import type { ImageQueue } from './queue/queue.js';

export interface BackfillRouteParts {
  readonly store: Store;
  readonly queue: Pick<ImageQueue, 'publish'>;
  /** The version that a model's function embeds with; undefined where no function is known. @throws EisError EIS_NOT_READY while it does not say */
  readonly functionVersion?: (model: string) => Promise<LiveVersion | undefined>;
  /** The models whose workers get images. */
  readonly ingestModels: readonly string[];
  /** Every model: where images are known from. */
  readonly models: readonly string[];
  readonly log: Log;
}

const Params = Type.Object({ model: Type.String() });
const Query = Type.Object({ submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source })) });

/** The answer is NDJSON, a line for each step; when its client leaves, it ends, and goes on where it stopped when asked again. */
export function addBackfillRoute(app: App, parts: BackfillRouteParts): void {
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort(new EisError('EIS_NOT_READY', { detail: 'The ingest service is closing. Ask again; it goes on from here.' })));
  app.post('/queues/:model/backfill', { schema: { params: Params, querystring: Query } }, async (request, reply) => {
    const { model } = request.params;
    if (!parts.ingestModels.includes(model)) throw new EisError('EIS_MODEL_UNKNOWN', { model, known: [...parts.ingestModels] });
    const standing = await parts.store.liveVersion(model);
    const live = (await parts.functionVersion?.(model)) ?? standing;
    const submission = request.query.submission ?? (await backfillSubmission(parts.store.ledger, { model, live }));
    const lines = Readable.from(describe(parts, { model, live, searched: standing === undefined || standing.version === live?.version, submission, signal: closing.signal }), { objectMode: true, highWaterMark: 1 });
    return reply.type('application/x-ndjson').send(lines);
  });
}

interface Job {
  readonly model: string;
  readonly live: LiveVersion | undefined;
  /** Whether that is the version that is searched, or will be. */
  readonly searched: boolean;
  readonly submission: string;
  readonly signal: AbortSignal;
}

async function* describe({ store, queue, models, log }: BackfillRouteParts, { model, live, searched, submission, signal }: Job): AsyncGenerator<string> {
  const toLine = (line: BackfillLine): string => `${JSON.stringify(line)}\n`;
  let last = { published: 0, known: 0, share: 0, searched };
  try {
    const target = live && store.collection(model, live);
    const from = await knownCollections(store, models, { model, live });
    for await (const progress of backfill({ store, queue, model, target, from, submission, signal })) {
      last = { ...progress, searched };
      yield toLine({ submission, ...last, done: false });
    }
    yield toLine({ submission, ...last, done: true });
  } catch (thrown) {
    const error = toEisError(thrown);
    log.error({ err: error.cause ?? error, code: error.code }, error.message);
    yield toLine({ submission, ...last, done: false, error: error.toBody() });
  }
}

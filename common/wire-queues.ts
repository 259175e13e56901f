/** The shapes of operating the queues, as those of `wire.ts`: how full they are, what is dead in them, filling them again, re-embedding. */
import { Type, type Static } from 'typebox';
import { ErrorBodySchema } from './wire.js';

/**
 * How far a re-embedding is. Before `switched` the former version is searched, and after `rolled_back` again; `finishing`: the
 * main lane takes the version over; `removing`: the second lane ends, and what is not searched goes.
 */
export const REEMBEDDING_STEPS = ['starting', 'filling', 'comparing', 'indexing', 'evaluating', 'switching', 'switched', 'rolled_back', 'finishing', 'removing'] as const;
export type ReembeddingStep = (typeof REEMBEDDING_STEPS)[number];

export const QueueStatus = Type.Object({
  model: Type.String(),
  ready: Type.Integer({ description: 'messages that wait' }),
  unacked: Type.Integer({ description: 'messages in the hands of workers; over RabbitMQ, which tells nobody of others\', always 0 here: the workers\' metrics have them' }),
  dead: Type.Integer({ description: 'dead letters' }),
  oldest_age_s: Type.Number({ description: 'time since the foremost message was accepted; 0 when there is none' }),
});
export type QueueStatus = Static<typeof QueueStatus>;

const Found = Type.Object({ at_1: Type.Integer({ description: 'whose original is the first' }), at_10: Type.Integer({ description: 'whose original is among the first ten' }) });

/** How well both versions of a model find altered copies of stored images. */
export const RecallMeasurement = Type.Object({
  copies: Type.Integer({ description: 'that were searched for in both versions' }),
  passed_over: Type.Integer({ description: 'images that no copy could be made of, because their pictures could not be had again' }),
  former: Found,
  next: Found,
  lost: Type.Integer({ description: 'copies whose original is the first for the former version alone' }),
  gained: Type.Integer({ description: 'copies whose original is the first for the new version alone' }),
});
export type RecallMeasurement = Static<typeof RecallMeasurement>;

/** How far `eis reembed` is with a model. */
export const ReembeddingStatus = Type.Object({
  model: Type.String(),
  step: Type.Enum(REEMBEDDING_STEPS),
  to: Type.String({ description: 'where the file is of what it is embedded with' }),
  from_version: Type.String(),
  version: Type.Optional(Type.String({ description: 'the new one' })),
  missing: Type.Optional(Type.Integer({ description: 'images that the new version has not, when that was last looked at' })),
  agreement: Type.Optional(Type.Object({ overlap: Type.Number(), k: Type.Integer(), sampled: Type.Integer(), among: Type.Integer() }, { description: 'share of the nearest k that both versions find, over stored images' })),
  recall: Type.Optional(RecallMeasurement),
  updated_at: Type.String({ format: 'date-time' }),
});
export type ReembeddingStatus = Static<typeof ReembeddingStatus>;

export const QueuesAnswer = Type.Object({ queues: Type.Array(QueueStatus, { description: 'a model that is embedded again has a second one, MODEL.next' }), reembeddings: Type.Optional(Type.Array(ReembeddingStatus)) }, { $id: 'QueuesAnswer' });
export type QueuesAnswer = Static<typeof QueuesAnswer>;

export const DeadLetterSchema = Type.Object({
  submission: Type.String(),
  source: Type.String(),
  code: Type.String(),
  message: Type.String(),
  accepted_at: Type.String({ format: 'date-time' }),
  dead_at: Type.String({ format: 'date-time' }),
});
export type DeadLetterWire = Static<typeof DeadLetterSchema>;

export const DeadAnswer = Type.Object(
  {
    model: Type.String(),
    letters: Type.Array(DeadLetterSchema, { description: 'the oldest first' }),
    next: Type.Union([Type.String(), Type.Null()], { description: 'pass it as `after` for the next page; null on the last' }),
  },
  { $id: 'DeadAnswer' },
);
export type DeadAnswer = Static<typeof DeadAnswer>;

export const ReplayAnswer = Type.Object({ model: Type.String(), replayed: Type.Integer({ description: 'dead letters that are back in the queue' }) }, { $id: 'ReplayAnswer' });
export type ReplayAnswer = Static<typeof ReplayAnswer>;

export const DropAnswer = Type.Object({ model: Type.String(), dropped: Type.Integer({ description: 'dead letters that were thrown away' }) }, { $id: 'DropAnswer' });
export type DropAnswer = Static<typeof DropAnswer>;

/** The query of `GET /queues/:model/dead`. */
export const DeadQuery = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  after: Type.Optional(Type.String({ maxLength: 512 })),
});

/** A line of the answer of `POST /queues/:model/backfill`. */
export const BackfillLine = Type.Object(
  {
    submission: Type.String({ description: 'whose ledger says what became of the images' }),
    published: Type.Integer({ description: 'images that were put into the queue so far' }),
    known: Type.Integer({ description: 'images that had been put there before, under this submission' }),
    share: Type.Number({ description: 'of the stored images that were gone through, from 0 to 1' }),
    searched: Type.Boolean({ description: 'whether the version that is filled is the one that is searched' }),
    done: Type.Boolean(),
    error: Type.Optional(ErrorBodySchema),
  },
  { $id: 'BackfillLine' },
);
export type BackfillLine = Static<typeof BackfillLine>;

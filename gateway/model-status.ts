/** What is known of the served models: sizes, versions, shards. Asked of the index pods, and remembered for a moment. */
import type { IndexStats, ModelStatus } from '../common/wire.js';
import { fanOut, type FanOutResult } from './fan-out.js';
import type { ServedModel, ServedModels, Shard } from './served-models.js';

export interface ModelStatusesOptions {
  readonly models: ServedModels;
  /** Time that the shards have to answer. */
  readonly timeoutMs: number;
  /** How long an answer is good for. */
  readonly maxAgeMs?: number;
  readonly now?: () => number;
}

export interface ModelStatuses {
  /** The status of every model, in the order of config.json. Never rejects: a shard that fails is named in it. */
  get(requestId: string): Promise<ModelStatus[]>;
  /** Forgets what is remembered: it has just been changed. */
  forget(): void;
  /** What was known last, in a sentence; asks anew in the background. */
  describe(): string;
}

const MAX_AGE_MS = 1_000;

export function createModelStatuses({ models, timeoutMs, maxAgeMs = MAX_AGE_MS, now = Date.now }: ModelStatusesOptions): ModelStatuses {
  let asked: { readonly at: number; readonly statuses: Promise<ModelStatus[]> } | undefined;
  let known: readonly ModelStatus[] = [];
  const get = (requestId: string): Promise<ModelStatus[]> => {
    if (asked && now() - asked.at < maxAgeMs) return asked.statuses;
    const statuses = Promise.all([...models.values()].map((model) => askModel(model, { timeoutMs, requestId })));
    asked = { at: now(), statuses };
    void statuses.then((answered) => {
      known = answered;
    });
    return statuses;
  };
  return {
    get,
    forget() {
      asked = undefined;
    },
    describe() {
      void get('readiness');
      return known.length === 0 ? 'The index shards have not been asked yet.' : known.map(describeModel).join(' ');
    },
  };
}

function describeModel({ name, vectors, shards: { ok, total } }: ModelStatus): string {
  return `${name}: ${ok} of ${total} index shards answer, with ${vectors} vectors.`;
}

async function askModel(model: ServedModel, { timeoutMs, requestId }: { readonly timeoutMs: number; readonly requestId: string }): Promise<ModelStatus> {
  const asked = await fanOut({ shards: model.shards, ask: (shard, signal) => shard.ask((pod, wanted) => pod.stats({ signal: wanted, requestId, timeoutMs }), signal), timeoutMs });
  return summarise(model, asked);
}

/** One model's status. A shard that holds another version than the largest one fails: their vectors do not mix. */
function summarise({ name, weight, shards }: ServedModel, { answers, failures }: FanOutResult<Shard, IndexStats>): ModelStatus {
  const largest = answers.map(({ answer }) => answer).sort((a, b) => b.vectors - a.vectors)[0];
  const version = largest?.model_version ?? '';
  const fits = ({ model_version }: IndexStats): boolean => model_version === version || model_version === '';
  const unfit = answers.filter(({ answer }) => !fits(answer)).map(({ shard }) => ({ shard: shard.name, code: 'EIS_MODEL_VERSION' }));
  const failed = [...failures.map(({ shard, error }) => ({ shard: shard.name, code: error.code })), ...unfit];
  return {
    name,
    dim: largest?.dim ?? 0,
    model_version: version,
    shards: { total: shards.length, ok: shards.length - failed.length, failed },
    vectors: answers.reduce((sum, { answer }) => sum + (fits(answer) ? answer.vectors : 0), 0),
    weight,
  };
}

/** GET /models and POST /reload: the models that are served, and reading their indexes anew. */
import { Type, type Static } from 'typebox';
import { callerSignal } from '../common/caller-signal.js';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import { ModelStatus, type ReloadAnswer } from '../common/wire.js';
import { fanOut } from './fan-out.js';
import type { ModelStatuses } from './model-status.js';
import { documented } from './openapi.js';
import type { ServedModel, ServedModels } from './served-models.js';

const ReplicaReload = Type.Object({
  shard: Type.String({ description: 'i/n, counted from 0' }),
  replica: Type.Integer({ description: 'counted from 0, in the order of the configuration' }),
  ok: Type.Boolean(),
  vectors: Type.Optional(Type.Integer({ description: 'that the replica holds now' })),
  code: Type.Optional(Type.String({ description: 'why it failed' })),
});

const ReloadsAnswer = Type.Object({ models: Type.Array(Type.Object({ model: Type.String(), shards: Type.Array(ReplicaReload, { description: 'every replica of every shard' }) })) }, { $id: 'ReloadsAnswer' });

type ModelReload = Static<typeof ReloadsAnswer>['models'][number];

const ModelsAnswer = Type.Object({ models: Type.Array(ModelStatus) }, { $id: 'ModelsAnswer' });

/** Loading all vectors of a shard takes longer than any search may. */
const RELOAD_TIMEOUT_MS = 60_000;

const tags = ['models'];

export function addModelsRoutes(scope: App, { models, statuses }: { readonly models: ServedModels; readonly statuses: ModelStatuses }): void {
  scope.get('/models', { schema: { tags, operationId: 'models', summary: 'The models that are served', response: { 200: ModelsAnswer } }, config: documented({ scope: 'search' }) }, async (request) => ({ models: await statuses.get(request.id) }));

  scope.post(
    '/reload',
    {
      schema: {
        tags,
        operationId: 'reload',
        summary: 'Load indexes anew',
        description: 'Every replica of every shard reads its vectors from the store again. Indexes follow the store by themselves; this is for repair. 207 when some replicas failed, 503 when all did; both name each.',
        querystring: Type.Object({ model: Type.Optional(Type.String({ description: 'default: every model that is served' })) }),
        response: { 200: ReloadsAnswer, 207: ReloadsAnswer, 503: ReloadsAnswer },
      },
      config: documented({ scope: 'admin' }),
    },
    async (request, reply) => {
      const signal = callerSignal(request.raw, reply.raw);
      const chosen = chooseModels(models, request.query.model);
      const reloaded = await Promise.all(chosen.map((model) => reloadModel(model, request.id, signal)));
      statuses.forget();
      return reply.code(toStatus(reloaded)).send({ models: reloaded });
    },
  );
}

/** @throws EisError EIS_MODEL_UNKNOWN */
function chooseModels(models: ServedModels, name: string | undefined): ServedModel[] {
  if (!name) return [...models.values()];
  const model = models.get(name);
  if (!model) throw new EisError('EIS_MODEL_UNKNOWN', { model: name, known: [...models.keys()] });
  return [model];
}

async function reloadModel(model: ServedModel, requestId: string, signal: AbortSignal): Promise<ModelReload> {
  const replicas = model.shards.flatMap(({ name, pods }) => pods.map((pod, replica) => ({ name, pod, replica })));
  const { answers, failures } = await fanOut({ shards: replicas, ask: (replica, deadline): Promise<ReloadAnswer> => replica.pod.reload({ signal: deadline, requestId, timeoutMs: RELOAD_TIMEOUT_MS }), timeoutMs: RELOAD_TIMEOUT_MS, signal });
  const vectors = new Map(answers.map(({ shard, answer }) => [shard, answer.vectors]));
  const codes = new Map(failures.map(({ shard, error }) => [shard, error.code]));
  const rows = replicas.map((replica) => {
    const row = { shard: replica.name, replica: replica.replica };
    const code = codes.get(replica);
    return code === undefined ? { ...row, ok: true, vectors: vectors.get(replica) as number } : { ...row, ok: false, code };
  });
  return { model: model.name, shards: rows };
}

function toStatus(reloaded: readonly ModelReload[]): 200 | 207 | 503 {
  const rows = reloaded.flatMap(({ shards }) => shards);
  if (rows.every(({ ok }) => ok)) return 200;
  return rows.some(({ ok }) => ok) ? 207 : 503;
}

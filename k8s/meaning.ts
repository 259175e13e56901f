/** What a change of config.json means to who runs the system: what is loaded, embedded and answered otherwise. Plain values in, sentences out. */
import { isDeepStrictEqual } from 'node:util';
import type { Config, IndexingConfig, ModelConfig, ModelDefinition, Pods } from '../common/config.js';
import { laneQueue } from '../common/lanes.js';
import { hasOwnAutoscaler } from './manifests/scaling.js';
import { SIZES } from './manifests/sizes.js';

/** How many vectors of which length the store holds, by model; a model that is missing is unknown. */
export type VectorCounts = ReadonlyMap<string, { readonly vectors: number; readonly dim: number }>;

/** Memory of an index pod: of one number of a vector, of what is known of one image (ARCHITECTURE.md, the exact index), and of an empty pod. */
const BYTES_PER_NUMBER: Readonly<Record<IndexingConfig['algorithm'], number>> = { brute: 1.7, hnsw: 2.6, kd_tree: 6 };
const BYTES_PER_IMAGE = 200;
const EMPTY_BYTES = 120_000_000;
const MEBIBYTE = 1024 * 1024;

/** Memory that one index pod of a model needs, in bytes; undefined where the counts are unknown. */
export function indexPodBytes(model: string, { shards, algorithm }: IndexingConfig, counts: VectorCounts): number | undefined {
  const count = counts.get(model);
  return count && EMPTY_BYTES + (count.vectors / shards) * (count.dim * BYTES_PER_NUMBER[algorithm] + BYTES_PER_IMAGE);
}

/** What changes, a sentence or two for each thing. */
export function explainChanges(before: Config | undefined, after: Config, counts: VectorCounts): string[] {
  if (!before) return [`Nothing runs yet: everything is made new, with ${after.models.map(({ name }) => name).join(', ')}.`, ...indexMemory(after, counts)];
  const [old, fresh] = [new Map(before.models.map((model) => [model.name, model])), new Map(after.models.map((model) => [model.name, model]))];
  return [
    ...after.models.filter(({ name }) => !old.has(name)).map(({ name }) => explainNewModel(name, counts)),
    ...before.models.filter(({ name }) => !fresh.has(name)).map(({ name }) => `${name}: removed. Its gateways, workers and index pods go; its embeddings stay in the store. Its queue eis.extract.${name} stays in RabbitMQ and goes on to take every new image: delete it afterwards.`),
    ...after.models.flatMap((model) => explainModel(old.get(model.name), model, counts)),
    ...after.models.flatMap((model) => explainSecondLane(old.get(model.name), model, after)),
    ...after.models.flatMap(({ name }) => explainIndex(name, before.indexing.get(name), after.indexing.get(name), counts)),
    ...explainTraffic(before, after),
    ...explainShadows(before, after),
  ];
}

function explainNewModel(name: string, counts: VectorCounts): string {
  const most = Math.max(0, ...[...counts.values()].map(({ vectors }) => vectors));
  const images = most > 0 ? `all ${most.toLocaleString('en')} images that are known` : 'the images that are known';
  return `${name}: new. It needs its function first (FUNCTION_URL), and finds nothing until ${images} are embedded for it: "eis backfill ${name}" after this.`;
}

/** What decides which numbers a model makes of an image. */
function identityOf({ modelUrl, sha256, layer, inputSize, preprocess }: ModelDefinition): object {
  return { modelUrl, sha256, layer, inputSize, preprocess };
}

function explainModel(before: ModelConfig | undefined, after: ModelConfig, counts: VectorCounts): string[] {
  if (!before || isDeepStrictEqual(identityOf(before), identityOf(after))) return [];
  if (before.next && isDeepStrictEqual(identityOf(before.next), identityOf(after))) {
    return [`${after.name}: becomes what its second lane runs, which no search notices. Then its function has to be deployed anew ("eis functions --deploy ${after.name}", and not before "eis reembed ${after.name}" has switched: until then its searches would fail), and "eis reembed ${after.name} --finish" waits for that.`];
  }
  const count = counts.get(after.name);
  return [`${after.name}: another model or preprocessing. Deploy its function anew; ${count ? `all ${count.vectors.toLocaleString('en')} images have` : 'every image has'} to be embedded again ("eis backfill ${after.name}"), into a collection of its own beside the old, and until the index holds them its searches answer 409. Under "next" of the model instead, it is embedded again while it is searched ("eis reembed").`];
}

/** What runs beside a model while it is embedded again. */
function explainSecondLane(before: ModelConfig | undefined, after: ModelConfig, { indexing, extractWorkers }: Config): string[] {
  const { name, next } = after;
  const [queue, of] = [laneQueue(name, 'next'), indexing.get(name)];
  if (next && before?.next) {
    return isDeepStrictEqual(identityOf(before.next), identityOf(next)) ? [] : [`${name}: another definition of its second lane. A re-embedding that is under way was begun with the one of before: end it first (--rollback, then --finish), and then deploy the function of ${queue} anew.`];
  }
  if (next && of) {
    return [`${name}: a second lane beside it, for ${next.modelUrl ?? name}: its own function ("eis functions --deploy ${queue}" first), ${of.shards} index shard(s) of ${podsText(of)}, ${podsText(extractWorkers.get(name) as { readonly pods: Pods })} of workers. Its gateways are replaced, and ask both. Nothing else happens until "eis reembed ${name}" in a pod of the wrapper.`];
  }
  return before?.next ? [`${name}: its second lane goes, which is refused while it is what is searched. Its queue eis.extract.${queue} in RabbitMQ takes every new image until "eis reembed ${name} --finish" has removed it; its function stays in the cloud until somebody deletes it.`] : [];
}

function explainIndex(name: string, before: IndexingConfig | undefined, after: IndexingConfig | undefined, counts: VectorCounts): string[] {
  if (!before || !after) return [];
  const memory = describeMemory(name, after, counts);
  if (before.shards !== after.shards) {
    return [
      `${name}: ${before.shards} → ${after.shards} index shards. ${after.shards} new ones of ${podsText(after)} load from the store beside the old, which answer until all are ready; then the gateways are replaced, and the old ones go. No vector moves in the store, and nothing is embedded again.${memory}`,
    ];
  }
  const sentences: string[] = [];
  const settings = ({ algorithm, connectivity, expansionAdd, expansionSearch }: IndexingConfig): object => ({ algorithm, ...(algorithm === 'hnsw' ? { connectivity, expansionAdd, expansionSearch } : {}) });
  if (!isDeepStrictEqual(settings(before), settings(after))) {
    const how = before.algorithm === after.algorithm ? `other settings of ${after.algorithm}` : `${before.algorithm} → ${after.algorithm}${after.algorithm === 'hnsw' ? ', which is approximate' : ''}`;
    const meanwhile = after.pods.min > 1 ? 'the other replicas of its shard answer' : 'there is no other replica of its shard, and answers are partial';
    sentences.push(`${name}: ${how}. Every index pod is replaced, one after the other, and loads again; meanwhile ${meanwhile}.${memory}`);
  }
  if (!isDeepStrictEqual(before.pods, after.pods)) sentences.push(`${name}: ${podsText(before)} → ${podsText(after)} for each of ${after.shards} index shard(s). New ones load their share from the store; the others stay as they are.${memory}`);
  return sentences;
}

function podsText({ pods: { min, max } }: { readonly pods: Pods }): string {
  return min === max ? `${min} pod(s)` : `${min} to ${max} pods`;
}

function indexMemory(config: Config, counts: VectorCounts): string[] {
  return [...config.indexing].flatMap(([name, indexing]) => (counts.has(name) ? [`${name}:${describeMemory(name, indexing, counts)}`] : []));
}

function describeMemory(name: string, indexing: IndexingConfig, counts: VectorCounts): string {
  const bytes = indexPodBytes(name, indexing, counts);
  if (bytes === undefined) return '';
  const limit = SIZES.index.memoryMax * MEBIBYTE;
  const needed = ` A pod needs some ${Math.ceil(bytes / MEBIBYTE)} MiB for ${Math.ceil((counts.get(name)?.vectors ?? 0) / indexing.shards).toLocaleString('en')} vectors, of ${SIZES.index.memoryMax} MiB that it may have.`;
  return bytes <= limit ? needed : `${needed} It would be killed: num_indexes has to be ${Math.ceil(((bytes - EMPTY_BYTES) * indexing.shards) / (limit - EMPTY_BYTES))} at least.`;
}

/** The share of the searches that name no model, by model. */
function sharesOf({ serving }: Config): Map<string, number> {
  const total = [...serving.values()].reduce((sum, { weight }) => sum + weight, 0);
  return new Map([...serving].map(([name, { weight }]) => [name, total === 0 ? 0 : weight / total]));
}

function explainTraffic(before: Config, after: Config): string[] {
  const [old, fresh] = [sharesOf(before), sharesOf(after)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])];
  const moved = names.map((name) => ({ name, from: old.get(name) ?? 0, to: fresh.get(name) ?? 0 })).filter(({ from, to }) => from !== to);
  if (moved.length === 0) return [];
  const share = moved.reduce((sum, { from, to }) => sum + Math.abs(to - from), 0) / 2;
  return [`Of the searches that name no model ${percent(share)} go elsewhere: ${moved.map(({ name, from, to }) => `${name} ${percent(from)} → ${percent(to)}`).join(', ')}. nginx is replaced for it; no index and no gateway is.`];
}

function explainShadows(before: Config, after: Config): string[] {
  return [...after.serving].flatMap(([name, { shadow }]) => {
    const old = before.serving.get(name)?.shadow;
    if (isDeepStrictEqual(old, shadow)) return [];
    if (!shadow) return [`${name}: no search is answered by ${old?.model ?? ''} as well any more. Its gateways are replaced.`];
    return [`${name}: ${percent(shadow.share)} of its searches are answered by ${shadow.model} as well, for the metrics alone (eis_shadow_…): so many more calls of its function and of its index pods, when they have room for them. Its gateways are replaced.`];
  });
}

function percent(share: number): string {
  return `${+(share * 100).toFixed(1)} %`;
}

/** What may go wrong with the configuration as it is, whatever it was. */
export function explainRisks(before: Config | undefined, after: Config): string[] {
  const { rabbitmq, mongo, extractWorkers, models, serving } = after;
  const searched = new Set([...serving].flatMap(([name, { shadow }]) => [name, ...(shadow ? [shadow.model] : [])]));
  const idle = models.filter(({ name }) => !extractWorkers.has(name) && searched.has(name)).map(({ name }) => name);
  return [
    ...(rabbitmq.pods < 3 ? [`RabbitMQ with ${rabbitmq.pods} pod(s) survives no loss: ${rabbitmq.pods === 2 ? 'two nodes have no majority without each other, so when one is away the queues stand still' : 'when it is away the queues are'}. Three survive one.`] : []),
    ...(mongo.podsPerShard < 3 || mongo.configPods < 3 ? [`MongoDB with ${mongo.podsPerShard} pod(s) a shard and ${mongo.configPods} config server(s) survives no loss of one where there are fewer than three.`] : []),
    ...(idle.length > 0 ? [`${idle.join(', ')}: searched, but no worker extracts for it ("extract_worker" does not list it): new images will not be found by it.`] : []),
    ...explainOwnAutoscaler(after),
    ...(before && before.mongo.podsPerShard > mongo.podsPerShard ? [`Pods of MongoDB's replica sets are not taken out of them when there are fewer: run rs.remove() for each first, or the sets lose their majority.`] : []),
    ...(before && before.rabbitmq.pods > rabbitmq.pods ? ['Nodes of RabbitMQ are not taken out of the cluster when there are fewer: run "rabbitmqctl forget_cluster_node" for each afterwards.'] : []),
  ];
}

/** The one thing here that takes rights in the cluster, and what it leaves as it is. */
function explainOwnAutoscaler(config: Config): string[] {
  const { platform, indexing, nginx, wrapper, mongo } = config;
  if (platform.autoscaling !== 'eis') return [];
  const isRange = ({ pods: { min, max } }: { readonly pods: Pods }): boolean => min < max;
  const left = [
    ...(isRange(nginx) ? ['nginx'] : []), ...(isRange(wrapper) ? ['rabbitmq_wrapper'] : []), ...(isRange({ pods: mongo.routerPods }) ? ['the routers of MongoDB'] : []),
    ...[...indexing].filter(([, of]) => isRange(of)).map(([name]) => `the index of ${name}`),
  ];
  return [
    ...(hasOwnAutoscaler(config) ? ['Autoscaling "eis" renders a ServiceAccount, a Role and a RoleBinding, so that its pod may read and change how many pods the gateways and workers have, and nothing else: who applies this needs the right to give that right.'] : ['Autoscaling is "eis", and neither "serving" nor "extract_worker" has a range of pods: nothing is scaled, and no autoscaler runs.']),
    ...(left.length > 0 ? [`Autoscaling "eis" scales gateways and workers alone: ${left.join(', ')} stay at the least of their range.`] : []),
  ];
}

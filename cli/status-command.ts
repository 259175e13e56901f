/** `eis status`: what waits, what failed, what is indexed; and what became of a submission, or of what was refused. */
import type { LedgerAnswer, LedgerEntryWire, ModelStatus } from '../common/wire.js';
import type { QueueStatus, QueuesAnswer, ReembeddingStatus } from '../common/wire-queues.js';
import { describeRecall } from '../ingest/reembed/recall.js';
import { askGateway } from './ask-gateway.js';
import { displaySource, formatAge } from './display.js';
import type { GatewayAddress } from './gateway-option.js';
import { alignColumns, terminalWidth, wrap } from './layout.js';

export interface StatusCommandOptions {
  readonly gateway: GatewayAddress;
  readonly submission?: string;
  readonly rejected: boolean;
  /** Refused images that are listed. */
  readonly limit: number;
  readonly json: boolean;
}

/** What is printed with --json. */
interface Status {
  readonly queues: readonly QueueStatus[];
  readonly models: readonly ModelStatus[];
  readonly reembeddings?: readonly ReembeddingStatus[];
  readonly submission?: { readonly id: string; readonly counts: NonNullable<LedgerAnswer['counts']> };
  readonly rejected?: { readonly entries: readonly LedgerEntryWire[]; readonly more: boolean };
}

const PAGE_MAX = 1000;

export async function statusCommand(options: StatusCommandOptions): Promise<void> {
  const status = await collect(options);
  process.stdout.write(options.json ? `${JSON.stringify(status)}\n` : `${describe(status).join('\n')}\n`);
}

async function collect({ gateway, submission, rejected, limit }: StatusCommandOptions): Promise<Status> {
  const [{ queues, reembeddings }, { models }] = await Promise.all([
    askGateway<QueuesAnswer>({ gateway, path: '/queues' }),
    askGateway<{ models: ModelStatus[] }>({ gateway, path: '/models' }),
  ]);
  const counts = submission === undefined ? undefined : (await readLedger(gateway, { submission, limit: '1' })).counts;
  return {
    queues,
    models,
    ...(reembeddings ? { reembeddings } : {}),
    ...(submission !== undefined && counts ? { submission: { id: submission, counts } } : {}),
    ...(rejected ? { rejected: await listRefused(gateway, submission, limit) } : {}),
  };
}

function readLedger(gateway: GatewayAddress, query: Readonly<Record<string, string>>): Promise<LedgerAnswer> {
  return askGateway({ gateway, path: `/images?${new URLSearchParams(query).toString()}` });
}

/** Both kinds of refusal, those that nobody expected first; within each the newest submission first. */
async function listRefused(gateway: GatewayAddress, submission: string | undefined, limit: number): Promise<NonNullable<Status['rejected']>> {
  const entries: LedgerEntryWire[] = [];
  for (const state of ['dead', 'rejected']) {
    let after: string | null = '';
    while (after !== null && entries.length <= limit) {
      const query = { state, limit: String(Math.min(PAGE_MAX, limit + 1 - entries.length)), ...(submission === undefined ? {} : { submission }), ...(after === '' ? {} : { after }) };
      const page: LedgerAnswer = await readLedger(gateway, query);
      entries.push(...page.entries);
      after = page.next;
    }
  }
  return { entries: entries.slice(0, limit), more: entries.length > limit };
}

function describe({ queues, models, reembeddings = [], submission, rejected }: Status): string[] {
  return [
    ...describeModels(queues, models),
    ...reembeddings.flatMap((job) => ['', ...wrap(describeReembedding(job), terminalWidth(process.stdout))]),
    ...(submission ? ['', describeSubmission(submission)] : []),
    ...(rejected ? ['', ...describeRefused(rejected)] : []),
  ];
}

function describeModels(queues: readonly QueueStatus[], models: readonly ModelStatus[]): string[] {
  const names = [...new Set([...queues, ...models.map(({ name }) => ({ model: name }))].map(({ model }) => model))];
  const rows = names.map((name) => {
    const queue = queues.find(({ model }) => model === name);
    const served = models.find((model) => model.name === name);
    return [
      name,
      ...(queue ? [String(queue.ready), String(queue.unacked), queue.oldest_age_s === 0 ? '—' : formatAge(queue.oldest_age_s), String(queue.dead)] : ['—', '—', '—', '—']),
      served ? String(served.vectors) : '—',
      served ? `${served.shards.ok} of ${served.shards.total}` : name.includes('.') ? 'second lane' : 'not served', // no model's name has a dot
    ];
  });
  const dead = queues.some((queue) => queue.dead > 0) ? ['', ...wrap('There are dead letters: "eis dead list" says why; "eis dead replay" tries them again.', terminalWidth(process.stdout))] : [];
  return [...alignColumns([['model', 'waiting', 'in hand', 'oldest', 'dead', 'vectors', 'shards'], ...rows], [1, 2, 3, 4, 5]), ...dead];
}

const STEPS: Readonly<Record<ReembeddingStatus['step'], string>> = {
  starting: 'its second lane is starting',
  filling: 'the new version is being filled, with what waits for MODEL.next',
  comparing: 'both versions are being compared',
  indexing: 'the indexes of the new version are coming up',
  evaluating: 'altered copies of stored images are searched for in both versions',
  switching: 'the new version is about to be searched',
  switched: 'the new version is searched, the former one is kept ("eis reembed MODEL --rollback" goes back to it, "eis reembed MODEL --finish" removes it)',
  rolled_back: 'the former version is searched, the new one is kept ("eis reembed MODEL" goes on with it, "eis reembed MODEL --finish" removes it)',
  finishing: 'the new version is searched, and its main lane takes it over ("eis reembed MODEL --finish" goes on)',
  removing: 'what is not searched is being removed ("eis reembed MODEL --finish" goes on)',
};

function describeReembedding({ model, step, to, missing = 0, agreement, recall }: ReembeddingStatus): string {
  const measured = [
    ...(agreement ? [`Both versions agree on ${(100 * agreement.overlap).toFixed(1)} % of the nearest ${agreement.k}.`] : []),
    ...(recall ? [describeRecall(recall)] : []),
    ...(missing > 0 ? [`${missing} images could not be embedded with the new weights.`] : []),
  ];
  const isSwitched = ['switched', 'rolled_back', 'finishing', 'removing'].includes(step);
  const goOn = isSwitched ? [] : [`If nobody runs the command any more, "eis reembed ${model}" goes on, or says why it cannot.`];
  return [`${model} is being embedded again with ${to}: ${STEPS[step].replaceAll('MODEL', model)}.`, ...measured, ...goOn].join(' ');
}

function describeSubmission({ id, counts }: NonNullable<Status['submission']>): string {
  const known = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (known === 0) return `Submission ${id}: nothing of it is known here.`;
  const outcomes = [`${counts.stored} stored`, `${counts.duplicate} known already`, `${counts.rejected} rejected`, `${counts.dead} dead`, `${counts.accepted} not done`];
  return `Submission ${id}: ${outcomes.join(', ')}.`;
}

function describeRefused({ entries, more }: NonNullable<Status['rejected']>): string[] {
  if (entries.length === 0) return ['Nothing was rejected.'];
  const lines = entries.flatMap(({ source, model, code = '', message = '' }) => [`${displaySource(source)} (${model}) ${code}`, ...wrap(message, terminalWidth(process.stdout)).map((line) => `  ${line}`)]);
  return [...lines, ...(more ? ['… and more; --limit says how many are listed.'] : [])];
}


/** `eis dead`: the messages that failed for good. List them, try them again once their cause is mended, or drop them. */
import { EisError } from '../common/errors.js';
import type { DeadAnswer, DeadLetterWire, DropAnswer, QueuesAnswer, ReplayAnswer } from '../common/wire-queues.js';
import { askGateway } from './ask-gateway.js';
import { displaySource, formatAge } from './display.js';
import type { GatewayAddress } from './gateway-option.js';
import { terminalWidth, wrap } from './layout.js';

export interface DeadReplayOptions {
  readonly gateway: GatewayAddress;
  /** Default: every model that has a queue. */
  readonly model?: string;
  readonly json: boolean;
}

export interface DeadListOptions extends DeadReplayOptions {
  /** Dead letters that are listed, of each model. */
  readonly limit: number;
}

export interface DeadDropOptions extends DeadReplayOptions {
  /** Said in place of a model. */
  readonly all: boolean;
}

interface ListedModel {
  readonly model: string;
  readonly dead: number;
  readonly letters: readonly DeadLetterWire[];
}

const PAGE_MAX = 1000;

export async function deadListCommand({ gateway, model, limit, json }: DeadListOptions): Promise<void> {
  const listed: ListedModel[] = [];
  for (const queue of await chooseQueues(gateway, model)) listed.push({ model: queue.model, dead: queue.dead, letters: queue.dead === 0 ? [] : await list(gateway, queue.model, limit) });
  process.stdout.write(json ? `${JSON.stringify({ models: listed })}\n` : `${listed.flatMap(describe).join('\n')}\n`);
}

export async function deadReplayCommand({ gateway, model, json }: DeadReplayOptions): Promise<void> {
  const answers: ReplayAnswer[] = [];
  for (const queue of await chooseQueues(gateway, model)) answers.push(await askGateway({ gateway, path: `/queues/${encodeURIComponent(queue.model)}/dead/replay`, method: 'POST' }));
  process.stdout.write(json ? `${JSON.stringify({ models: answers })}\n` : answers.map((answer) => `${answer.model}: ${answer.replayed} back in the queue.\n`).join(''));
}

export async function deadDropCommand({ gateway, model, all, json }: DeadDropOptions): Promise<void> {
  if (model === undefined && !all) throw new EisError('EIS_BAD_REQUEST', { detail: 'Dropped letters are gone. Name the model (--model NAME), or say --all.' });
  const answers: DropAnswer[] = [];
  for (const queue of await chooseQueues(gateway, model)) answers.push(await askGateway({ gateway, path: `/queues/${encodeURIComponent(queue.model)}/dead`, method: 'DELETE' }));
  process.stdout.write(json ? `${JSON.stringify({ models: answers })}\n` : answers.map((answer) => `${answer.model}: ${answer.dropped} dropped. "eis status --rejected" still knows them.\n`).join(''));
}

/** @throws EisError EIS_MODEL_UNKNOWN */
async function chooseQueues(gateway: GatewayAddress, model: string | undefined): Promise<QueuesAnswer['queues']> {
  const { queues } = await askGateway<QueuesAnswer>({ gateway, path: '/queues' });
  const chosen = queues.filter((queue) => model === undefined || queue.model === model);
  if (model !== undefined && chosen.length === 0) throw new EisError('EIS_MODEL_UNKNOWN', { model, known: queues.map((queue) => queue.model) });
  return chosen;
}

async function list(gateway: GatewayAddress, model: string, limit: number): Promise<DeadLetterWire[]> {
  const letters: DeadLetterWire[] = [];
  let after: string | null = '';
  while (after !== null && letters.length < limit) {
    const query = new URLSearchParams({ limit: String(Math.min(PAGE_MAX, limit - letters.length)), ...(after === '' ? {} : { after }) });
    const page: DeadAnswer = await askGateway({ gateway, path: `/queues/${encodeURIComponent(model)}/dead?${query.toString()}` });
    letters.push(...page.letters);
    after = page.next;
  }
  return letters;
}

function describe({ model, dead, letters }: ListedModel): string[] {
  if (dead === 0) return [`${model}: no dead letters.`];
  const lines = letters.flatMap(({ source, submission, code, message, dead_at: deadAt }) => [
    `  ${displaySource(source)}  (${code}, ${formatAge((Date.now() - Date.parse(deadAt)) / 1000)} ago, submission ${submission})`,
    ...wrap(message, terminalWidth(process.stdout)).map((line) => `    ${line}`),
  ]);
  return [`${model}: ${dead} dead ${dead === 1 ? 'letter' : 'letters'}.`, ...lines, ...(dead > letters.length ? [`  … and ${dead - letters.length} more; --limit says how many are listed.`] : [])];
}

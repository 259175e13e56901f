/**
 * Takes the messages of one model from the queue and works them off: embed, write in batches, settle in the ledger,
 * acknowledge, in this order, so that a worker killed at any moment leaves nothing behind but work to do again.
 * What becomes of failures stands in `failure-policy.ts`.
 */
import { setMaxListeners } from 'node:events';
import type { Bucket } from '../common/bucket/bucket.js';
import type { EmbedClient } from '../common/embed-client.js';
import { withDeadline } from '../common/deadline.js';
import { EisError, toEisError } from '../common/errors.js';
import { laneQueue, type Lane } from '../common/lanes.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { LedgerEntry, LiveVersion, Store } from '../common/store/store.js';
import type { ImageMessage } from '../common/wire.js';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { continueTrace, type SpanStart } from '../common/tracing.js';
import { extract, type StoredImage } from './extract.js';
import { failureKind } from './failure-policy.js';
import { FunctionGate } from './function-gate.js';
import { OutcomeWriter, type Outcome } from './outcome-writer.js';
import type { Consumer, Delivery, ImageQueue } from './queue/queue.js';
import type { WorkerMetrics } from './worker-metrics.js';

export interface WorkerOptions {
  readonly model: string;
  /** Of the model, whose queue it works off. Default: main. */
  readonly lane?: Lane;
  readonly queue: ImageQueue;
  readonly store: Store;
  readonly bucket: Pick<Bucket, 'get' | 'sha256Of'>;
  readonly client: Pick<EmbedClient, 'embed'>;
  /** Whether the function says that it is ready. Never throws. */
  readonly isFunctionReady: () => Promise<boolean>;
  /** The version that the function embeds with now; undefined while it does not say. Never throws. */
  readonly functionVersion: () => Promise<LiveVersion | undefined>;
  readonly limits: Pick<Limits, 'workerEmbedsMax' | 'writeBatchMax' | 'writeBatchWaitMs' | 'deliveryMax' | 'deliveryHoldMs'>;
  readonly metrics: WorkerMetrics;
  readonly log: Log;
  /** Waits between attempts; the default suits a service that restarts in seconds. */
  readonly backoff?: Backoff;
  /** Time that closing leaves to the calls under way. */
  readonly closeGraceMs?: number;
}

const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 10_000 };

const DEFAULT_CLOSE_GRACE_MS = 2_000;

/** Time that what was given up has to let go; a call that does not is left behind. */
const ABORT_GRACE_MS = 500;

/** Why work is given up that is not finished when the worker closes. */
const CLOSING = new Error('The worker is closing.');

/** Why work is given up that what it needs was away for too long. */
const HELD_TOO_LONG = new Error('The message was held for as long as it may be.');

/** What a worker waits for, consuming nothing. */
export type Awaited = 'function' | 'store';

export class Worker {
  readonly #options: WorkerOptions & { readonly lane: Lane };
  readonly #backoff: Backoff;
  readonly #gate: FunctionGate;
  readonly #writer: OutcomeWriter;
  readonly #stopping = new AbortController();
  readonly #abort = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #awaited = new Set<Awaited>();
  #consumer: Consumer | undefined;

  constructor(options: WorkerOptions) {
    this.#options = { lane: 'main', ...options };
    setMaxListeners(0, this.#stopping.signal, this.#abort.signal); // one for each message in hand
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#writer = new OutcomeWriter({ ...this.#options, backoff: this.#backoff, abort: this.#abort.signal, onChange: (isOpen, error) => this.#onChange('store', isOpen, error) });
    this.#gate = new FunctionGate({
      client: options.client,
      isReady: options.isFunctionReady,
      callsMax: options.limits.workerEmbedsMax,
      backoff: this.#backoff,
      stopping: this.#stopping.signal,
      abort: this.#abort.signal,
      onUnread: (error) => {
        options.metrics.countRetry('bucket');
        options.log.warn({ code: error.code, err: error.cause }, 'an image cannot be read from the bucket; trying again');
      },
      onChange: (isOpen, error) => {
        if (!isOpen) options.metrics.countRetry('function');
        this.#onChange('function', isOpen, error);
      },
    });
  }

  /** Starts to take messages: as many at once as the function is asked to embed, and one write batch. */
  async start(): Promise<void> {
    const { queue, model, lane, limits } = this.#options;
    this.#consumer = await queue.consume(laneQueue(model, lane), {
      prefetch: limits.workerEmbedsMax + limits.writeBatchMax,
      onDelivery: (delivery) => this.#begin(delivery),
    });
  }

  /** What it waits for; while there is something, no message is taken. */
  get awaited(): readonly Awaited[] {
    return [...this.#awaited];
  }

  /** Takes no more messages, finishes what the function has in hand, and gives back the rest. */
  async close(): Promise<void> {
    this.#consumer?.pause();
    this.#stopping.abort(CLOSING);
    this.#writer.flush();
    await this.#finished(this.#options.closeGraceMs ?? DEFAULT_CLOSE_GRACE_MS);
    this.#abort.abort(CLOSING);
    await this.#finished(ABORT_GRACE_MS);
    await this.#consumer?.close();
  }

  /** Resolves when no message is in hand any more, at the latest after `ms`. */
  async #finished(ms: number): Promise<void> {
    const over = new AbortController();
    const late = wait(ms, over.signal).catch(() => undefined);
    await Promise.race([Promise.all(this.#tasks), late]);
    over.abort();
  }

  #onChange(part: Awaited, isOpen: boolean, error: EisError | undefined): void {
    const { log, metrics } = this.#options;
    metrics.setWaiting(part, !isOpen);
    if (isOpen) {
      log.info(`the ${part} is back`);
      this.#awaited.delete(part);
      if (this.#awaited.size === 0 && !this.#stopping.signal.aborted) this.#consumer?.resume();
    } else {
      log.warn({ code: error?.code, err: error?.cause }, `the ${part} cannot serve; waiting for it`);
      this.#awaited.add(part);
      this.#consumer?.pause();
    }
  }

  // ── One message ───────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(delivery: Delivery): void {
    if (delivery.redelivered) this.#options.metrics.countRedelivery();
    const { traceparent } = delivery.message;
    const task = continueTrace({ traceparent }, this.#describe(delivery), () => this.#work(delivery)).finally(() => {
      this.#tasks.delete(task);
      this.#options.metrics.setInFlight(this.#tasks.size);
    });
    this.#tasks.add(task);
    this.#options.metrics.setInFlight(this.#tasks.size);
  }

  #describe({ attempt, message: { submission } }: Delivery): SpanStart {
    const { model } = this.#options;
    return { name: `process ${model}`, kind: 'consumer', attributes: { 'messaging.operation.name': 'process', 'messaging.operation.type': 'process', 'messaging.destination.name': model, 'eis.submission': submission, 'eis.attempt': attempt } };
  }

  /** Settles a delivery in one way or another; never throws. */
  async #work(delivery: Delivery): Promise<void> {
    const { log, limits } = this.#options;
    try {
      // What is being written when the time is over may still be: the next delivery finds the outcome.
      await withDeadline({ timeoutMs: limits.deliveryHoldMs, timeoutError: () => HELD_TOO_LONG }, (held) => this.#extract(delivery, held).catch((thrown: unknown) => this.#fail(delivery, thrown)));
    } catch (thrown) {
      if (thrown === HELD_TOO_LONG) log.warn({ source: delivery.message.source }, 'a message was held for as long as it may be; it goes back to the queue');
      else if (thrown !== CLOSING) log.error({ err: thrown, source: delivery.message.source }, 'a message could not be settled; it goes back to the queue');
      await this.#pauseUnlessClosing();
      await delivery.release().catch((error: unknown) => log.error({ err: error, source: delivery.message.source }, 'a message could not be released; its lease will end'));
    }
  }

  async #pauseUnlessClosing(): Promise<void> {
    await wait(backoffMs(this.#backoff, 1, this.#backoff.baseMs / 1000), this.#stopping.signal).catch(() => undefined);
  }

  async #extract(delivery: Delivery, held: AbortSignal): Promise<void> {
    const { bucket, metrics } = this.#options;
    const standing = await this.#writer.standing(delivery.message);
    if (standing && standing.state !== 'accepted') return this.#dismiss(delivery, standing);
    const state = await extract(delivery.message, {
      sha256Of: (source) => bucket.sha256Of(source),
      readObject: (sha256) => bucket.get(sha256),
      findStored: (sha256) => this.#findStored(sha256),
      embed: async (load) => {
        const started = performance.now();
        const embedding = await this.#gate.embed(load, { attempt: delivery.attempt, signal: held });
        metrics.observeEmbed((performance.now() - started) / 1000);
        return embedding;
      },
      write: (write) => this.#writer.write(write),
    });
    metrics.countOutcome(state);
    await delivery.ack();
  }

  async #findStored(sha256: string): Promise<StoredImage | undefined> {
    const live = await this.#options.functionVersion();
    return live && this.#writer.findStored(live, sha256);
  }

  /** A message whose outcome stands already: another delivery of it came this far and was cut off, or it was sent twice. */
  async #dismiss(delivery: Delivery, { state, code = '', message = '' }: LedgerEntry): Promise<void> {
    if (state === 'dead' && delivery.attempt >= this.#options.limits.deliveryMax) await delivery.reject({ code, message });
    else await delivery.ack();
  }

  // ── Failures ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #fail(delivery: Delivery, thrown: unknown): Promise<void> {
    if (thrown instanceof Error && [CLOSING, HELD_TOO_LONG].includes(thrown)) throw thrown;
    const error = toEisError(thrown);
    const kind = failureKind(error);
    const isLast = delivery.attempt >= this.#options.limits.deliveryMax;
    if (kind === 'refused' || (kind === 'passing' && isLast)) {
      await this.#settle(delivery.message, { state: 'rejected', code: error.code, message: error.message });
      await delivery.ack();
      return;
    }
    this.#options.log.warn({ source: delivery.message.source, attempt: delivery.attempt, code: error.code, err: error.cause }, error.message);
    const reason = { code: error.code, message: error.message };
    if (isLast) await this.#bury(delivery, reason);
    else if (kind === 'passing') await wait(backoffMs(this.#backoff, delivery.attempt), this.#stopping.signal);
    if (!isLast) this.#options.metrics.countRetry('message');
    await delivery.reject(reason);
  }

  /** The ledger first: a message that is dead-lettered without an outcome would be waited for. */
  async #bury({ message, attempt }: Delivery, reason: { readonly message: string }): Promise<void> {
    const { code, message: detail } = new EisError('EIS_DELIVERY_LIMIT', { deliveries: attempt, detail: reason.message });
    await this.#settle(message, { state: 'dead', code, message: detail });
  }

  async #settle(message: ImageMessage, outcome: Outcome): Promise<void> {
    const { state } = await this.#writer.settle(message, outcome);
    this.#options.metrics.countOutcome(state);
  }
}

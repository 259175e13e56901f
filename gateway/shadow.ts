/**
 * Shadow traffic: a share of the searches is answered by a second model as well, whose answer nobody sees, so that metrics
 * say how it would do. It is begun when the answer has been sent, and takes nothing that a search needs.
 */
import { EisError, toEisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import { overlapAt } from '../common/overlap.js';
import type { SearchAnswer } from '../common/wire.js';
import { createSearch, type Search, type SearchRequest } from './search.js';
import { UNCOUNTED } from './search-metrics.js';
import type { Shadow } from './served-models.js';
import { createShadowMetrics, type Names, type ShadowMetrics } from './shadow-metrics.js';

export interface ShadowTrafficOptions {
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Uniform in [0, 1): chooses the searches that are followed. */
  readonly random: () => number;
}

/** Results that are compared; where a search asks for fewer, those. */
const COMPARED_MAX = 10;

export class ShadowTraffic {
  readonly #search: Search;
  readonly #metrics: ShadowMetrics;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #inFlightMax: number;
  readonly #underWay = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor({ limits, metrics, log, random }: ShadowTrafficOptions) {
    this.#search = createSearch({ limits: { ...limits, searchTimeoutMs: limits.shadowTimeoutMs }, metrics: UNCOUNTED, log: log.child({ shadow: true }) });
    this.#metrics = createShadowMetrics(metrics, () => this.#underWay.size);
    this.#log = log;
    this.#random = random;
    this.#inFlightMax = limits.shadowInFlightMax;
  }

  /**
   * Begins, for a share of the searches, the same search by the model's shadow; returns at once and never throws. Beyond
   * `shadowInFlightMax`, and while the shadow's function has other things to do, it is left out and counted as dropped.
   *
   * @param asked the search that was answered
   */
  follow(asked: SearchRequest, answer: SearchAnswer, shadow: Shadow | undefined): void {
    if (!shadow || this.#closing.signal.aborted || this.#random() >= shadow.share) return;
    const names = { model: asked.model.name, shadow: shadow.model.name };
    if (this.#underWay.size >= this.#inFlightMax) return this.#metrics.dropped(names, 'in_flight');
    const run = this.#run(asked, answer, { model: shadow.model, names }).catch((thrown: unknown) => this.#fail(thrown, { names, requestId: asked.requestId }));
    this.#underWay.add(run);
    void run.then(() => this.#underWay.delete(run));
  }

  /** Gives up what is under way; nothing is begun any more. */
  async close(): Promise<void> {
    this.#closing.abort(new EisError('EIS_NOT_READY', { detail: 'This gateway is closing.' }));
    await Promise.all(this.#underWay);
  }

  async #run(asked: SearchRequest, live: SearchAnswer, { model, names }: Pick<Shadow, 'model'> & { readonly names: Names }): Promise<void> {
    const shadowed = await this.#search({ ...asked, model: { name: model.name, inOneLane: (work) => model.inOneLane((lane) => work({ ...lane, embedder: lane.spareEmbedder })) }, signal: this.#closing.signal });
    const isWhole = !live.partial && !shadowed.partial;
    this.#metrics.answered(names, isWhole ? 'ok' : 'partial');
    this.#metrics.took(names, { live: live.timings_ms, shadow: shadowed.timings_ms });
    const overlap = isWhole ? overlapAt(Math.min(COMPARED_MAX, asked.top), idsOf(live), idsOf(shadowed)) : undefined;
    if (overlap !== undefined) this.#metrics.overlapped(names, overlap);
  }

  #fail(thrown: unknown, { names, requestId }: { readonly names: Names; readonly requestId: string }): void {
    if (this.#closing.signal.aborted) return this.#metrics.dropped(names, 'closing');
    const { code, cause } = toEisError(thrown);
    if (code === 'EIS_OVERLOADED') return this.#metrics.dropped(names, 'function');
    this.#metrics.answered(names, code);
    this.#log.debug({ reqId: requestId, ...names, code, err: cause }, 'a shadow search failed');
  }
}

function idsOf({ results }: SearchAnswer): string[] {
  return results.map(({ id }) => id);
}

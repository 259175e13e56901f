/** What an answer to a damaged request may be: the right one, or one of our refusals. */
import { ERRORS, isErrorCode } from '../../common/errors.js';
import type { EmbedAnswer, IngestAnswer, SearchAnswer } from '../../common/wire.js';
import type { CaseKind } from './cases.js';

export interface FuzzAnswer {
  /** Undefined: there was none. */
  readonly status: number | undefined;
  readonly body: unknown;
  /** Why there was none. */
  readonly failure?: string;
}

const NORM_ERROR_MAX = 1e-3;

/** What is wrong with an answer; undefined: nothing. */
export function findFault(kind: CaseKind, { status, body, failure }: FuzzAnswer): string | undefined {
  if (status === undefined) return `no answer: ${failure}`;
  if (status === 200 && kind === 'function-image') return isEmbedding(body as Partial<EmbedAnswer>) ? undefined : '200 without an embedding of length 1';
  if (status === 200 && kind.startsWith('search')) return Array.isArray((body as Partial<SearchAnswer>).results) ? undefined : '200 without results';
  if (status === 202 && kind.startsWith('images')) return typeof (body as Partial<IngestAnswer>).submission === 'string' ? undefined : '202 without a submission';
  return isRefusal(status, body) ? undefined : `${status} ${JSON.stringify(body).slice(0, 300)}`;
}

function isEmbedding({ embedding, dim }: Partial<EmbedAnswer>): boolean {
  if (!Array.isArray(embedding) || embedding.length !== dim || !embedding.every(Number.isFinite)) return false;
  return Math.abs(Math.hypot(...embedding) - 1) < NORM_ERROR_MAX;
}

function isRefusal(status: number, body: unknown): boolean {
  const { code, message, statusCode } = (body ?? {}) as { readonly code?: unknown; readonly message?: unknown; readonly statusCode?: unknown };
  return status >= 400 && status < 500 && isErrorCode(code) && ERRORS[code].statusCode === status && statusCode === status && typeof message === 'string' && message !== '' && !/node_modules|\bat .+:\d+:\d+/.test(message);
}

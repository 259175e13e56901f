import { describe, expect, it } from 'vitest';
import { EisError, ERRORS, type ErrorCode } from '../../common/errors.js';
import { backoffMs } from '../../common/backoff.js';
import { persist } from '../../ingest/persist.js';
import { failureKind } from '../../ingest/failure-policy.js';

const errorOf = (code: ErrorCode): EisError => Object.assign(new EisError('EIS_INTERNAL', {}), { code });
const codes = Object.keys(ERRORS) as ErrorCode[];

describe('failureKind()', () => {
  it('refuses images that are at fault themselves', () => {
    for (const code of ['EIS_IMAGE_INVALID', 'EIS_IMAGE_TOO_LARGE', 'EIS_IMAGE_UNDECODABLE', 'EIS_IMAGE_PIXELS', 'EIS_URL_FORBIDDEN', 'EIS_URL_REJECTED'] as const) expect(failureKind(errorOf(code)), code).toBe('refused');
  });

  it('gives the hosts of URLs another chance', () => {
    expect(failureKind(errorOf('EIS_URL_FAILED'))).toBe('passing');
    expect(failureKind(errorOf('EIS_URL_TIMEOUT'))).toBe('passing');
  });

  it('holds nothing against an image while a part of the system is away', () => {
    for (const code of ['EIS_OVERLOADED', 'EIS_NOT_READY', 'EIS_STORE_UNAVAILABLE', 'EIS_BUCKET_UNAVAILABLE', 'EIS_MODEL_FILE'] as const) expect(failureKind(errorOf(code)), code).toBe('world');
    for (const code of ['EIS_FUNCTION_UNAVAILABLE', 'EIS_FUNCTION_TIMEOUT'] as const) expect(failureKind(errorOf(code)), code).toBe('function');
  });

  it('takes everything else as unexpected', () => {
    for (const code of ['EIS_INTERNAL', 'EIS_FUNCTION_RESPONSE', 'EIS_VECTOR_INVALID', ] as const) expect(failureKind(errorOf(code)), code).toBe('unexpected');
  });

  it('never refuses an image for a failure of ours: nothing of 5xx is refused', () => {
    for (const code of codes) if (ERRORS[code].statusCode >= 500) expect(failureKind(errorOf(code)), code).not.toBe('refused');
  });
});

describe('backoffMs()', () => {
  it('stays within a growing and capped range', () => {
    for (let failures = 1; failures < 100; failures++) {
      const ms = backoffMs({ baseMs: 100, capMs: 1_000 }, failures);
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThanOrEqual(Math.min(1_000, 100 * 2 ** (failures - 1)));
    }
  });

  it('is never less than what was asked for', () => {
    expect(backoffMs({ baseMs: 1, capMs: 10 }, 1, 3)).toBe(3_000);
  });
});

describe('persist()', () => {
  const options = { signal: new AbortController().signal, backoff: { baseMs: 1, capMs: 1 } };

  it('tries until it succeeds', async () => {
    let calls = 0;
    const retried: string[] = [];
    const operation = async (): Promise<string> => {
      if (++calls < 4) throw errorOf('EIS_STORE_UNAVAILABLE');
      return 'done';
    };
    expect(await persist(operation, { ...options, onRetry: ({ code }) => retried.push(code) })).toBe('done');
    expect(retried).toEqual(Array(3).fill('EIS_STORE_UNAVAILABLE'));
  });

  it('passes on what is not of the world', async () => {
    await expect(persist(() => Promise.reject(new TypeError('a bug')), { ...options, onRetry: () => {} })).rejects.toThrow('a bug');
  });

  it('ends when it is aborted', async () => {
    const abort = new AbortController();
    const reason = new Error('over');
    const operation = (): Promise<never> => Promise.reject(errorOf('EIS_STORE_UNAVAILABLE'));
    await expect(persist(operation, { ...options, signal: abort.signal, onRetry: () => abort.abort(reason) })).rejects.toBe(reason);
  });
});

import { describe, expect, it } from 'vitest';
import { describeFailure, isTransient, toBucketError } from '../../../common/bucket/gcs-failure.js';

const CONTEXT = { bucket: 'photos', permission: 'storage.objects.get' };

describe('toBucketError()', () => {
  it('keeps the cause without the request that it carries, and its token', () => {
    const thrown = Object.assign(new Error('denied to Bearer ya29.secret'), { code: 403, response: { request: { headers: { Authorization: 'Bearer ya29.secret' } } } });
    const { message, cause } = toBucketError(thrown, CONTEXT);
    expect(cause).toMatchObject({ message: 'denied to Bearer …', code: 403 });
    expect(`${message} ${JSON.stringify(cause)} ${JSON.stringify(Object.entries(cause as object))} ${(cause as Error).stack}`).not.toContain('secret');
  });
});

describe('describeFailure()', () => {
  it.each([
    ['missing credentials', new Error('Could not load the default credentials. Browse to …'), 'gcloud auth application-default login'],
    ['expired credentials', Object.assign(new Error('invalid_grant'), { response: { status: 400 } }), 'have expired'],
    ['a missing permission', { code: 403 }, 'lacks the permission storage.objects.get in gs://photos'],
    ['a missing bucket', { code: '404' }, 'no bucket gs://photos'],
    ['a busy service', { code: 503 }, 'answered 503, also when it was asked again'],
    ['a service that cannot be reached', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), '(ECONNREFUSED)'],
  ])('explains %s', (_name, thrown, expected) => {
    expect(describeFailure(thrown, CONTEXT)).toContain(expected);
  });
});

describe('isTransient()', () => {
  it('is what another attempt may not meet, whatever way through the client it came', () => {
    for (const thrown of [{ code: 503 }, { code: '429' }, { response: { status: 500 } }, { code: 'ECONNRESET' }, { errors: [{ reason: 'EPIPE' }] }, { type: 'request-timeout' }, new Error('network timeout at: https://…')]) expect(isTransient(thrown)).toBe(true);
    for (const thrown of [{ code: 403 }, { code: 404 }, { code: 412 }, new Error('Could not load the default credentials'), undefined]) expect(isTransient(thrown)).toBe(false);
  });
});

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EisError, ERRORS, errorBody, relayError, toEisError, type ErrorCode } from '../../common/errors.js';
import { hasSlot, idBounds, slotOf, slotRange, SLOTS } from '../../common/slots.js';
import { suggest } from '../../common/suggest.js';
import { compareHits, decodeVector, dot, encodeVector, normalise } from '../../common/vector.js';

const id = fc.string({ minLength: 1, maxLength: 9 }).map((text) => createHash('sha256').update(text).digest('hex'));

describe('slotRange()', () => {
  it('gives every slot to exactly one shard, whatever their number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4096 }), (shards) => {
        const ranges = Array.from({ length: shards }, (_, shard) => slotRange(shard, shards));
        return ranges[0]?.start === 0 && ranges.at(-1)?.end === SLOTS && ranges.every(({ end }, i) => i === shards - 1 || end === ranges[i + 1]?.start);
      }),
    );
  });

  it('keeps to [i·65536/n, (i+1)·65536/n)', () => {
    for (let slot = 0; slot < SLOTS; slot += 7) {
      const shard = Math.floor((slot * 3) / SLOTS);
      const { start, end } = slotRange(shard, 3);
      expect(slot >= start && slot < end).toBe(true);
    }
  });
});

describe('idBounds()', () => {
  it('bound exactly the ids of the range', () => {
    fc.assert(
      fc.property(id, fc.integer({ min: 1, max: 9 }), (image, shards) => {
        for (let shard = 0; shard < shards; shard++) {
          const range = slotRange(shard, shards);
          const { first, end } = idBounds(range);
          expect(image >= first && (end === undefined || image < end)).toBe(hasSlot(range, image));
        }
      }),
    );
  });

  it('takes the slot from the first 16 bits', () => {
    expect(slotOf(`00ff${'0'.repeat(60)}`)).toBe(255);
  });
});

describe('vectors', () => {
  it('are of length 1 after normalise()', () => {
    expect(dot(normalise([3, 4]), normalise([3, 4]))).toBeCloseTo(1, 6);
    expect(Array.from(normalise([3, 4]))).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  });

  it.each([[[0, 0]], [[Number.NaN, 1]], [[Infinity, 1]]])('without a direction are refused: %j', (vector) => {
    expect(() => normalise(vector)).toThrow(expect.objectContaining({ code: 'EIS_VECTOR_INVALID' }));
  });

  it('are the same after a way over the wire, at any alignment', () => {
    const vector = Float32Array.from([1.5, -2.25, 3e-8]);
    const shifted = Buffer.concat([Buffer.alloc(1), encodeVector(vector)]).subarray(1);
    expect(decodeVector(shifted)).toEqual(vector);
    expect(() => decodeVector(Buffer.alloc(7))).toThrow(expect.objectContaining({ code: 'EIS_VECTOR_INVALID' }));
  });

  it('rank by score, then by id', () => {
    const hits = [{ id: 'b', score: 0.5 }, { id: 'a', score: 0.5 }, { id: 'c', score: 0.9 }];
    expect(hits.sort(compareHits).map((hit) => hit.id)).toEqual(['c', 'a', 'b']);
  });
});

describe('errors', () => {
  it('have codes that start with EIS_, and HTTP error statuses', () => {
    for (const [code, { statusCode }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^EIS_[A-Z_]+$/);
      expect(statusCode).toBeGreaterThanOrEqual(400);
      expect(statusCode).toBeLessThan(600);
    }
  });

  it('keep the cause of what is unknown and do not show it', () => {
    const cause = new Error('password=secret');
    const error = toEisError(cause);
    expect(error).toMatchObject({ code: 'EIS_INTERNAL', statusCode: 500, cause });
    expect(JSON.stringify(error.toBody())).not.toContain('secret');
  });

  it('are answered as status, code, error and message', () => {
    expect(new EisError('EIS_IMAGE_UNKNOWN', { id: 'x' }).toBody()).toEqual({ statusCode: 404, code: 'EIS_IMAGE_UNKNOWN', error: 'Not Found', message: 'No image x is known here.' });
  });

  it('pass from service to service in their own words', () => {
    const body = errorBody(422, 'EIS_IMAGE_PIXELS', 'too many');
    expect(relayError(body)).toMatchObject({ code: 'EIS_IMAGE_PIXELS', statusCode: 422, message: 'too many' });
    for (const other of [null, undefined, 'text', {}, { code: 'constructor', message: 'x' }, { code: 'EIS_IMAGE_PIXELS' }]) expect(relayError(other)).toBeUndefined();
  });

  it('all say what would be right, in a sentence', () => {
    const sample = { detail: 'x', scope: 'x', method: 'GET', path: '/', allowed: 'POST', received: 'a', accepted: 'b', bytesMax: 1, imageBytesMax: 1, format: 'x', width: 1, height: 1, pixelsMax: 1, timeoutMs: 1, id: 'x', status: 1, model: 'x', known: [], held: 'x', asked: 'x', file: 'x', url: 'x', engine: 'x', shard: 'x', shards: 1, codes: [], queue: 'x', messagesMax: 1, problems: [], variable: 'x', source: 'x', deliveries: 1, missing: [], advice: 'x', step: 'x', form: 'x' };
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const { message } = new EisError(code, sample);
      expect(message, code).not.toContain('undefined');
      expect(message.length, code).toBeGreaterThan(0);
    }
  });
});

describe('suggest()', () => {
  it('finds the word that was meant, or none', () => {
    expect(suggest('num_index', ['num_indexes', 'pods'])).toBe('num_indexes');
    expect(suggest('banana', ['num_indexes', 'pods'])).toBeUndefined();
  });
});

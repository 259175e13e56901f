import { describe, expect, it } from 'vitest';
import { readLines } from '../../ingest/read-lines.js';

async function read(chunks: readonly Buffer[], charactersMax = 100): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines((async function* () { yield* chunks; })(), charactersMax)) lines.push(line);
  return lines;
}

const TEXT = Buffer.from('one\r\n\n  \r\ntwö\n\u{1f600}three\r\n\r\nlast');

describe('readLines()', () => {
  it('gives the lines without their ends and without blank ones', async () => {
    expect(await read([TEXT])).toEqual(['one', 'twö', '\u{1f600}three', 'last']);
  });

  it('gives the same lines however they are cut', async () => {
    const whole = await read([TEXT]);
    for (let bytes = 1; bytes < TEXT.length; bytes++) {
      const chunks = Array.from({ length: Math.ceil(TEXT.length / bytes) }, (_, i) => TEXT.subarray(i * bytes, (i + 1) * bytes));
      expect(await read(chunks)).toEqual(whole);
    }
  });

  it('takes a line of the largest length, and refuses one more, ended or not', async () => {
    expect(await read([Buffer.from('12345\n1234'), Buffer.from('5')], 5)).toEqual(['12345', '12345']);
    await expect(read([Buffer.from('12'), Buffer.from('3456\n')], 5)).rejects.toMatchObject({ code: 'EIS_BAD_REQUEST' });
    await expect(read([Buffer.from('12'), Buffer.from('3456')], 5)).rejects.toMatchObject({ code: 'EIS_BAD_REQUEST' });
  });
});

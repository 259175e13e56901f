import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { searchCommand, type SearchCommandOptions } from '../../cli/search-command.js';
import type { SearchAnswer } from '../../common/wire.js';
import { imageId, startSystem, VERSION } from '../gateway/stubs.js';
import { tempFolder } from '../support/temp-folder.js';

let system: Awaited<ReturnType<typeof startSystem>>;
let folder: string;
let [A, B] = ['', ''];

beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.close());
beforeEach(() => {
  folder = tempFolder();
  [A, B] = [join(folder, 'a.jpg'), join(folder, 'b.jpg')];
  writeFileSync(A, Buffer.from([255, 128, 128, 128]));
  writeFileSync(B, Buffer.from([128, 255, 128, 128]));
  for (const stub of system.pods) stub.seen.length = 0;
});

async function search(images: readonly string[], options: Partial<SearchCommandOptions> = {}): Promise<string> {
  const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    expect(await searchCommand(images, { gateway: { url: system.gateway.url, apiKey: undefined }, top: '6', not: [], json: true, ...options })).toBe(0);
    return printed.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    printed.mockRestore();
  }
}
const answerOf = async (...parameters: Parameters<typeof search>): Promise<SearchAnswer> => JSON.parse(await search(...parameters)) as SearchAnswer;

describe('eis search', () => {
  it('searches for a file as its bytes, and for a stored image by its id', async () => {
    expect((await answerOf([A])).results[0]!.id).toBe(imageId(0, 0));
    const { query, results } = await answerOf([imageId(1, 5)]);
    expect([query.id, results[0]!.id]).toEqual([imageId(1, 5), imageId(0, 4)]);
  });

  it('makes one search of several images, the ones after --not weighing against them', async () => {
    const weights = ({ examples }: SearchAnswer): unknown => examples?.map(({ weight }) => weight);
    expect(weights(await answerOf([A, B, imageId(0, 0)], { not: [imageId(1, 5)] }))).toEqual([1, 1, 1, -0.5]);
    expect(weights(await answerOf([imageId(0, 0)], { not: ['https://example.com/a.jpg'] }))).toEqual([1, -0.5]);
    expect(weights(await answerOf([A], { not: [B] }))).toEqual([1, -0.5]);
    const [plain, away] = [await answerOf([A]), await answerOf([A], { not: [B] })];
    const scoreOf = ({ results }: SearchAnswer): number => results.find(({ id }) => id === imageId(1, 5))!.score;
    expect(scoreOf(away)).toBeLessThan(scoreOf(plain));
  });

  it('hands the filter on, and says when nothing matches', async () => {
    expect(await search([A], { filter: '{"year":{"gte":2020}}', json: false })).toContain('No other image matches.');
    expect(JSON.parse(system.pods[0].seen[0]!.body.toString())).toMatchObject({ filter: { year: { gte: 2020 } } });
    await expect(search([A], { filter: '{year:1}' })).rejects.toMatchObject({ code: 'EIS_FILTER_INVALID' });
  });

  it('says of a result how many near-duplicates it stands for', async () => {
    const [best, other] = [imageId(0, 0), imageId(1, 1)];
    const [first] = system.pods;
    const { behave } = first;
    const member = (id: string) => ({ id, url: '', urls: [`https://example.com/${id}`], width: 1, height: 1 });
    first.behave = (request, response) => {
      request.resume();
      const body = request.url === '/groups' ? { groups: [{ canonical: best, count: 3, members: [best, other].map(member) }] } : { hits: [{ ...member(best), score: 0.9, phash: '0'.repeat(16), canonical: best }], vectors: 3, freshness_s: 0 };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...body, model_version: VERSION }));
    };
    const lines = (await search([A], { json: false })).split('\n');
    first.behave = behave;
    expect(lines.find((line) => line.includes(best))).toMatch(/\+2 alike$/);
    expect(lines.filter((line) => line.includes('alike'))).toHaveLength(1);
  });

  it('says which file is not there', async () => {
    await expect(search([A, join(folder, 'none.jpg')])).rejects.toMatchObject({ code: 'EIS_SOURCE_UNREADABLE' });
  });
});

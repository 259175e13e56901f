import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GroupsAnswer, SearchAnswer, SearchResult } from '../../common/wire.js';
import { withDuplicates, type GroupedResult } from '../../gateway/duplicates.js';
import { imageId, QUERY, sendError, startSystem, VERSION } from './stubs.js';

const urls = ['https://example.com/x'];
const member = (id: string) => ({ id, url: '', urls, width: 30, height: 40 });
const answer = (canonical: string, ids: string[], count = ids.length): GroupsAnswer => ({ model_version: 'v', groups: [{ canonical, count, members: ids.map(member) }] });
const result = (id: string, canonical?: string): GroupedResult => ({ result: { ...member(id), score: 1 } satisfies SearchResult, canonical });
const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(64)) as [string, string, string, string];

const NONE: ReadonlySet<string> = new Set();

describe('withDuplicates()', () => {
  it('says what a result stands for, over all shards, and nothing of what is alone', () => {
    const [first, second] = withDuplicates([result(B, A), result(D)], [answer(A, [C]), answer(A, [A, B])], { imagesMax: 10, without: NONE });
    expect(first!.duplicates).toMatchObject({ count: 2, images: [{ id: A, url: urls[0] }, { id: C }] });
    expect(second).not.toHaveProperty('duplicates');
  });

  it('names no more than it may, and counts all', () => {
    const [first] = withDuplicates([result(A, A)], [answer(A, [A, B, C], 40)], { imagesMax: 1, without: NONE });
    expect(first!.duplicates).toMatchObject({ count: 39, images: [{ id: B }] });
  });

  it('does not count images that were searched with, and leaves a result alone that stands for nothing else', () => {
    const [first] = withDuplicates([result(B, A)], [answer(A, [A, B, C])], { imagesMax: 10, without: new Set([A]) });
    expect(first!.duplicates).toMatchObject({ count: 1, images: [{ id: C }] });
    expect(withDuplicates([result(B, A)], [answer(A, [A, B, C, D])], { imagesMax: 10, without: new Set([A, D]) })[0]!.duplicates).toMatchObject({ count: 1, images: [{ id: C }] });
    expect(withDuplicates([result(B, A)], [answer(A, [B])], { imagesMax: 10, without: NONE })[0]).not.toHaveProperty('duplicates');
  });
});

describe('POST /search, with groups', () => {
  let system: Awaited<ReturnType<typeof startSystem>>;
  const [ofFirst, ofSecond, alone] = [imageId(0, 0), imageId(1, 1), imageId(0, 2)];
  let groupsFail = false;
  /** Bodies of what was asked of groups. */
  const asked: unknown[] = [];

  beforeAll(async () => {
    system = await startSystem();
    const hit = (id: string, score: number, canonical?: string) => ({ ...member(id), score, phash: '0'.repeat(16), ...(canonical && { canonical }) });
    const answerAs = async (shard: number, request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (request.url === '/groups') asked.push(JSON.parse(Buffer.concat(chunks).toString()));
      const stored = { id: alone, dim: 4, vector: [1, 0, 0, 0], urls, width: 30, height: 40, model_version: VERSION };
      if (request.url === `/vectors/${alone}`) return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(stored));
      if (request.url === '/groups' && groupsFail && shard === 1) return void sendError(response, 500, 'EIS_INTERNAL');
      const hits = shard === 0 ? [hit(ofFirst, 0.9, ofSecond), hit(alone, 0.5)] : [hit(ofSecond, 0.8, ofSecond)];
      const body = request.url === '/groups' ? answer(ofSecond, [shard === 0 ? ofFirst : ofSecond]) : { hits, vectors: 3, freshness_s: 0 };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...body, model_version: VERSION }));
    };
    system.pods.forEach((pod, shard) => (pod.behave = (request, response) => void answerAs(shard, request, response)));
  });
  afterAll(() => system.close());

  const search = async (query: string | { readonly id: string } = ''): Promise<SearchAnswer> => {
    const [path, type, body] = typeof query === 'string' ? [query, 'image/jpeg', QUERY] as const : ['', 'application/json', JSON.stringify(query)] as const;
    return (await (await fetch(`${system.gateway.url}/search${path}`, { method: 'POST', body, headers: { 'content-type': type } })).json()) as SearchAnswer;
  };
  const summary = ({ results }: SearchAnswer): [string, number | undefined][] => results.map(({ id, duplicates }) => [id, duplicates?.count]);

  it('answers the best of a group whose members lie in several shards, with a count and the others', async () => {
    const found = await search();
    expect(summary(found)).toEqual([[ofFirst, 1], [alone, undefined]]);
    expect(found.results[0]!.duplicates!.images.map(({ id }) => id)).toEqual([ofSecond]);
    expect(found).toMatchObject({ partial: false, shards: { ok: 2 } });
  });

  it('tells the shards which image it searches with, so that it is not counted however large the group is', async () => {
    asked.length = 0;
    expect((await search({ id: alone })).results.map(({ id }) => id)).toEqual([ofFirst]);
    expect(asked).toEqual([{ canonical: [ofSecond], without: [alone] }, { canonical: [ofSecond], without: [alone] }]);
  });

  it('answers every image when it is told not to collapse', async () => {
    expect(summary(await search('?collapse=false'))).toEqual([[ofFirst, undefined], [ofSecond, undefined], [alone, undefined]]);
  });

  it('says so when a shard does not tell what it holds of the groups', async () => {
    groupsFail = true;
    const found = await search();
    groupsFail = false;
    expect(found.results.map(({ id }) => id)).toEqual([ofFirst, alone]);
    expect(found).toMatchObject({ partial: true, shards: { total: 2, ok: 1, failed: [{ shard: '1/2', code: 'EIS_SHARD_UNAVAILABLE' }] } });
  });
});

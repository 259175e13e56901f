import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { MetadataTable } from '../../ingest/upload-metadata.js';
import { LIVE, MODEL, sha256 } from './support.js';
import { prepareUpload, type UploadFixture } from './upload-support.js';

/** By the content of the images, which is their name. */
async function metadataOf({ store }: UploadFixture, ...contents: string[]): Promise<Record<string, unknown>> {
  const records = await store.collection(MODEL, LIVE).getMany(contents.map(sha256));
  return Object.fromEntries(contents.map((content) => [content, records.find(({ id }) => id === sha256(content))?.metadata?.values]));
}

describe('eis ingest --metadata', () => {
  it('sends the metadata of a JSON object, by path within the folder', async () => {
    const fixture = await prepareUpload();
    const { write, folder, run } = fixture;
    for (const name of ['a.jpg', 'cats/a.jpg', 'c.jpg']) write(name);
    const metadataFile = write('metadata.json', JSON.stringify({ 'a.jpg': { n: 1 }, 'cats/a.jpg': { n: 2 }, 'gone.jpg': { n: 3 } }));
    expect(await run([folder], { metadataFile })).toMatchObject({ sent: 3, rejected: [], skipped: 1, unmatched: 1 });
    expect(await metadataOf(fixture, 'a.jpg', 'cats/a.jpg', 'c.jpg')).toEqual({ 'a.jpg': { n: 1 }, 'cats/a.jpg': { n: 2 }, 'c.jpg': undefined });
  });

  it('sends that of NDJSON, also for URLs and for a file named by its path', async () => {
    const fixture = await prepareUpload();
    const { write, run } = fixture;
    const [file, url] = [write('a.jpg'), 'https://example.com/b.jpg'];
    const metadataFile = write('metadata.ndjson', `${JSON.stringify({ name: file, metadata: { n: 1 } })}\n\n${JSON.stringify({ name: url, metadata: { tags: ['é'] } })}\n`);
    expect(await run([file, url], { metadataFile })).toMatchObject({ sent: 2, rejected: [], unmatched: 0 });
    expect(await metadataOf(fixture, 'a.jpg', url)).toEqual({ 'a.jpg': { n: 1 }, [url]: { tags: ['é'] } });
  });

  it('replaces what images had, without embedding them again where their bytes are known', async () => {
    const fixture = await prepareUpload();
    fixture.client.version = LIVE;
    const [file, metadataFile] = [fixture.write('a.jpg'), fixture.write('m.json', '{"a.jpg":{"n":1}}')];
    await fixture.run([file], { metadataFile });
    fixture.write('m.json', '{"a.jpg":{"n":2}}');
    expect(await fixture.run([file], { metadataFile })).toMatchObject({ duplicates: 1, rejected: [] });
    await fixture.run([file]);
    expect(await metadataOf(fixture, 'a.jpg')).toEqual({ 'a.jpg': { n: 2 } });
    expect(fixture.client.calls).toHaveLength(1);
  });

  it('goes with files that are put into the bucket from here', async () => {
    const fixture = await prepareUpload();
    const { write, run, bucket } = fixture;
    const uris = { put: bucket.put.bind(bucket), uri: (id: string) => `gs://bucket/${id}` };
    const metadataFile = write('m.json', '{"a.jpg":{"n":1}}');
    const { submission, rejected } = await run([write('a.jpg')], { metadataFile, bucket: uris });
    expect(rejected).toEqual([]);
    const [entry] = (await fixture.store.ledger.list({ submission, limit: 10 })).entries;
    expect((await fixture.store.collection(MODEL, LIVE).getMany([entry!.id!]))[0]?.metadata?.values).toEqual({ n: 1 });
  });

  it('rejects only the images whose metadata the wrapper does not take', async () => {
    const { write, folder, run } = await prepareUpload();
    for (const name of ['a.jpg', 'b.jpg']) write(name);
    const metadataFile = write('m.json', '{"a.jpg":{"n":null}}');
    expect(await run([folder], { metadataFile })).toMatchObject({ sent: 1, stored: 1, rejected: [{ source: expect.stringMatching(/a\.jpg$/) as string, code: 'EIS_METADATA_INVALID' }] });
  });

  it.each<[string, string, string, RegExp]>([
    ['no JSON', 'm.json', '{', /m\.json is text that is not JSON/],
    ['a list', 'm.json', '[]', /is not a JSON object/],
    ['an entry that is none', 'm.json', '{"a.jpg": 5}', /has no object as "a\.jpg"/],
    ['a line that is no JSON', 'm.jsonl', '{"name":"a","metadata":{}}\n{', /number 2, that is not JSON/],
    ['a line without a name', 'm.ndjson', '{"metadata":{}}', /number 1, that has no "name"/],
    ['null', 'm.ndjson', 'null', /number 1/],
  ])('sends nothing, and leaves nothing behind, with %s for the file', async (_name, file, text, message) => {
    const { write, run, gateway } = await prepareUpload();
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('eis-metadata-'));
    await expect(run([write('a.jpg')], { metadataFile: write(file, text) })).rejects.toMatchObject({ code: 'EIS_METADATA_INVALID', message: expect.stringMatching(message) as string });
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('eis-metadata-') && !before.includes(name))).toEqual([]);
    expect(gateway.requests).toBe(0);
  });

  it('says which file is not there', async () => {
    const { write, run, folder } = await prepareUpload();
    for (const name of ['none.json', 'none.ndjson']) await expect(run([write('a.jpg')], { metadataFile: `${folder}/${name}` })).rejects.toMatchObject({ code: 'EIS_SOURCE_UNREADABLE' });
  });
});

describe('eis ingest --sidecars', () => {
  it('reads the file beside each image, which counts more than the file of all', async () => {
    const fixture = await prepareUpload();
    const { write, folder, run } = fixture;
    for (const name of ['a.jpg', 'b.jpg', 'c.jpg']) write(name);
    write('a.jpg.json', '{"n":1}');
    write('notes.json', '{}');
    const metadataFile = write('m.json', '{"a.jpg":{"n":9},"b.jpg":{"n":2}}');
    expect(await run([folder], { metadataFile, hasSidecars: true })).toMatchObject({ sent: 3, skipped: 2, rejected: [], unmatched: 0 });
    expect(await metadataOf(fixture, 'a.jpg', 'b.jpg', 'c.jpg')).toEqual({ 'a.jpg': { n: 1 }, 'b.jpg': { n: 2 }, 'c.jpg': undefined });
  });

  it('rejects an image whose file cannot be read, and leaves them alone when not told to', async () => {
    const { write, folder, run } = await prepareUpload();
    for (const name of ['a.jpg', 'b.jpg', 'c.jpg']) write(name);
    write('a.jpg.json', '{"n":');
    write('b.jpg.json', '[1]');
    const { rejected, sent } = await run([folder], { hasSidecars: true });
    expect([sent, rejected.map(({ code }) => code)]).toEqual([1, ['EIS_METADATA_INVALID', 'EIS_METADATA_INVALID']]);
    expect(await run([folder])).toMatchObject({ sent: 3, skipped: 2, rejected: [] });
  });
});

describe('MetadataTable', () => {
  it('has thousands of lines without holding them', async () => {
    const { write } = await prepareUpload();
    const table = await MetadataTable.read(write('m.ndjson', Array.from({ length: 2_500 }, (_, n) => JSON.stringify({ name: `${n}.jpg`, metadata: { n } })).join('\n')));
    expect([table.find(['0.jpg']), table.find(['none', '2499.jpg']), table.find(['none'])]).toEqual([{ n: 0 }, { n: 2_499 }, undefined]);
    expect(await table.unmatched()).toBe(2_498);
    await table.close();
  });
});

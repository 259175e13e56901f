/** One trace over all processes, as a collector gets it; and processes that trace nothing, which load nothing for it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import type { SearchAnswer } from '../../common/wire.js';
import { startFunction } from '../functions/support/function-process.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { startCollector, type CollectedSpan, type Collector } from '../support/otlp-collector.js';

const SENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const TRACE_ID = SENT.slice(3, 35);

describe('npm start with a collector of traces', () => {
  let folder: string;
  let collector: Collector;
  let stack: LocalStack;
  let names: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-traces-'));
    collector = await startCollector();
    names = await drawImages(join(folder, 'images'), 2);
    stack = await startLocalStack({ folder, args: ['--images', join(folder, 'images')], env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '50', LOG_LEVEL: 'debug' } });
    await vi.waitFor(() => expect(stack.output()).toContain('2 stored'), { timeout: 30_000 });
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    await collector.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The one span of a trace of this name and process, once it has come. */
  function spanOf(service: string, name: string, { traceId, parent }: { readonly traceId: string; readonly parent?: CollectedSpan }): Promise<CollectedSpan> {
    return vi.waitFor(() => {
      const found = collector.spans.filter((span) => span.service === service && span.name === name && span.traceId === traceId && (parent === undefined || span.parentSpanId === parent.spanId));
      expect(found, `${name} of ${service}`).toHaveLength(1);
      return found[0] as CollectedSpan;
    }, { timeout: 10_000 });
  }

  /** Searches for one of the pictures; each is to be asked for once, for the gateway remembers embeddings. */
  async function search({ picture, traceparent }: { readonly picture: number; readonly traceparent: string }): Promise<string | null> {
    const response = await fetch(`${stack.url}/search`, { method: 'POST', body: new Uint8Array(readImage(join(folder, 'images'), names[picture] as string)), headers: { 'content-type': 'image/jpeg', traceparent } });
    expect((await response.json()) as SearchAnswer).toMatchObject({ partial: false });
    return response.headers.get('x-request-id');
  }

  it('is one trace of a search, from the caller through the gateway to the function and to each shard', async () => {
    const requestId = await search({ picture: 0, traceparent: SENT });
    const gateway = await spanOf('eis-gateway', 'POST /search', { traceId: TRACE_ID });
    expect(gateway.parentSpanId).toBe(SENT.slice(36, 52));
    const embed = await spanOf('eis-gateway', 'embed', { traceId: TRACE_ID, parent: gateway });
    const fn = await spanOf('eis-function', 'POST /', { traceId: TRACE_ID, parent: embed });
    expect(fn).toMatchObject({ kind: 2, resource: { 'eis.model': 'builtin' }, attributes: { 'http.response.status_code': 200, 'eis.request_id': requestId } });
    for (const name of ['decode', 'infer']) await spanOf('eis-function', name, { traceId: TRACE_ID, parent: fn });
    const asked = collector.spans.filter(({ name, parentSpanId }) => name === 'ask replica' && parentSpanId === gateway.spanId);
    const pods = await Promise.all(asked.map((parent) => spanOf('eis-indexer', 'POST /search', { traceId: TRACE_ID, parent })));
    expect(pods.map(({ resource }) => resource['eis.shard']).sort()).toEqual(['0/2', '1/2']);
    expect(pods.map(({ resource }) => resource['eis.shard'])).toEqual(asked.map(({ attributes }) => attributes['eis.shard']));
  });

  it('is a trace of an image that is taken in, and one of what became of it, linked to it', async () => {
    const [name] = await drawImages(join(folder, 'more'), 3).then((drawn) => drawn.slice(-1));
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(readImage(join(folder, 'more'), name as string))]), 'one.jpg');
    const traceId = 'c'.repeat(32);
    expect((await fetch(`${stack.url}/images`, { method: 'POST', body: form, headers: { traceparent: `00-${traceId}-${'d'.repeat(16)}-01` } })).status).toBe(202);
    const gateway = await spanOf('eis-gateway', 'POST /images', { traceId });
    const forward = await spanOf('eis-gateway', 'forward', { traceId, parent: gateway });
    const wrapper = await spanOf('eis-wrapper', 'POST /images', { traceId, parent: forward });
    const message = await vi.waitFor(() => {
      const found = collector.spans.find(({ links }) => links.some((link) => link.spanId === wrapper.spanId));
      expect(found).toBeDefined();
      return found as CollectedSpan;
    }, { timeout: 10_000 });
    expect(message).toMatchObject({ name: 'process builtin', kind: 5, service: 'eis-worker', parentSpanId: '', links: [{ traceId }] });
    const embed = await spanOf('eis-worker', 'embed', { traceId: message.traceId, parent: message });
    await spanOf('eis-function', 'POST /', { traceId: message.traceId, parent: embed });
  });

  it('names the trace in what is logged of it', async () => {
    const traceId = 'a'.repeat(32);
    await search({ picture: 1, traceparent: `00-${traceId}-${'b'.repeat(16)}-01` });
    const lines = readFileSync(join(stack.dataDir, 'logs', 'function-builtin.log'), 'utf8').split('\n').filter((line) => line.includes('"embedded"'));
    expect(lines.some((line) => (JSON.parse(line) as { traceId?: string }).traceId === traceId)).toBe(true);
  });
});

describe('A function', () => {
  /** The modules of OpenTelemetry's SDK that it imports until it is ready. */
  async function modulesWith(variables: Record<string, string>): Promise<string[]> {
    const folder = mkdtempSync(join(tmpdir(), 'eis-modules-'));
    const noted = join(folder, 'modules');
    const fn = await startFunction({ NODE_OPTIONS: `--import=${packagePath('test/support/note-modules.mjs')}`, NOTED_MODULES: noted, EIS_DATA_DIR: folder, ...variables });
    await fn.stop();
    const urls = readFileSync(noted, 'utf8').split('\n');
    rmSync(folder, { recursive: true, force: true });
    expect(urls.some((url) => url.includes('/node_modules/pino/'))).toBe(true);
    return urls.filter((url) => url.includes('/@opentelemetry/'));
  }

  it('loads nothing of OpenTelemetry where nothing is traced', async () => {
    expect(await modulesWith({})).toEqual([]);
  });

  it('loads its SDK where something is', async () => {
    const collector = await startCollector();
    onTestFinished(() => collector.close());
    expect(await modulesWith({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })).not.toEqual([]);
  });
});

/** Models that are added to config.json, or changed, on data that is there already. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import type { SearchAnswer } from '../../common/wire.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';

const builtin = { name: 'builtin', model_url: packagePath('models/builtin') };

const COUNT = 24;

describe('a model of config.json that is new or was changed', () => {
  let folder: string;
  let stack: LocalStack;
  let names: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-models-'));
    names = await drawImages(join(folder, 'images'), COUNT);
    stack = await startLocalStack({ folder, config: { models: [builtin] }, args: ['--images', join(folder, 'images')] });
    await vi.waitFor(() => expect(stack.output()).toContain(`${COUNT} stored`), { timeout: 30_000 });
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function restart(config: unknown): Promise<void> {
    await stack.stop();
    stack = await startLocalStack({ folder, config, basePort: stack.basePort });
  }

  async function search(model: string): Promise<{ status: number; answer: SearchAnswer & { code?: string } }> {
    const picture = readImage(join(folder, 'images'), names[7] as string);
    const response = await fetch(`${stack.url}/search?model=${model}`, { method: 'POST', body: new Uint8Array(picture), headers: { 'content-type': 'image/jpeg' } });
    return { status: response.status, answer: (await response.json()) as SearchAnswer & { code?: string } };
  }

  const isWhole = ({ status, answer }: Awaited<ReturnType<typeof search>>): boolean => status === 200 && answer.index.vectors === COUNT && (answer.results[0]?.score ?? 0) > 0.999;
  const isComplete = async (model: string): Promise<boolean> => isWhole(await search(model));

  it('is filled with the images that other models know', async () => {
    await restart({ models: [builtin, { ...builtin, name: 'second', preprocess: '[0,1]' }] });
    await expect.poll(() => isComplete('second'), { timeout: 40_000, interval: 250 }).toBe(true);
    expect(await isComplete('builtin')).toBe(true);
    expect(stack.output()).toContain(`Model second is new to some images: embedding ${COUNT} of them`);
  }, 90_000);

  it('is embedded again, searched by its new embeddings when they are complete, and never by a mixture', async () => {
    const { answer: before } = await search('builtin');
    await restart({ models: [{ ...builtin, preprocess: '[0,1]' }] });
    const versions = new Set<string>();
    await expect.poll(async () => {
      const result = await search('builtin'); // one for both: between two it may have become complete
      if (result.status === 200) versions.add(result.answer.model_version);
      else expect(result.answer.code).toBe('EIS_MODEL_VERSION');
      return isWhole(result);
    }, { timeout: 40_000, interval: 100 }).toBe(true);
    expect(versions.size).toBe(1);
    expect(versions).not.toContain(before.model_version);
  }, 90_000);

  it('leaves nothing to do the next time', async () => {
    await restart({ models: [{ ...builtin, preprocess: '[0,1]' }] });
    await expect.poll(() => isComplete('builtin'), { timeout: 10_000 }).toBe(true);
    expect(stack.output()).not.toContain('embedding');
  }, 60_000);
});

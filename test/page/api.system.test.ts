import { describe, expect, it, vi } from 'vitest';

// The page's modules are the browser's: what they take from it stands here.
vi.stubGlobal('window', { location: { origin: 'http://gateway' }, sessionStorage: { getItem: () => null } });
vi.stubGlobal('IntersectionObserver', class {});

const { listModels } = (await import('../../gateway/public/api.js')) as { listModels: () => Promise<{ models: { name: string }[] }> };

const named = (name: string): object => ({ models: [{ name, vectors: 1, shards: { ok: 1, total: 1 } }] });

function answer(answers: Record<string, object>, header?: string): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (path: string | URL) => {
    asked.push(String(path));
    const body = answers[String(path)];
    return new Response(JSON.stringify(body ?? { message: 'none' }), { status: body ? 200 : 503, headers: header === undefined ? {} : { 'x-eis-models': header } });
  });
  return asked;
}

describe('listModels()', () => {
  it('takes what one gateway knows', async () => {
    const asked = answer({ models: named('a') });
    expect((await listModels()).models.map(({ name }) => name)).toEqual(['a']);
    expect(asked).toEqual(['models']);
  });

  it('asks the gateways of the models that nginx names besides, and leaves out one that does not answer', async () => {
    answer({ models: named('b'), 'models?model=a': named('a') }, 'a,b,c');
    expect((await listModels()).models.map(({ name }) => name)).toEqual(['a', 'b']);
  });
});

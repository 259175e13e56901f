import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startFunction } from './support/function-process.js';
import { temporaryFolder } from './support/tiny-model.js';

it('a function tells nobody what it runs: onnxruntime notes nothing in the home folder, from where it would send it', async () => {
  const home = await temporaryFolder();
  const running = await startFunction({ HOME: home.path, EIS_DATA_DIR: join(home.path, 'data') });
  try {
    expect(await (await fetch(`${running.url}/ready`)).json()).toMatchObject({ engine: 'onnxruntime' });
    expect(await readdir(home.path)).toEqual(['data']);
  } finally {
    await running.stop();
    await home.remove();
  }
});

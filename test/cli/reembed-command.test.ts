import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { reembedCommand } from '../../cli/reembed-command.js';
import { parseEnvironment } from '../../common/environment.js';
import { tempFolder } from '../support/temp-folder.js';

it('does not begin to embed a model again whose second lane would be taken for another model', async () => {
  const folder = tempFolder();
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ models: [{ name: 'm' }, { name: 'm-next' }] }));
  const environment = parseEnvironment({ EIS_CONFIG: file, EIS_DATA_DIR: folder });
  const command = reembedCommand('m', environment, { to: file, minOverlap: 0, maxMissing: 0, maxRecallLoss: 0, json: true });
  await expect(command).rejects.toMatchObject({ code: 'EIS_REEMBED', message: expect.stringContaining('m-next') as string });
});

it('does not begin with a path at which nothing is', async () => {
  const folder = tempFolder();
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ models: [{ name: 'm' }] }));
  const environment = parseEnvironment({ EIS_CONFIG: file, EIS_DATA_DIR: folder });
  const command = reembedCommand('m', environment, { to: '/nowhere/new', minOverlap: 0, maxMissing: 0, maxRecallLoss: 0, json: true });
  await expect(command).rejects.toMatchObject({ code: 'EIS_REEMBED', message: expect.stringContaining('/nowhere/new') as string });
});

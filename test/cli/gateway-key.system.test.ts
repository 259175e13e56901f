import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageId, QUERY, startSystem } from '../gateway/stubs.js';
import { runCli } from '../support/run-cli.js';

const [SEARCH, ADMIN] = ['search-key-0123456789', 'admin-key-0123456789'];

let system: Awaited<ReturnType<typeof startSystem>>;
const folder = mkdtempSync(join(tmpdir(), 'eis-key-'));
const picture = join(folder, 'a.jpg');
beforeAll(async () => {
  system = await startSystem({ variables: { EIS_API_KEYS: `search:${SEARCH},admin:${ADMIN}` } });
  writeFileSync(picture, QUERY);
});
afterAll(async () => {
  await system.close();
  rmSync(folder, { recursive: true, force: true });
});

const eis = (args: readonly string[], EIS_API_KEY?: string): ReturnType<typeof runCli> => runCli([...args, '--gateway', system.gateway.url], EIS_API_KEY === undefined ? {} : { EIS_API_KEY });
const commands: [string, () => string[]][] = [
  ['search', () => ['search', picture]], ['status', () => ['status']], ['delete', () => ['delete', imageId(0, 1)]], ['dead list', () => ['dead', 'list']], ['backfill', () => ['backfill', 'm', '--no-wait']], ['ingest', () => ['ingest', picture, '--no-wait']],
];

describe('a command at a gateway with keys', () => {
  it.each(commands)('says plainly that it takes a key: %s', async (_, args) => {
    const { code, stderr } = await eis(args());
    expect(code).toBe(1);
    expect(stderr).toMatch(/EIS_KEY_MISSING: This takes an API key\. .*EIS_API_KEY\.\n$/);
  });

  it.each(commands.filter(([name]) => ['delete', 'backfill', 'ingest'].includes(name)))('says which scope its key lacks, and not the key: %s', async (_, args) => {
    const { code, stderr } = await eis(args(), SEARCH);
    expect(code).toBe(1);
    expect(stderr).toMatch(/EIS_SCOPE_MISSING: The API key that was sent may not do this\. Use one with the scope "(write|admin)"\.\n$/);
    expect(stderr).not.toContain(SEARCH);
  });

  it('sends the key of EIS_API_KEY', async () => {
    expect((await eis(['search', picture], SEARCH)).code).toBe(0);
    expect((await eis(['delete', imageId(0, 1), '--json'], ADMIN)).code).toBe(0);
    system.wrapper.behave = (_request, response) => void response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ submission: 's', accepted: 1, sources: ['eis://x'] }));
    const { code, stdout } = await eis(['ingest', picture, '--no-wait'], ADMIN);
    system.wrapper.behave = undefined;
    expect([code, stdout]).toEqual([0, expect.stringContaining('1 sent') as string]);
  });

  it('shows no key in its help', async () => {
    const { stdout } = await eis(['search', '--help'], SEARCH);
    expect(stdout).toContain('EIS_API_KEY');
    expect(stdout).not.toContain(SEARCH);
  });
});

/** The page in a browser: one system and one browser for all of it. */
import { afterAll, beforeAll, describe } from 'vitest';
import { missingBrowser } from './browser.js';
import { describeAccess } from './page-access.js';
import { startPageStack, type PageStack } from './page-stack.js';
import { describeUse } from './page-use.js';

describe.skipIf(missingBrowser)(`the page, in a browser ${missingBrowser ?? ''}`, () => {
  let started: PageStack;
  beforeAll(async () => {
    started = await startPageStack();
  }, 120_000);
  afterAll(() => started.close());

  describe('is used', () => describeUse(() => started));
  describe('is for everybody', () => describeAccess(() => started));
});

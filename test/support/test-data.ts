/** Where real photos and models for testing lie: `EIS_TEST_DATA`, by default `../shared`. They are not part of the project. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagePath } from '../../common/package-root.js';

const TEST_DATA = process.env['EIS_TEST_DATA'] ?? packagePath('../shared');

/** A path inside the test data. */
export function testDataPath(...segments: string[]): string {
  return join(TEST_DATA, ...segments);
}

/** Why tests that need `path` of the test data skip; undefined: it is there. Put it into the name of the skipped suite. */
export function missingTestData(...path: string[]): string | undefined {
  return existsSync(testDataPath(...path)) ? undefined : `skipped: no ${testDataPath(...path)} (set EIS_TEST_DATA)`;
}

export interface Photo {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The real photos, in the order of their names; `count` of them spread over the whole. */
export function readPhotos(count = Infinity): Photo[] {
  const folder = testDataPath('images');
  const names = readdirSync(folder).filter((name) => name.endsWith('.jpg')).sort();
  const step = Math.max(1, Math.floor(names.length / count));
  return names.filter((_, i) => i % step === 0).slice(0, count).map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
}

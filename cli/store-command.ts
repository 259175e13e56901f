/** `eis store init`: makes in the store what it needs, once, by somebody who may. */
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import type { StoreReport } from '../common/store/mongo-schema.js';
import { terminalWidth, wrap } from './layout.js';

/** @returns the exit code: 0 only when nothing is left to be done by hand */
export async function storeInitCommand({ mongodbUri, limits }: Pick<Environment, 'mongodbUri' | 'limits'>, { json }: { readonly json: boolean }): Promise<number> {
  if (mongodbUri === undefined) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MONGODB_URI', detail: 'it is not set: the embedded store needs no preparation. Name the MongoDB to prepare.' });
  const { MongoStore } = await import('../common/store/mongo-store.js');
  const store = new MongoStore({ uri: mongodbUri, urlsPerImageMax: limits.urlsPerImageMax, timeoutMs: limits.storeTimeoutMs });
  try {
    const report = await store.ready(0);
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${describe(report).join('\n')}\n`);
    return report.advice.length === 0 ? 0 : 1;
  } finally {
    await store.close();
  }
}

function describe({ deployment, collections, advice }: StoreReport): string[] {
  const width = terminalWidth(process.stdout);
  const ready = advice.length === 0 ? ['Everything that the store needs is there.'] : ['Left to be done by somebody who may:', ...advice.flatMap((line) => wrap(line, width))];
  return [...wrap(`MongoDB (${deployment}): ${collections.length === 0 ? 'no collection' : collections.join(', ')}.`, width), ...ready];
}

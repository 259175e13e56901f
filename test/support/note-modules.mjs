/**
 * Preloaded into a process (`NODE_OPTIONS=--import=…`): notes every module that is imported from a package, one URL a line, in
 * the file that NOTED_MODULES names.
 */
import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

/** Node runs hooks in a thread of their own. */
export async function resolve(specifier, context, next) {
  const resolved = await next(specifier, context);
  if (resolved.url.includes('/node_modules/')) appendFileSync(process.env['NOTED_MODULES'], `${resolved.url}\n`);
  return resolved;
}

if (isMainThread) register(import.meta.url);

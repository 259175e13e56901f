/** The module that kernel.wat describes, as TypeScript. */
import { Buffer } from 'node:buffer';
import loadWabt from 'wabt';

/**
 * @param {string} wat
 * @returns {Promise<string>}
 */
export async function compileKernel(wat) {
  const wabt = await loadWabt();
  const parsed = wabt.parseWat('kernel.wat', wat, { simd: true, threads: true });
  const { buffer } = parsed.toBinary({});
  parsed.destroy();
  if (!globalThis.WebAssembly.validate(buffer)) throw new Error('kernel.wat is parsed but does not make a valid module.');
  const lines = Buffer.from(buffer).toString('base64').match(/.{1,120}/g) ?? [];
  return `/** kernel.wat, compiled: \`npm run build:kernel\`. */\nexport const KERNEL_BASE64 = [\n${lines.map((line) => `  '${line}',`).join('\n')}\n].join('');\n`;
}

/** The plain ONNX ResNet-50 in a process of its own, measured like an engine (`embed-process.ts`): milliseconds an image of each call. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { HANDMADE_INPUT, handmadeResnet50 } from './handmade-resnet50.js';

const SIDE = 224;
const WARM_UP_CALLS = 3;
const CALLS_MS = 3_000;

const { threads, batch } = JSON.parse(process.argv[2] as string) as { readonly threads: number; readonly batch: number };
const session = await InferenceSession.create(handmadeResnet50(), { intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all', logSeverityLevel: 3 });
const images = { [HANDMADE_INPUT]: new Tensor('float32', new Float32Array(batch * 3 * SIDE * SIDE).fill(0.3), [batch, 3, SIDE, SIDE]) };
for (let i = 0; i < WARM_UP_CALLS; i++) await session.run(images);
const inferMs: number[] = [];
for (const started = performance.now(); performance.now() - started < CALLS_MS; ) {
  const before = performance.now();
  await session.run(images);
  inferMs.push((performance.now() - before) / batch);
}
console.log(JSON.stringify({ inferMs }));
process.exit();

/** The thread of `reference.ts`: one image, one answer. */
import { parentPort, workerData } from 'node:worker_threads';
import { toEisError } from '../../common/errors.js';
import { prepareNetwork } from './prepare.js';
import type { ReferenceResult, ReferenceTask } from './reference.js';
import { describeFailure } from './tfjs.js';
import { interpret } from './tfjs-interpreter.js';
import { loadTfjsWasm } from './tfjs-wasm.js';

async function compute({ model, pixels }: ReferenceTask): Promise<Float32Array> {
  const { network } = prepareNetwork(model);
  const tf = await loadTfjsWasm();
  const { height, width } = model.input;
  try {
    return await interpret(tf, network).run(tf.tensor4d(Float32Array.from(pixels), [1, height, width, 3])).data<'float32'>();
  } catch (thrown) {
    throw describeFailure('tfjs-wasm', model.file, thrown);
  }
}

const result: ReferenceResult = await compute(workerData as ReferenceTask).then((embedding) => ({ embedding: Float32Array.from(embedding) }), (thrown: unknown) => ({ error: toEisError(thrown).toBody() }));
parentPort?.postMessage(result);

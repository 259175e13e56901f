/** Runs networks with TF.js, on whichever backend it was set to. What its engines have in common. */
import { EisError } from '../../common/errors.js';
import type { LoadedModel } from '../models/model.js';
import { optimise } from '../network/optimise.js';
import type { Engine, EngineName, EngineOptions } from './engine.js';
import { embedEach, prepareNetwork } from './prepare.js';
import { interpret, NodeFailure } from './tfjs-interpreter.js';
import type { Tfjs } from './tfjs-operations.js';

/** @throws EisError EIS_MODEL_FILE when the network's output is not a vector an image */
export async function createTfjsEngine(name: EngineName, load: () => Promise<Tfjs>, { model, onFresh }: EngineOptions & { readonly model: LoadedModel }): Promise<Engine> {
  const { network, dim } = prepareNetwork(model);
  onFresh?.();
  const tf = await load();
  const interpreter = interpret(tf, optimise(network));
  const { height, width } = model.input;
  return {
    name,
    dim,
    threads: 1,
    isBatching: false,
    confirmed: undefined,
    embed: (pixels, count) => embedEach(pixels, count, dim, async (image) => {
      const numbers = tf.tensor4d(Float32Array.from(image), [1, height, width, 3]);
      try {
        const result = interpreter.run(numbers);
        return await result.data<'float32'>().finally(() => result.dispose());
      } catch (thrown) {
        throw describeFailure(name, model.file, thrown);
      } finally {
        numbers.dispose();
      }
    }),
    confirm: async () => undefined,
    forget: async () => undefined,
    dispose: async () => interpreter.dispose(),
  };
}

/** WebAssembly's memory ends at 4 GB, and TF.js's then with this word. */
const OUT_OF_MEMORY = /\bAborted\(|out of memory|allocation failed/i;

/** What a person is told of a node that TF.js failed at; anything else as it was. */
export function describeFailure(engine: EngineName, file: string, thrown: unknown): unknown {
  if (!(thrown instanceof NodeFailure)) return thrown;
  if (OUT_OF_MEMORY.test(thrown.message)) return new EisError('EIS_ENGINE_UNAVAILABLE', { engine, detail: `it has not the memory that this model takes: ${thrown.message}` }, { cause: thrown });
  return new EisError('EIS_MODEL_FILE', { file, detail: `TF.js cannot run it: ${thrown.message}. Set "layer" to one below it, or convert the model without it.` }, { cause: thrown });
}

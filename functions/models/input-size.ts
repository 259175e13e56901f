/** The image that a network takes, from what its file says and what the configuration adds. */
import { failModel, type InputShape, type LoadOptions } from './model.js';

/** As config.json bounds `input_size`. */
const SIDE_MAX = 2_048;

/**
 * The size of the input: the model's own, or `input_size` where it leaves that open.
 *
 * @param shape as the file has it, batch first: `[null, 224, 224, 3]`; null where it is left open
 * @throws EisError EIS_MODEL_FILE when it is no image, when its size is neither here nor there, and when both differ
 */
export function resolveInput(shape: readonly (number | null)[], options: LoadOptions, file: string): InputShape {
  const [, height, width, channels] = shape;
  if (shape.length !== 4 || (channels !== 1 && channels !== 3)) return failModel(file, `its input has the shape ${JSON.stringify(shape)}; a model that embeds images takes [null, rows, columns, 3] (or 1 for grey).`);
  if (channels === 1 && (options.preprocess === 'caffe' || options.preprocess === 'torch')) failModel(file, `its input is grey, and the preprocessing ${options.preprocess} is of colours. Set "preprocess" to another.`);
  const { inputSize } = options;
  if (inputSize !== undefined && [height, width].some((size) => size !== null && size !== inputSize)) failModel(file, `its input is ${height}×${width} and "input_size" is ${inputSize}. Leave "input_size" out.`);
  const unusable = [height, width].find((size) => size !== null && !(Number.isInteger(size) && (size as number) >= 1 && (size as number) <= SIDE_MAX));
  if (unusable !== undefined) failModel(file, `its input is ${height}×${width} pixels; each side is a whole number from 1 to ${SIDE_MAX}.`);
  const open = (): never => failModel(file, 'it leaves the size of its input open. Set "input_size" to the pixels that it was trained with, for example 224.');
  return { height: height ?? inputSize ?? open(), width: width ?? inputSize ?? open(), channels };
}

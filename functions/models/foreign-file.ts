/** Says what a file is that is no model that can be read, and how to come from it to a model that can be read. */

const LFS_POINTER = 'version https://git-lfs.github.com/spec/';
const TO_GRAPH = 'Convert it: pip install tensorflow tensorflowjs && tensorflowjs_converter --input_format=tf_saved_model SAVED_MODEL_FOLDER OUTPUT_FOLDER; then set "model_url" to OUTPUT_FOLDER.';

/** Whether bytes are what Git leaves in place of a large file that was not fetched. */
export function isLfsPointer(bytes: Uint8Array): boolean {
  return startsWith(bytes, LFS_POINTER);
}

/**
 * @param bytes the file's, or its first ones
 * @param path of the file, whose name tells where its bytes do not
 * @returns a sentence on what it is, and one on what to do
 */
export function describeForeign(bytes: Uint8Array, path: string): string {
  if (bytes.length === 0) return 'it is empty. Fetch or convert it again.';
  if (isLfsPointer(bytes)) return 'it is a Git LFS pointer and not the file itself. Run "git lfs pull" where it comes from.';
  if (startsWith(bytes.subarray(4), 'TFL3')) return `it is a TensorFlow Lite model, which holds too little to be converted back. Take the SavedModel that it was made from. ${TO_GRAPH}`;
  if (startsWith(bytes, 'PK') || startsWith(bytes, '\x1f\x8b')) return 'it is an archive. Unpack it, and set "model_url" to the model in it.';
  if (/\.pb$/i.test(path)) return `it is a part of a SavedModel. ${TO_GRAPH}`;
  if (/\.onnx$/i.test(path)) return 'it is an ONNX model, which this release does not read. Take the TensorFlow model that it was made from, or convert it with onnx2tf to a SavedModel and that with tensorflowjs_converter.';
  if (/^\s*</.test(Buffer.from(bytes.subarray(0, 64)).toString('latin1'))) return 'it is a web page. The address or path is to be that of the file itself.';
  return 'it is not JSON, and no file of Keras. "model_url" names a TF.js model.json, a Keras .keras or .h5 file, or the folder of one.';
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.subarray(0, text.length)).toString('latin1') === text;
}

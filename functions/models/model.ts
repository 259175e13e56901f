/**
 * A model as every engine takes it, whatever file it came from: plain data that can be handed to another thread. The
 * wall between loaders (file → `LoadedModel`) and engines (`LoadedModel` → numbers).
 */
import type { Preprocess } from '../../common/config.js';
import { EisError } from '../../common/errors.js';
import type { Network } from '../network/network.js';

/** A layer, or a model of layers (`Sequential`, `Model`, `Functional`), as Keras and TF.js write it down. */
export interface LayerJson {
  readonly class_name: string;
  readonly name?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes?: unknown;
}

/** One weight of a layer, dequantised. Its memory may be shared between threads: it is read only. */
export interface NamedWeight {
  /** `layer/kernel`, as the file names it. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly values: Float32Array | Int32Array | Uint8Array;
}

/** A node of a TensorFlow graph: one operation. */
export interface GraphNode {
  readonly name: string;
  /** TensorFlow's name of the operation: `Conv2D`, `_FusedConv2D`, `Const`. */
  readonly op: string;
  /** What it is computed from: `node`, or `node:1` where that is not the node's first output. */
  readonly inputs: readonly string[];
  /** As TensorFlow writes attributes in JSON: `{ "strides": { "list": { "i": ["1", "2", "2", "1"] } } }`; strings in base64. */
  readonly attr: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A graph as its file has it, cut at the embedding. */
export interface GraphNetwork {
  readonly kind: 'graph';
  /** Exactly what the embedding is computed from, each node after its inputs; a `Const` has the weight of its name. */
  readonly nodes: readonly GraphNode[];
  /** Of the one `Placeholder`, whose shape is `[1, rows, columns, channels]`. */
  readonly inputName: string;
  /** Of the node whose first output is the embedding, a vector for the image. */
  readonly outputName: string;
}

/** The image a network takes: rows × columns × channels (1: grey, 3: RGB). */
export interface InputShape {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
}

export interface LoadedModel {
  readonly name: string;
  /** Of its file, in words: `TF.js layers model`. */
  readonly format: string;
  /** The file it was read from, to be named in errors. */
  readonly file: string;
  /** sha256 over network, weights, layer, input and preprocessing: embeddings of different versions never mix. */
  readonly version: string;
  /** From preprocessed numbers to the embedding, a vector for each image; as in the file, with exactly the weights that it needs. */
  readonly network: Network;
  readonly input: InputShape;
  /** The layer or node whose output is the embedding; of a nested model as `outer/inner`. */
  readonly layer: string;
  readonly preprocess: Preprocess;
  /** What a model that was asked for by a known name must give; `chooseEngine` holds it to that. */
  readonly expected?: { readonly name: string; readonly dim: number };
}

/** What most TF.js models of photos are trained with, Teachable Machine's among them. */
export const DEFAULT_PREPROCESS: Preprocess = '[-1,1]';

/** What the configuration says about a model beyond where its file lies. */
export interface LoadOptions {
  readonly name: string;
  readonly layer: string | undefined;
  readonly inputSize: number | undefined;
  /** Undefined: as the network itself shows, else `DEFAULT_PREPROCESS`. */
  readonly preprocess: Preprocess | undefined;
}

/** A model's main file as loaders see it. It may be large, so that a loader that takes it reads of it what it needs. */
export interface ModelFile {
  readonly path: string;
  /** Its first bytes, up to 4 KiB. */
  readonly head: Uint8Array;
  /** Its parsed JSON, read when it is first asked for; undefined where it is not JSON. */
  readonly json: unknown;
}

/** Reads one file format. Held by `test/functions/models/loader-contract.ts`. */
export interface ModelLoader {
  readonly format: string;

  /** Whether the file is of this format, well-formed or not. */
  accepts(file: ModelFile): boolean;

  /**
   * @throws EisError EIS_MODEL_FILE when the file, or one that it names, is missing, damaged or not usable for images
   */
  load(file: ModelFile, options: LoadOptions): Promise<LoadedModel>;
}

/** Throws EIS_MODEL_FILE about `file`. */
export function failModel(file: string, detail: string, cause?: unknown): never {
  throw new EisError('EIS_MODEL_FILE', { file, detail }, { cause });
}

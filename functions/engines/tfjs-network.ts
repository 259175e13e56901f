/** What a network of either kind is to an engine of TF.js, and how weights are given to TF.js. */
import type * as converter from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';
import type { NamedWeight } from '../models/model.js';

type Tfjs = Pick<typeof core, 'tidy' | 'keep' | 'tensor4d' | 'memory' | 'dispose'>;
export type LayersTfjs = Tfjs & Pick<typeof layers, 'loadLayersModel'>;
export type GraphTfjs = Tfjs & Pick<typeof converter, 'loadGraphModelSync'>;

/**
 * The parts of TF.js that are used: of its packages one by one, or of tfjs-node's whole. What reads one kind of network
 * is not loaded for the other.
 */
export interface TfjsSource {
  layers(): Promise<LayersTfjs>;
  graph(): Promise<GraphTfjs>;
}

export interface TfjsNetwork {
  /** Batch first, which is null or 1. */
  readonly outputShape: readonly (number | null)[];
  /** The output for one image; called inside `tidy`. */
  run(image: core.Tensor4D): core.Tensor;
  dispose(): void;
}

/** The part of TF.js's model artifacts that is weights: one after the other, in memory of their own. */
export function toArtifacts(weights: readonly NamedWeight[]): { readonly weightSpecs: core.io.WeightsManifestEntry[]; weightData: ArrayBuffer } {
  const bytes = new Uint8Array(weights.reduce((sum, { values }) => sum + values.byteLength, 0));
  let offset = 0;
  for (const { values } of weights) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return { weightSpecs: weights.map(({ name, shape, dtype }) => ({ name, shape: [...shape], dtype })), weightData: bytes.buffer };
}

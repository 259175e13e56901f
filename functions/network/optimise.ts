/** The passes, in their order: each makes room for the next. */
import { dropIdleNodes } from './drop-idle.js';
import { foldAffineIntoConsumers, foldAffineIntoProducers } from './fold-affine.js';
import { fuseActivations } from './fuse-activations.js';
import { mergePadding } from './merge-padding.js';
import type { Network } from './network.js';
import { recogniseActivations } from './recognise-activations.js';
import { prune, type Pass } from './rewrite.js';

const PASSES: readonly Pass[] = [prune, dropIdleNodes, recogniseActivations, mergePadding, foldAffineIntoProducers, foldAffineIntoConsumers, fuseActivations];

/** The same function of images, cheaper: as an engine runs it. Numbers differ by what float32 rounds. */
export function optimise(network: Network): Network {
  return PASSES.reduce((rewritten, pass) => pass(rewritten), network);
}

/** Loads `.keras` files: the archives that Keras saves models to, since 2.12. */
import { containerOf } from './file-signature.js';
import { withHdf5 } from './hdf5-file.js';
import { loadFromHdf5 } from './hdf5-model.js';
import { placeWeights } from './keras-archive-weights.js';
import { readKerasArchive } from './keras-archive.js';
import { parseKerasConfig } from './keras-config.js';
import type { ModelLoader } from './model.js';

const FORMAT = 'Keras .keras';

export const kerasArchiveLoader: ModelLoader = {
  format: FORMAT,
  accepts: ({ head }) => containerOf(head) === 'zip',
  async load({ path }, options) {
    const { config, weights: source } = await readKerasArchive(path);
    const topology = parseKerasConfig(config, path);
    return withHdf5(source, { file: path }, (hdf5) => loadFromHdf5(hdf5, { format: FORMAT, path, topology, ...placeWeights(topology, hdf5.contents, path) }, options));
  },
};

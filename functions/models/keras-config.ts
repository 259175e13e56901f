/** The topology in the JSON that Keras keeps in `.h5` and `.keras` files. */
import { tryParseJson } from '../../common/read-bounded.js';
import { checkLayers } from './check-layers.js';
import { failModel, type LayerJson } from './model.js';
import { isContainer, layersOf, parseTopology } from './topology.js';

/** TensorFlow 1.13 named classes by how they were written; tensorflowjs_converter names them so, too. */
const OLD_CLASSES: Readonly<Record<string, string>> = { BatchNormalizationV1: 'BatchNormalization' };

/**
 * @param text the attribute `model_config`, or config.json
 * @throws EisError EIS_MODEL_FILE when it is not JSON, or no sound model of layers
 */
export function parseKerasConfig(text: string, file: string): LayerJson {
  const json = tryParseJson(text) as { class_name?: unknown } | null | undefined;
  if (json === undefined) return failModel(file, 'its topology is not JSON. It is damaged, or was changed by hand: save the model again.');
  const topology = parseTopology(json) ?? failModel(file, `its topology is of the class ${JSON.stringify(json?.class_name)}; Sequential, Functional and Model are read. A model of one's own class is to be saved with model.export("saved_model").`);
  checkLayers(topology, file);
  return withPresentClasses(topology);
}

function withPresentClasses(layer: LayerJson): LayerJson {
  const class_name = Object.hasOwn(OLD_CLASSES, layer.class_name) ? (OLD_CLASSES[layer.class_name] as string) : layer.class_name;
  if (!isContainer(layer)) return class_name === layer.class_name ? layer : { ...layer, class_name };
  return { ...layer, config: { ...layer.config, layers: layersOf(layer).map(withPresentClasses) } };
}

/**
 * Which layer's output is the embedding.
 *
 * The rule, when the configuration names no `layer`: follow the chain of layers down from the model's output.
 *
 * 1. The output is not a classifier's (its last Dense or Conv2D has neither softmax nor sigmoid, nor is followed by
 *    one): the model is made to embed, and its output is the embedding. So it is with `builtin`.
 * 2. It is one, and under its head (Dense, Dropout, activations, normalisation, Flatten, Reshape) lies a global pooling
 *    or an average pooling: the pooled features, after the Flatten that follows the pooling if there is one. They are
 *    what the network knows about pictures in general; hidden Dense layers above them know about its classes.
 *    MobileNet, ResNet, Teachable Machine.
 * 3. It is one, and nothing is pooled: what feeds the classifier, Dropout left out. That is the last hidden Dense
 *    (VGG: `fc2`), or the Flatten, or whatever stands there.
 *
 * An output that is still a feature map (rows × columns × channels) is averaged over its positions (`cut.ts`).
 */
import { suggest } from '../../common/suggest.js';
import { failModel, type LayerJson } from './model.js';
import { finalOutputs, listLayers, outputChain, type PlacedLayer } from './topology.js';

const ABOVE_CLASSIFIER = new Set(['Activation', 'Softmax', 'Reshape', 'Flatten', 'Dropout']);
const HEAD = new Set(['Dense', 'Dropout', 'Activation', 'ReLU', 'LeakyReLU', 'PReLU', 'ELU', 'Softmax', 'BatchNormalization', 'Flatten', 'Reshape', 'GaussianNoise', 'GaussianDropout', 'AlphaDropout', 'SpatialDropout2D']);
const GLOBAL_POOLING = new Set(['GlobalAveragePooling2D', 'GlobalMaxPooling2D']);
const CLASSIFYING = new Set(['softmax', 'sigmoid']);

/**
 * The embedding layer of a model, by name or by the rule above.
 *
 * @param options.layer as the configuration names it: a name, or `outer/inner` where the name alone is ambiguous
 * @throws EisError EIS_MODEL_FILE when it cannot be found, or none can be chosen
 */
export function chooseEmbeddingLayer(model: LayerJson, options: { readonly layer: string | undefined; readonly file: string }): readonly string[] {
  return (options.layer === undefined ? chooseByRule(model, options.file) : findByName(model, options.layer, options.file)).path;
}

function chooseByRule(model: LayerJson, file: string): PlacedLayer {
  const chain = outputChain(model);
  const output = chain[0];
  if (!output) return failModel(file, `it has ${finalOutputs(model).length} outputs, and none of them can be told to be the one. Set "layer" to the layer to embed with: ${namesOf(model)}.`);
  const classifier = findClassifier(chain);
  if (classifier === undefined) return output;
  let bottom = classifier + 1;
  while (HEAD.has(chain[bottom]?.layer.class_name ?? '')) bottom++;
  const pooled = chain[bottom];
  if (pooled && isPooling(pooled.layer)) {
    const flattened = chain[bottom - 1];
    return flattened && bottom - 1 > classifier && flattened.layer.class_name === 'Flatten' ? flattened : pooled;
  }
  const feeding = chain.slice(classifier + 1).find(({ layer }) => layer.class_name !== 'Dropout');
  return feeding ?? failModel(file, 'there is no layer under its classifier. Set "layer" to the layer to embed with.');
}

/** Where in the chain the classifying Dense or Conv2D stands; undefined: the model is no classifier. */
function findClassifier(chain: readonly PlacedLayer[]): number | undefined {
  const top = chain.findIndex(({ layer }) => !ABOVE_CLASSIFIER.has(layer.class_name));
  const layer = chain[top]?.layer;
  if (!layer || !['Dense', 'Conv2D'].includes(layer.class_name)) return undefined;
  return chain.slice(0, top + 1).some((placed) => isClassifying(placed.layer)) ? top : undefined;
}

function isClassifying(layer: LayerJson): boolean {
  return layer.class_name === 'Softmax' || CLASSIFYING.has(String(layer.config['activation']));
}

function isPooling(layer: LayerJson): boolean {
  return GLOBAL_POOLING.has(layer.class_name) || layer.class_name === 'AveragePooling2D';
}

function findByName(model: LayerJson, wanted: string, file: string): PlacedLayer {
  const layers = listLayers(model);
  const found = layers.filter(({ path }) => path.join('/') === wanted || path.at(-1) === wanted);
  if (found.length === 1) return found[0] as PlacedLayer;
  if (found.length > 1) return failModel(file, `its layer ${JSON.stringify(wanted)} is there ${found.length} times: ${found.map(({ path }) => path.join('/')).join(', ')}. Set "layer" to one of these.`);
  const nearest = suggest(wanted, layers.map(({ path }) => path.at(-1) as string));
  return failModel(file, `it has no layer ${JSON.stringify(wanted)}.${nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`} The last ones are: ${namesOf(model)}.`);
}

function namesOf(model: LayerJson): string {
  return listLayers(model).slice(-12).map(({ path }) => path.join('/')).join(', ');
}

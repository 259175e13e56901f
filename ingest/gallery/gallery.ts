/**
 * The sample gallery: 12 kinds of scene × 10 variations, drawn by this project, so that the first search on an empty
 * machine finds something, and something similar exists. The same pictures, byte for byte, on one version of sharp.
 */
import { createRandom } from '../../common/random.js';
import { SCENES, SCENE_HEIGHT, SCENE_WIDTH, type Scene } from './scenes.js';

export const VARIATIONS = 10;

export interface GalleryPicture {
  /** `sunset-03.jpg` */
  readonly name: string;
  readonly svg: string;
}

/** Every picture of the gallery as SVG, in a fixed order. */
export function galleryPictures(): GalleryPicture[] {
  return Object.entries(SCENES).flatMap(([kind, scene], kindIndex) =>
    Array.from({ length: VARIATIONS }, (_, variation) => ({
      name: `${kind}-${String(variation).padStart(2, '0')}.jpg`,
      svg: drawPicture(scene, 1 + kindIndex * 1000 + variation),
    })),
  );
}

/** A scene, scaled and turned a little, on a canvas that it still covers. */
export function drawPicture(scene: Scene, seed: number): string {
  const random = createRandom(seed);
  const inside = scene(random);
  const scale = random.between(1.12, 1.3);
  const turn = random.between(-4, 4);
  const centre = `${SCENE_WIDTH / 2} ${SCENE_HEIGHT / 2}`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SCENE_WIDTH}" height="${SCENE_HEIGHT}" viewBox="0 0 ${SCENE_WIDTH} ${SCENE_HEIGHT}">` +
    `<g transform="rotate(${turn.toFixed(2)} ${centre}) translate(${centre}) scale(${scale.toFixed(3)}) translate(${-SCENE_WIDTH / 2} ${-SCENE_HEIGHT / 2})">${inside}</g></svg>`
  );
}

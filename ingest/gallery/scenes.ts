/**
 * Twelve kinds of scene, each drawn as the inside of an SVG of 320×240 units from seeded random numbers: the kind stays
 * recognisable, colours, positions and sizes vary.
 */
/* eslint max-params: ["error", 6] -- the drawing primitives take coordinates in the order of SVG's attributes */
import type { Random } from '../../common/random.js';

export const SCENE_WIDTH = 320;
export const SCENE_HEIGHT = 240;

export type Scene = (random: Random) => string;

const round = (value: number): number => Math.round(value * 10) / 10;
const hsl = (hue: number, saturation: number, lightness: number): string => `hsl(${Math.round(hue)},${Math.round(saturation)}%,${Math.round(lightness)}%)`;
const rect = (x: number, y: number, width: number, height: number, fill: string): string => `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${fill}"/>`;
const circle = (x: number, y: number, radius: number, fill: string, extra = ''): string => `<circle cx="${round(x)}" cy="${round(y)}" r="${round(radius)}" fill="${fill}" ${extra}/>`;
const ellipse = (x: number, y: number, rx: number, ry: number, fill: string, extra = ''): string => `<ellipse cx="${round(x)}" cy="${round(y)}" rx="${round(rx)}" ry="${round(ry)}" fill="${fill}" ${extra}/>`;
const polygon = (points: readonly (readonly [number, number])[], fill: string): string => `<polygon points="${points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ')}" fill="${fill}"/>`;
const path = (d: string, attributes: string): string => `<path d="${d}" ${attributes}/>`;
const repeat = (count: number, draw: (i: number) => string): string => Array.from({ length: count }, (_, i) => draw(i)).join('');
const gradient = (id: string, from: string, to: string): string => `<linearGradient id="${id}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${from}"/><stop offset="1" stop-color="${to}"/></linearGradient>`;
const backdrop = (from: string, to: string): string => `<defs>${gradient('sky', from, to)}</defs>${rect(0, 0, SCENE_WIDTH, SCENE_HEIGHT, 'url(#sky)')}`;

const sunset: Scene = (random) => {
  const hue = random.between(5, 45);
  const horizon = random.between(120, 160);
  const x = random.between(80, 240);
  return (
    backdrop(hsl(hue + 220, 50, 35), hsl(hue, 95, 62)) +
    circle(x, horizon - random.between(0, 15), random.between(24, 42), hsl(hue + 15, 100, 75)) +
    rect(0, horizon, SCENE_WIDTH, SCENE_HEIGHT - horizon, hsl(hue + 210, 45, 28)) +
    repeat(14, (i) => rect(x - random.between(10, 60), horizon + 5 + i * 7, random.between(15, 90), 2.5, hsl(hue + 10, 95, 70)))
  );
};

const mountains: Scene = (random) => {
  const hue = random.between(190, 250);
  const peak = (base: number, lightness: number): string => {
    const x = random.between(20, 300);
    const height = random.between(90, 150);
    const top = base - height;
    return polygon([[x - height, base], [x, top], [x + height, base]], hsl(hue, 20, lightness)) + polygon([[x - height * 0.22, top + height * 0.22], [x, top], [x + height * 0.22, top + height * 0.22], [x + 4, top + height * 0.16], [x - 6, top + height * 0.26]], '#fff');
  };
  return backdrop(hsl(hue, 60, 70), hsl(hue - 20, 60, 90)) + repeat(3, (i) => peak(200, 55 - i * 8)) + rect(0, 195, SCENE_WIDTH, 45, hsl(random.between(80, 140), 40, 35));
};

const skyline: Scene = (random) => {
  const hue = random.between(210, 280);
  const building = (i: number): string => {
    const x = i * 32 + random.between(-4, 4);
    const height = random.between(60, 170);
    const windows = repeat(Math.floor(height / 16), (row) => repeat(3, (column) => (random.between(0, 1) < 0.6 ? rect(x + 4 + column * 8, 240 - height + 8 + row * 15, 5, 8, hsl(50, 95, random.between(55, 80))) : '')));
    return rect(x, 240 - height, 30, height, hsl(hue, 30, random.between(10, 22))) + windows;
  };
  return backdrop(hsl(hue, 60, 12), hsl(hue + 40, 50, 35)) + circle(random.between(40, 280), random.between(25, 60), random.between(12, 22), '#f4f1d8') + repeat(10, building);
};

const forest: Scene = (random) => {
  const hue = random.between(90, 160);
  const tree = (): string => {
    const x = random.between(10, 310);
    const base = random.between(170, 225);
    const size = random.between(40, 75);
    const fill = hsl(hue, random.between(35, 60), random.between(18, 38));
    return rect(x - 4, base - 12, 8, 22, '#5a3a22') + repeat(3, (i) => polygon([[x - size * (0.5 - i * 0.11), base - 10 - i * size * 0.4], [x, base - size * 0.75 - i * size * 0.4], [x + size * (0.5 - i * 0.11), base - 10 - i * size * 0.4]], fill));
  };
  return backdrop(hsl(200, 40, 85), hsl(hue, 30, 75)) + rect(0, 165, SCENE_WIDTH, 75, hsl(hue - 10, 35, 45)) + repeat(random.whole(9, 14), tree);
};

const flower: Scene = (random) => {
  const hue = random.between(280, 400);
  const [x, y, radius] = [random.between(120, 200), random.between(80, 115), random.between(34, 48)];
  const petals = random.whole(6, 10);
  return (
    backdrop(hsl(90, 45, 80), hsl(110, 40, 60)) +
    path(`M${round(x)} ${round(y)} Q${round(x + random.between(-30, 30))} 180 ${round(x)} 240`, 'stroke="#2f7a36" stroke-width="8" fill="none"') +
    ellipse(x + 28, 190, 30, 11, '#3c8d43', `transform="rotate(-25 ${round(x + 28)} 190)"`) +
    repeat(petals, (i) => ellipse(x, y - radius, radius * 0.42, radius * 0.8, hsl(hue, 75, 62), `transform="rotate(${round((360 / petals) * i)} ${round(x)} ${round(y)})"`)) +
    circle(x, y, radius * 0.45, hsl(45, 95, 55))
  );
};

const balloons: Scene = (random) => {
  const balloon = (): string => {
    const [x, y, size] = [random.between(40, 280), random.between(45, 120), random.between(22, 40)];
    const hue = random.between(0, 360);
    return (
      ellipse(x, y, size, size * 1.15, hsl(hue, 80, 58)) + ellipse(x, y, size * 0.55, size * 1.15, hsl(hue + 40, 80, 65)) + ellipse(x, y, size * 0.2, size * 1.15, hsl(hue, 80, 58)) +
      path(`M${round(x - size * 0.5)} ${round(y + size)} L${round(x - 6)} ${round(y + size * 1.7)} M${round(x + size * 0.5)} ${round(y + size)} L${round(x + 6)} ${round(y + size * 1.7)}`, 'stroke="#6b4a2b" stroke-width="1.5"') +
      rect(x - 7, y + size * 1.7, 14, 10, '#7b5432')
    );
  };
  return backdrop(hsl(205, 80, 65), hsl(200, 70, 90)) + rect(0, 205, SCENE_WIDTH, 35, hsl(random.between(70, 120), 45, 55)) + repeat(random.whole(2, 4), balloon);
};

const sailboat: Scene = (random) => {
  const x = random.between(110, 210);
  const size = random.between(50, 80);
  const sea = random.between(145, 165);
  const hue = random.between(0, 360);
  return (
    backdrop(hsl(200, 75, 78), hsl(195, 60, 93)) +
    rect(0, sea, SCENE_WIDTH, SCENE_HEIGHT - sea, hsl(random.between(195, 220), 65, 42)) +
    rect(x - 1.5, sea - size * 1.5, 3, size * 1.5, '#4a3524') +
    polygon([[x + 3, sea - size * 1.5], [x + size * 0.75, sea - 12], [x + 3, sea - 12]], hsl(hue, 75, 60)) +
    polygon([[x - 3, sea - size * 1.3], [x - size * 0.55, sea - 12], [x - 3, sea - 12]], '#fdfdfb') +
    polygon([[x - size * 0.8, sea - 6], [x + size * 0.8, sea - 6], [x + size * 0.5, sea + 16], [x - size * 0.5, sea + 16]], '#7b3f24') +
    repeat(9, () => path(`M${round(random.between(0, 280))} ${round(random.between(sea + 25, 230))} q10 -6 20 0 t20 0`, 'stroke="#ffffff88" stroke-width="2.5" fill="none"'))
  );
};

const house: Scene = (random) => {
  const x = random.between(70, 150);
  const [width, height] = [random.between(100, 130), random.between(65, 85)];
  const top = 190 - height;
  const window = (wx: number): string => rect(wx, top + 16, 22, 22, '#cfe8f5') + rect(wx + 10, top + 16, 2, 22, '#fff') + rect(wx, top + 26, 22, 2, '#fff');
  return (
    backdrop(hsl(205, 70, 75), hsl(200, 60, 92)) +
    circle(random.between(240, 290), random.between(30, 55), 18, hsl(48, 100, 65)) +
    rect(0, 185, SCENE_WIDTH, 55, hsl(random.between(80, 125), 48, 48)) +
    rect(x, top, width, height, hsl(random.between(15, 60), 55, 80)) +
    polygon([[x - 12, top], [x + width / 2, top - random.between(35, 55)], [x + width + 12, top]], hsl(random.between(-15, 25), 60, 42)) +
    window(x + 12) + window(x + width - 34) +
    rect(x + width / 2 - 11, 190 - 40, 22, 40, hsl(random.between(0, 360), 45, 35))
  );
};

const fruit: Scene = (random) => {
  const piece = (i: number): string => {
    const x = 95 + (i % 4) * 42 + random.between(-6, 6);
    const y = 142 - Math.floor(i / 4) * 34 + random.between(-5, 5);
    const hue = random.pick([8, 28, 52, 95]) + random.between(-6, 6);
    return circle(x, y, random.between(21, 27), hsl(hue, 85, 52)) + circle(x - 7, y - 8, 5, '#ffffff66') + rect(x - 1.5, y - 32, 3, 10, '#5a3a22');
  };
  const bowl = random.between(180, 260);
  return backdrop(hsl(random.between(20, 50), 35, 90), hsl(30, 30, 78)) + rect(0, 195, SCENE_WIDTH, 45, '#9b6b43') + repeat(7, piece) + path('M60 150 A100 70 0 0 0 260 150 Z', `fill="${hsl(bowl, 45, 55)}"`);
};

const cat: Scene = (random) => {
  const [x, y, size] = [random.between(140, 180), random.between(115, 135), random.between(58, 74)];
  const hue = random.between(15, 45);
  const coat = hsl(hue, random.between(10, 70), random.between(40, 65));
  const eye = hsl(random.between(60, 150), 70, 50);
  const ear = (side: number): string => polygon([[x + side * size * 0.9, y - size * 0.3], [x + side * size * 0.75, y - size * 1.3], [x + side * size * 0.15, y - size * 0.8]], coat);
  const face = (side: number): string =>
    ellipse(x + side * size * 0.4, y - size * 0.12, size * 0.2, size * 0.16, eye) + ellipse(x + side * size * 0.4, y - size * 0.12, size * 0.06, size * 0.15, '#111') +
    repeat(3, (i) => path(`M${round(x + side * size * 0.25)} ${round(y + size * 0.35)} L${round(x + side * size * 1.3)} ${round(y + size * (0.15 + i * 0.2))}`, 'stroke="#fff" stroke-width="1.8"'));
  return backdrop(hsl(hue + random.between(120, 220), 40, 75), hsl(hue + 180, 35, 55)) + ear(-1) + ear(1) + ellipse(x, y, size, size * 0.9, coat) + face(-1) + face(1) + polygon([[x - 8, y + size * 0.2], [x + 8, y + size * 0.2], [x, y + size * 0.34]], '#e58a8a');
};

const fish: Scene = (random) => {
  const swimmer = (): string => {
    const [x, y, size] = [random.between(50, 260), random.between(35, 180), random.between(16, 34)];
    const fill = hsl(random.pick([15, 45, 330, 190]) + random.between(-10, 10), 85, 58);
    return polygon([[x + size * 0.8, y], [x + size * 1.6, y - size * 0.6], [x + size * 1.6, y + size * 0.6]], fill) + ellipse(x, y, size, size * 0.58, fill) + rect(x - size * 0.1, y - size * 0.55, size * 0.25, size * 1.1, '#ffffffaa') + circle(x - size * 0.55, y - size * 0.1, size * 0.12, '#111');
  };
  return backdrop(hsl(190, 75, 60), hsl(215, 80, 28)) + rect(0, 215, SCENE_WIDTH, 25, hsl(42, 50, 62)) + repeat(6, () => path(`M${round(random.between(10, 310))} 220 q-10 -25 0 -45 t0 -40`, `stroke="${hsl(random.between(110, 160), 50, 38)}" stroke-width="6" fill="none"`)) + repeat(random.whole(4, 7), swimmer);
};

const planet: Scene = (random) => {
  const [x, y, radius] = [random.between(120, 200), random.between(95, 145), random.between(38, 62)];
  const hue = random.between(0, 360);
  const tilt = round(random.between(-35, 35));
  return (
    rect(0, 0, SCENE_WIDTH, SCENE_HEIGHT, '#07091a') +
    repeat(70, () => circle(random.between(0, 320), random.between(0, 240), random.between(0.5, 1.8), '#ffffffcc')) +
    circle(x, y, radius, hsl(hue, 55, 55)) +
    repeat(3, (i) => ellipse(x, y - radius * 0.45 + i * radius * 0.42, radius * (i === 1 ? 0.98 : 0.84), radius * 0.1, hsl(hue + 20, 45, 45))) +
    ellipse(x, y, radius * 1.75, radius * 0.38, 'none', `stroke="${hsl(hue + 40, 50, 75)}" stroke-width="7" transform="rotate(${tilt} ${round(x)} ${round(y)})"`)
  );
};

export const SCENES: Readonly<Record<string, Scene>> = { sunset, mountains, skyline, forest, flower, balloons, sailboat, house, fruit, cat, fish, planet };

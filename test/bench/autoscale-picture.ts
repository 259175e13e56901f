/** The trace of a simulated day as a picture: what comes and how many pods there are, and below it what they aim at. */
import type { Moment, Trace } from '../support/autoscale-simulation.js';

export interface DrawnTrace {
  readonly trace: Trace;
  /** What the signal is meant to stay under. */
  readonly meant: number;
  readonly max: number;
}

const WIDTH = 1_200;
const PANEL = { left: 70, width: 1_060, height: 150, gap: 50 };
const DAY_S = 86_400;
const TEXT = 'font-family="sans-serif" font-size="14" fill="#222"';
const COLOURS = { load: '#9bb8d3', pods: '#b5371f', signal: '#2a6f4e', meant: '#888' };

/** An SVG document, two panels for each trace. */
export function drawTraces(traces: readonly DrawnTrace[]): string {
  const panels = traces.flatMap(({ trace: { target: { role }, moments }, meant, max }) => {
    const mostPerS = Math.max(...moments.map(({ perS }) => perS));
    const mostSignal = Math.max(meant * 1.5, ...moments.map(({ signal }) => signal));
    const unit = role === 'gateway' ? 'requests' : 'images';
    return [
      { title: `${role}s: pods (red, 0 to ${max}) for ${unit} a second (blue, 0 to ${Math.round(mostPerS)})`, lines: [line(moments, ({ perS }) => perS / mostPerS, COLOURS.load), line(moments, ({ replicas }) => replicas / max, COLOURS.pods)] },
      { title: `${role === 'gateway' ? 'requests in flight of each' : 'seconds that the foremost image has waited'} (0 to ${Math.round(mostSignal)}); the line is at ${meant}`, lines: [line(moments, ({ signal }) => signal / mostSignal, COLOURS.signal), line(moments, () => meant / mostSignal, COLOURS.meant)] },
    ];
  });
  const height = panels.length * (PANEL.height + PANEL.gap) + 40;
  const body = panels.map(({ title, lines }, i) => `<g transform="translate(${PANEL.left} ${PANEL.gap + i * (PANEL.height + PANEL.gap)})"><text y="-10" ${TEXT}>${title}</text><rect width="${PANEL.width}" height="${PANEL.height}" fill="none" stroke="#ccc"/>${lines.join('')}${hours()}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"><rect width="100%" height="100%" fill="#fff"/>${body.join('')}</svg>\n`;
}

/** @param shareOf of the panel's height, 0 to 1 */
function line(moments: readonly Moment[], shareOf: (moment: Moment) => number, colour: string): string {
  const points = moments.map((moment) => `${((moment.atS / DAY_S) * PANEL.width).toFixed(1)},${((1 - shareOf(moment)) * PANEL.height).toFixed(1)}`);
  return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
}

function hours(): string {
  return Array.from({ length: 9 }, (_, i) => i * 3).map((hour) => `<text x="${(hour / 24) * PANEL.width}" y="${PANEL.height + 16}" text-anchor="middle" ${TEXT}>${hour}:00</text>`).join('');
}

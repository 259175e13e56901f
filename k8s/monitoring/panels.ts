/** Panels of a Grafana dashboard, in the JSON of schema 39 (Grafana 10.3 and later): no more of it than is used. */

/** How values are written, in Grafana's own names of units. */
export type Unit = 'short' | 'reqps' | 's' | 'percentunit' | 'bytes';

export interface Query {
  readonly expr: string;
  /** Of each line, by the labels of its series: `{{model}}`. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** What a reader should know of it. */
  readonly description?: string;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** As provisioned, and as every panel names it. */
export const DATASOURCE = { type: 'prometheus', uid: 'eis-prometheus' } as const;

const COLUMNS = 24;
const PANEL = { width: 8, height: 7 };

/** The panels of a dashboard from top to bottom: each row's heading, then its panels, three side by side. */
export function layOut(rows: readonly Row[]): object[] {
  const laid: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    laid.push({ id: laid.length + 1, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] });
    y++;
    panels.forEach((panel, i) => {
      const x = (i * PANEL.width) % COLUMNS;
      laid.push({ id: laid.length + 1, gridPos: { x, y: y + Math.floor((i * PANEL.width) / COLUMNS) * PANEL.height, w: PANEL.width, h: PANEL.height }, ...timeSeries(panel) });
    });
    y += Math.ceil((panels.length * PANEL.width) / COLUMNS) * PANEL.height;
  }
  return laid;
}

function timeSeries({ title, unit, queries, description }: Panel): object {
  return {
    type: 'timeseries',
    title,
    ...(description === undefined ? {} : { description }),
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 10, showPoints: 'never' } }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(({ expr, legend }, i) => ({ refId: String.fromCharCode('A'.charCodeAt(0) + i), datasource: DATASOURCE, expr, legendFormat: legend })),
  };
}

/** Puts text in order for a terminal: columns, hanging indents, what is too long for a line. */

const BAR_WIDTH = 24;
/** Narrower than this nothing is made to fit. */
const WIDTH_MIN = 40;

/** Columns of the terminal that a stream is; undefined: it is none, and nothing needs to fit. */
export function terminalWidth(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY ? Math.max(WIDTH_MIN, stream.columns) : undefined;
}

/** Rows whose cells stand under each other, two spaces apart; the columns of `right` are aligned at their right. */
export function alignColumns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const pad = (cell: string, column: number): string => (right.includes(column) ? cell.padStart(widths[column] as number) : cell.padEnd(widths[column] as number));
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

/** Lines of at most `width` characters, broken at spaces where there are some; undefined: one line. */
export function wrap(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A text that names a place, without its middle where it is longer than `width`: both ends of a place tell more. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const kept = Math.max(2, width - 1);
  return `${text.slice(0, Math.floor(kept / 2))}…${text.slice(text.length - Math.ceil(kept / 2))}`;
}

/** Labels with what they stand for, which goes on under itself where it does not fit. */
export function describeList(entries: readonly (readonly [label: string, text: string])[], width: number | undefined): string[] {
  const indent = Math.max(...entries.map(([label]) => label.length)) + 2;
  return entries.flatMap(([label, text]) =>
    wrap(text, width === undefined ? undefined : width - indent).map((line, i) => `${(i === 0 ? label : '').padEnd(indent)}${line}`),
  );
}

/** @param share from 0 to 1 */
export function drawBar(share: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
}

/** `1.7 MB`, `14 MB`: in thousands, with two digits or more. */
export function formatBytes(bytes: number): string {
  const [size, unit] = bytes >= 1e9 ? [bytes / 1e9, 'GB'] : bytes >= 1e6 ? [bytes / 1e6, 'MB'] : [bytes / 1e3, 'kB'];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}

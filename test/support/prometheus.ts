/** A strict parser of the Prometheus text format 0.0.4: throws on any line that is not part of it. */
const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:${LABEL})(?:,(?:${LABEL}))*)?,?\\})? (-?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf)|\\+Inf|NaN)(?: -?[0-9]+)?$`, 'i');
const COMMENT = new RegExp(`^# (?:HELP (${NAME}) .*|TYPE (${NAME}) (counter|gauge|histogram|summary|untyped))$`);

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function parsePrometheus(text: string): Sample[] {
  const types = new Map<string, string>();
  const seen = new Set<string>();
  return text.split('\n').flatMap((line, i) => {
    if (line === '') return [];
    if (line.startsWith('#')) {
      const comment = COMMENT.exec(line);
      if (!comment) throw new Error(`Line ${i + 1} is no comment of the format: ${line}`);
      if (comment[2] !== undefined) types.set(comment[2], comment[3] as string);
      return [];
    }
    const sample = SAMPLE.exec(line);
    if (!sample) throw new Error(`Line ${i + 1} is no sample: ${line}`);
    const [, name, labels = '', value] = sample as unknown as [string, string, string | undefined, string];
    const family = name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(name) && !types.has(family)) throw new Error(`Line ${i + 1}: ${name} has no TYPE.`);
    const series = `${name}{${labels}}`;
    if (seen.has(series)) throw new Error(`Line ${i + 1}: ${series} stands twice.`);
    seen.add(series);
    const parsed: Record<string, string> = Object.fromEntries([...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']): [string, string] => [key, text]));
    return [{ name, labels: parsed, value: Number(value.replace('Inf', 'Infinity')) }];
  });
}

/** The sum over all series of a metric whose labels include `labels`. */
export function sumOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples
    .filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

/**
 * Filters: which images a search may find, by what was given with them (`metadata.ts`). One JSON form, checked by one
 * schema, and one pure function that is made of it once for a search:
 *
 *     { "year": { "gte": 2020, "lt": 2024 }, "tags": { "in": ["cat", "dog"] }, "not": { "draft": true } }
 *
 * All members of an object have to hold. A value is equality; of a list of texts, it is enough that one of them holds all
 * that is asked of the name. Numbers are compared with numbers and texts with texts (by UTF-16 code units); between two kinds nothing holds. Of a
 * name that an image does not have nothing holds but `"exists": false`, and so what is `not` of it.
 */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { EisError } from './errors.js';
import { findFault } from './filter-fault.js';
import { isObject } from './is-object.js';
import type { Limits } from './limits.js';
import { isMetadataKey, type Metadata } from './metadata.js';

/** What a name may be asked for, and a value that is no list. */
export type Scalar = string | number | boolean;

/** What is asked of a name: each that is there has to hold, the first six of one and the same value. */
export type Condition =
  | Scalar
  | {
      readonly gt?: string | number;
      readonly gte?: string | number;
      readonly lt?: string | number;
      readonly lte?: string | number;
      readonly in?: readonly Scalar[];
      readonly exists?: boolean;
    };

export interface Filter {
  readonly and?: readonly Filter[];
  readonly or?: readonly Filter[];
  readonly not?: Filter;
  readonly [name: string]: Condition | readonly Filter[] | Filter | undefined;
}

export type FilterLimits = Pick<Limits, 'filterBytesMax' | 'filterDepthMax'>;

const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean()]);
const Bound = Type.Optional(Type.Union([Type.String(), Type.Number()]));
const Condition = Type.Union([
  Scalar,
  Type.Object(
    { gt: Bound, gte: Bound, lt: Bound, lte: Bound, in: Type.Optional(Type.Array(Scalar, { minItems: 1 })), exists: Type.Optional(Type.Boolean()) },
    { additionalProperties: false, minProperties: 1 },
  ),
]);
const Others = Type.Optional(Type.Array(Type.Ref('Filter'), { minItems: 1 }));

export const FilterSchema = Type.Cyclic({ Filter: Type.Object({ and: Others, or: Others, not: Type.Optional(Type.Ref('Filter')) }, { additionalProperties: Condition }) }, 'Filter');

export const FILTER_FORM =
  'A filter is a JSON object like {"year": {"gte": 2020}, "tags": {"in": ["cat", "dog"]}, "not": {"draft": true}}: by name a text, a number, true or false, or some of gt, gte, lt, lte (text or number), in (a list), exists (true or false); and "and", "or" (lists of filters), "not" (a filter).';

/** For descriptions of APIs. */
export const FilterDescription = Type.Unsafe<Filter>({ type: 'object', description: `Only images whose metadata match are found. ${FILTER_FORM} All members have to hold; of a list of texts one is enough.`, additionalProperties: true });

/** A filter among others is in a list, which is in a filter; what is asked of a name is an object, with a list. */
const NESTING_OF_FILTER = 2;
const NESTING_OF_CONDITION = 2;

const isFilter = Compile(FilterSchema);

/**
 * A filter that came as JSON text.
 *
 * @throws EisError EIS_FILTER_INVALID
 */
export function parseFilterText(text: string, limits: FilterLimits): Filter {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EisError('EIS_FILTER_INVALID', { detail: `The filter is not JSON: ${(cause as SyntaxError).message}. Names and texts stand in double quotes; in a shell, the whole in single ones: '{"year": 2020}'.`, form: FILTER_FORM }, { cause });
  }
  return parseFilter(value, limits);
}

/** @throws EisError EIS_FILTER_INVALID */
export function parseFilter(value: unknown, { filterBytesMax, filterDepthMax }: FilterLimits): Filter {
  const refuse = (detail: string): EisError => new EisError('EIS_FILTER_INVALID', { detail, form: FILTER_FORM });
  // First, because what comes after it calls itself for each level.
  if (isDeeper(value, filterDepthMax)) throw refuse(`The filter has filters within filters more than ${filterDepthMax} deep.`);
  const bytes = Buffer.byteLength(JSON.stringify(value) ?? '');
  if (bytes > filterBytesMax) throw refuse(`The filter has ${bytes} bytes; at most ${filterBytesMax} are taken.`);
  if (!isFilter.Check(value)) throw refuse(whatIsWrong(value));
  const unknown = namesOf(value).find((name) => !isMetadataKey(name));
  if (unknown !== undefined) throw refuse(`The filter asks for ${JSON.stringify(unknown)}, which no metadata can have as a name.`);
  return value;
}

/** Says of a row whether it matches. */
export type RowTest<Row> = (row: Row) => boolean;

/**
 * Whether metadata matches; the filter's own work is done once, here.
 *
 * @param testOf makes the test of one name, for rows that hold their metadata otherwise than as an object
 */
export function compileFilter(filter: Filter): RowTest<Metadata>;
export function compileFilter<Row>(filter: Filter, testOf: (name: string, condition: Condition) => RowTest<Row>): RowTest<Row>;
export function compileFilter(filter: Filter, testOf: (name: string, condition: Condition) => RowTest<Metadata> = testMetadata): RowTest<Metadata> {
  const compile = (inner: Filter): RowTest<Metadata> => {
    const tests = Object.entries(inner).map(([name, asked]) => {
      if (name === 'and') return every((asked as readonly Filter[]).map(compile));
      if (name === 'or') return some((asked as readonly Filter[]).map(compile));
      if (name === 'not') return negate(compile(asked as Filter));
      return testOf(name, asked as Condition);
    });
    return every(tests);
  };
  return compile(filter);
}

function every<Row>(tests: readonly RowTest<Row>[]): RowTest<Row> {
  const [only] = tests;
  return tests.length === 1 && only ? only : (row) => tests.every((test) => test(row));
}

function some<Row>(tests: readonly RowTest<Row>[]): RowTest<Row> {
  return (row) => tests.some((test) => test(row));
}

function negate<Row>(test: RowTest<Row>): RowTest<Row> {
  return (row) => !test(row);
}

/** What is asked of a name, made ready. */
export interface CompiledCondition {
  readonly exists: boolean | undefined;
  /** Of one value, or one text of a list; undefined: any will do. */
  readonly holds: ((value: Scalar) => boolean) | undefined;
  /** What alone holds; undefined where something else is asked. */
  readonly among: readonly Scalar[] | undefined;
}

export function compileCondition(condition: Condition): CompiledCondition {
  const { exists, ...ofValue } = typeof condition === 'object' ? condition : { in: [condition] };
  const tests = Object.entries(ofValue).map(([operator, operand]) => compileOperator(operator, operand as Scalar | readonly Scalar[]));
  return { exists, holds: tests.length > 0 ? every(tests) : undefined, among: tests.length === 1 ? ofValue.in : undefined };
}

function testMetadata(name: string, condition: Condition): RowTest<Metadata> {
  const { exists, holds } = compileCondition(condition);
  return (metadata) => {
    if (!Object.hasOwn(metadata, name)) return exists === false && !holds;
    if (exists === false) return false;
    const value = metadata[name] as Scalar | readonly string[];
    return !holds || (typeof value === 'object' ? value.some(holds) : holds(value));
  };
}

function compileOperator(operator: string, operand: Scalar | readonly Scalar[]): (value: Scalar) => boolean {
  const comparable = (value: Scalar): boolean => typeof value === typeof operand;
  switch (operator) {
    case 'gt':
      return (value) => comparable(value) && value > operand;
    case 'gte':
      return (value) => comparable(value) && value >= operand;
    case 'lt':
      return (value) => comparable(value) && value < operand;
    case 'lte':
      return (value) => comparable(value) && value <= operand;
    default: {
      const values = new Set(operand as readonly Scalar[]);
      return (value) => values.has(value);
    }
  }
}

/** Whether more filters than that stand in each other; whatever else is nested as deeply is no filter. Without recursion. */
function isDeeper(value: unknown, depthMax: number): boolean {
  let level = [value].filter(isNested);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > NESTING_OF_FILTER * depthMax + NESTING_OF_CONDITION) return true;
    level = level.flatMap((inner) => Object.values(inner).filter(isNested));
  }
  return depthOf(value) > depthMax;
}

function isNested(value: unknown): value is Record<string, unknown> | readonly unknown[] {
  return typeof value === 'object' && value !== null;
}

function depthOf(filter: unknown): number {
  if (!isObject(filter)) return 0;
  const inner = [filter['and'], filter['or'], filter['not']].flat();
  return 1 + Math.max(0, ...inner.map(depthOf));
}

function namesOf({ and = [], or = [], not, ...conditions }: Filter): string[] {
  return [...Object.keys(conditions), ...[...and, ...or, ...(not ? [not] : [])].flatMap(namesOf)];
}

function whatIsWrong(value: unknown): string {
  const { at, detail } = findFault(value) ?? { at: isFilter.Errors(value)[0]?.instancePath ?? '', detail: '' };
  return `The filter is not right at ${at === '' ? 'its beginning' : at}${detail === '' ? '.' : `: ${detail}`}`;
}

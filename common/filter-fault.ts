/** What is wrong with a filter that its schema refuses, in words for who wrote it: where, and what would be right there. */
import { isObject } from './is-object.js';
import { suggest } from './suggest.js';

export interface FilterFault {
  /** JSON pointer; empty: the whole. */
  readonly at: string;
  readonly detail: string;
}

const RANGES = ['gt', 'gte', 'lt', 'lte'];
const OPERATORS = [...RANGES, 'in', 'exists'];
/** As other languages write them. */
const FOREIGN: Readonly<Record<string, string>> = { '>': 'gt', '>=': 'gte', '<': 'lt', '<=': 'lte', '=': 'in', '==': 'in', eq: 'in', between: 'gte' };
const SHOWN_CHARACTERS_MAX = 60;

/** @returns the first fault; undefined for what has none that is known here. It calls itself for each level: bound them before. */
export function findFault(value: unknown, at = ''): FilterFault | undefined {
  if (!isObject(value)) return { at, detail: `A filter is an object like {"year": 2020}, and ${shown(value)} is none.` };
  for (const [name, asked] of Object.entries(value)) {
    const fault = faultOf(name, asked, `${at}/${name}`);
    if (fault) return fault;
  }
  return undefined;
}

function faultOf(name: string, asked: unknown, at: string): FilterFault | undefined {
  if (name === 'not') return Array.isArray(asked) ? { at, detail: '"not" takes one filter, not a list: {"not": {"draft": true}}.' } : findFault(asked, at);
  if (name !== 'and' && name !== 'or') return faultOfCondition(name, asked, at);
  if (!Array.isArray(asked) || asked.length === 0) return { at, detail: `"${name}" takes a list of one filter or more: {"${name}": [{"year": 2020}, {"draft": false}]}.` };
  for (const [i, filter] of asked.entries()) {
    const fault = findFault(filter, `${at}/${i}`);
    if (fault) return fault;
  }
  return undefined;
}

function faultOfCondition(name: string, asked: unknown, at: string): FilterFault | undefined {
  const key = JSON.stringify(name);
  if (asked === null) return { at, detail: `null is no value. Images that have no ${key} are found by {${key}: {"exists": false}}.` };
  if (Array.isArray(asked)) return { at, detail: `Of several values one is enough with "in": {${key}: {"in": ${shown(asked)}}}.` };
  if (!isObject(asked)) return undefined;
  if (Object.keys(asked).length === 0) return { at, detail: `Nothing is asked of ${key}. That images have it at all is {${key}: {"exists": true}}.` };
  for (const [operator, operand] of Object.entries(asked)) {
    const detail = faultOfOperator(operator, operand);
    if (detail !== undefined) return { at: `${at}/${operator}`, detail };
  }
  return undefined;
}

function faultOfOperator(operator: string, operand: unknown): string | undefined {
  const key = JSON.stringify(operator);
  if (!OPERATORS.includes(operator)) return `${key} is none of ${OPERATORS.join(', ')}.${hint(operator)}`;
  if (RANGES.includes(operator)) return typeof operand === 'number' || typeof operand === 'string' ? undefined : `${key} takes a number or a text, and ${shown(operand)} is neither: {${key}: 2020}.`;
  if (operator === 'exists') return typeof operand === 'boolean' ? undefined : `"exists" takes true or false without quotes, and ${shown(operand)} is neither.`;
  return Array.isArray(operand) && operand.length > 0 && operand.every(isScalar) ? undefined : `"in" takes a list of one text, number, true or false, or more: {"in": ["cat", "dog"]}.`;
}

function hint(operator: string): string {
  const meant = FOREIGN[operator] ?? suggest(operator.replace(/^\$/, ''), OPERATORS);
  if (meant === 'in') return ' Equality is the value alone: {"year": 2020}.';
  if (operator === 'between') return ' A range has two of them: {"gte": 2020, "lt": 2024}.';
  return meant === undefined ? '' : ` Did you mean "${meant}"?`;
}

function isScalar(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

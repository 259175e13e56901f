/** Random metadata and filters over few names and values, and what a filter says, worked out as the words of its form are, and not as `common/filter.ts` does it. */
import fc from 'fast-check';
import type { Condition, Filter } from '../../common/filter.js';
import type { Metadata, MetadataValue } from '../../common/metadata.js';

const names = fc.constantFrom('year', 'tags', 'title', 'public', 'constructor');
const texts = fc.constantFrom('', 'a', 'b', 'é', 'Z', '1');
const numbers = fc.constantFrom(-1.5, 0, 1, 2, 1e21);
const scalars = fc.oneof(texts, numbers, fc.boolean());
const bounds = fc.oneof(texts, numbers);

export const metadataArbitrary: fc.Arbitrary<Metadata> = fc.dictionary(names, fc.oneof(scalars, fc.array(texts, { maxLength: 3 })), { maxKeys: 4 });

const conditions: fc.Arbitrary<Condition> = fc.oneof(
  scalars,
  fc.record({ gt: bounds, gte: bounds, lt: bounds, lte: bounds, in: fc.array(scalars, { minLength: 1, maxLength: 3 }), exists: fc.boolean() }, { requiredKeys: [] }).filter((condition) => Object.keys(condition).length > 0),
);

export const filterArbitrary: fc.Arbitrary<Filter> = fc.letrec<{ filter: Filter }>((tie) => {
  const leaf = fc.dictionary(names, conditions, { maxKeys: 2 });
  const others = fc.array(tie('filter'), { minLength: 1, maxLength: 3 });
  const node = fc.tuple(leaf, fc.record({ and: others, or: others, not: tie('filter') }, { requiredKeys: [] })).map(([conditionsOf, joined]) => ({ ...conditionsOf, ...joined }));
  return { filter: fc.oneof({ maxDepth: 3, withCrossShrink: true }, leaf as fc.Arbitrary<Filter>, node) };
}).filter;

export function matchesByWord(filter: Filter, metadata: Metadata): boolean {
  for (const [name, asked] of Object.entries(filter)) {
    let holds: boolean;
    if (name === 'and') holds = !(asked as Filter[]).some((each) => !matchesByWord(each, metadata));
    else if (name === 'or') holds = (asked as Filter[]).filter((each) => matchesByWord(each, metadata)).length > 0;
    else if (name === 'not') holds = !matchesByWord(asked as Filter, metadata);
    else holds = conditionHolds(asked as Condition, Object.entries(metadata).find(([key]) => key === name)?.[1]);
    if (!holds) return false;
  }
  return true;
}

function conditionHolds(condition: Condition, value: MetadataValue | undefined): boolean {
  if (typeof condition !== 'object') return value === condition || (Array.isArray(value) && value.includes(condition as string));
  const { exists, ...rest } = condition;
  if (exists !== undefined && exists !== (value !== undefined)) return false;
  if (Object.keys(rest).length === 0) return true;
  if (value === undefined) return false;
  const compared = (one: string | number | boolean, other: string | number): number => (typeof one !== typeof other ? Number.NaN : one > other ? 1 : one < other ? -1 : 0);
  return [value].flat().some((one) => {
    if (rest.gt !== undefined && !(compared(one, rest.gt) > 0)) return false;
    if (rest.gte !== undefined && !(compared(one, rest.gte) >= 0)) return false;
    if (rest.lt !== undefined && !(compared(one, rest.lt) < 0)) return false;
    if (rest.lte !== undefined && !(compared(one, rest.lte) <= 0)) return false;
    return rest.in === undefined || rest.in.some((each) => each === one);
  });
}

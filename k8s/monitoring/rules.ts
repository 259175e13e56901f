/** What Prometheus computes, and when it calls somebody: of metrics that the roles export, which a test asks them. */
import { DEFAULT_LIMITS, type Limits } from '../../common/limits.js';
import { ingestRules } from './ingest-rules.js';
import { NO_OPTIONAL_PARTS, type OptionalParts } from './optional-parts.js';
import { optionalRules } from './optional-rules.js';
import { partRules } from './part-rules.js';
import type { RuleGroup } from './rule.js';
import { searchRules } from './search-rules.js';
import { targetRules } from './target-rules.js';

export interface RulesOptions {
  readonly optional?: OptionalParts;
  readonly limits?: Limits;
}

/** @param jobs of the scrape configuration, each of which is missed when none of its targets answers */
export function renderRules(jobs: readonly string[], { optional = NO_OPTIONAL_PARTS, limits = DEFAULT_LIMITS }: RulesOptions = {}): { readonly groups: readonly RuleGroup[] } {
  return { groups: [targetRules(jobs), searchRules(), partRules(limits), ingestRules(), ...optionalRules(optional)] };
}

// How much is stored, for how long, under which tags, how many at once (rules B21, B22, C11, F4).
import type { Draft } from './draft.ts';
import { type Finding, MISSING, type RuleContext } from './rule.ts';
import { keyPath, show } from './show.ts';

const MAX_TAGS = 10;
const HIGH_PARALLELISM = 32;

export function manyTags({ configuration: { tags = {} } }: Draft): Finding[] {
  const keys = Object.keys(tags);
  if (keys.length <= MAX_TAGS) return [];
  const found = `${keys.length} tags`;
  return [{ path: 'spec.configuration.tags', found, advice: `at most ${MAX_TAGS} tags`, offending: keys.sort() }];
}

/** Barman reads tags as CSV. */
export function doubtfulTags({ configuration }: Draft): Finding[] {
  return (['tags', 'historyTags'] as const).flatMap((field) =>
    Object.entries(configuration[field] ?? {})
      .filter(([key, value]) => /[,"']/.test(key + value))
      .map(([key, value]) => ({
        path: keyPath(`spec.configuration.${field}`, key),
        found: show(value),
        advice: 'avoid commas and quotes in tags',
      })),
  );
}

export function parallelism({ configuration: { wal } }: Draft): Finding[] {
  const { maxParallel } = wal ?? {};
  if (maxParallel === undefined || maxParallel <= HIGH_PARALLELISM) return [];
  const path = 'spec.configuration.wal.maxParallel';
  const advice = `high parallelism fills the scratch volume; use ${HIGH_PARALLELISM} or less`;
  return [{ path, found: show(maxParallel), advice }];
}

/** Said once: when the store is made, or when its policy is taken away. */
export function noRetention({ spec }: Draft, { operation, old }: RuleContext<Draft>): Finding[] {
  if (spec.retentionPolicy !== undefined) return [];
  if (operation === 'UPDATE' && old?.spec.retentionPolicy === undefined) return [];
  return [{ path: 'spec.retentionPolicy', found: MISSING, advice: 'nothing is ever deleted; set for example 30d' }];
}

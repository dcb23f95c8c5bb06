// Whether the Secrets that a store names are there (rule B14), for installations that let us look.
import { selectorsOf } from './credentials.ts';
import type { Draft } from './draft.ts';
import type { Finding, RuleContext } from './rule.ts';
import { show } from './show.ts';
import { isSubdomain } from './subdomain.ts';

/** Of every Secret that is named and would be read, once. */
export function secretNames(draft: Draft): string[] {
  return [...new Set(selectors(draft).map(({ name }) => name))];
}

export function missingSecrets(draft: Draft, { around }: RuleContext<Draft>): Finding[] {
  return selectors(draft).flatMap(({ path, name, key }): Finding[] => {
    const keys = around.secretKeys?.get(name);
    if (keys === undefined) return [];
    if (keys === null) {
      const advice = 'there is no such Secret (yet)';
      return [{ path: `${path}.name`, found: show(name), advice, offending: name, reference: true }];
    }
    if (keys.includes(key)) return [];
    const advice = `not in the Secret ${name} (yet)`;
    return [{ path: `${path}.key`, found: show(key), advice, offending: [name, key], reference: true }];
  });
}

function selectors({ configuration }: Draft): { path: string; name: string; key: string }[] {
  const byRole = configuration.s3Credentials?.inheritFromIAMRole === true;
  return selectorsOf(configuration).flatMap(({ path, selector: { name, key } }) => {
    if (name === undefined || key === undefined || key === '' || !isSubdomain(name)) return [];
    return byRole && path.includes('.s3Credentials.') ? [] : [{ path, name, key }];
  });
}

// The block instanceSidecarConfiguration: arguments, interval, log level, resources (rules A6, B20, B23, C6).
import { DEFAULT_LOG_LEVEL, LOG_LEVEL_FORBIDDEN } from '../objectstore-schema.ts';
import type { Draft } from './draft.ts';
import { parseQuantity } from './quantity.ts';
import type { Finding, RuleContext } from './rule.ts';
import { keyPath, show } from './show.ts';

const SIDECAR = 'spec.instanceSidecarConfiguration';

export function logLevelArgument({ spec }: Draft): Finding[] {
  return (spec.instanceSidecarConfiguration?.additionalContainerArgs ?? [])
    .filter((argument) => argument.startsWith('--log-level'))
    .slice(0, 1)
    .map((argument) => ({
      path: `${SIDECAR}.additionalContainerArgs`,
      found: show(argument),
      advice: LOG_LEVEL_FORBIDDEN,
    }));
}

export function maintenanceInterval({ spec }: Draft): Finding[] {
  const seconds = spec.instanceSidecarConfiguration?.retentionPolicyIntervalSeconds;
  if (seconds === undefined || seconds >= 1) return [];
  const path = `${SIDECAR}.retentionPolicyIntervalSeconds`;
  return [{ path, found: show(seconds), advice: 'must be at least 1 (60 or more recommended)' }];
}

/** What the API server refuses only when a Pod is made of it, hours later. */
export function resourceAmounts({ spec }: Draft): Finding[] {
  const { limits = {}, requests = {}, claims = [] } = spec.instanceSidecarConfiguration?.resources ?? {};
  const path = `${SIDECAR}.resources`;
  const findings = [...negativeAmounts(limits, `${path}.limits`), ...negativeAmounts(requests, `${path}.requests`)];
  for (const [resource, request] of Object.entries(requests)) {
    const limit = Object.hasOwn(limits, resource) ? limits[resource] : undefined;
    if (limit === undefined || !exceeds(request, limit)) continue;
    const advice = `must be less than or equal to the ${resource} limit of ${limit}`;
    findings.push({
      path: keyPath(`${path}.requests`, resource),
      found: show(request),
      advice,
      offending: [request, limit],
    });
  }
  if (claims.length > 0) {
    const advice = 'the Pods of CloudNativePG have no resource claims; remove the list';
    findings.push({ path: `${path}.claims`, found: `${claims.length} claims`, advice });
  }
  return findings;
}

function negativeAmounts(amounts: Record<string, string | number>, path: string): Finding[] {
  return Object.entries(amounts)
    .filter(([, amount]) => (parseQuantity(amount) ?? 0n) < 0n)
    .map(([resource, amount]) => ({
      path: keyPath(path, resource),
      found: show(amount),
      advice: 'must be greater than or equal to 0',
    }));
}

function exceeds(request: string | number, limit: string | number): boolean {
  const [wanted, most] = [parseQuantity(request), parseQuantity(limit)];
  return wanted !== undefined && most !== undefined && wanted > most;
}

/** The operator does not compare container arguments, so nothing restarts by such a change. */
export function changedArguments(draft: Draft, { old }: RuleContext<Draft>): Finding[] {
  if (old === undefined) return [];
  const [now, before] = [argumentsOf(draft), argumentsOf(old)];
  const advice = 'takes effect when the Pods are next recreated';
  const findings: Finding[] = [];
  if (now.level !== before.level) {
    const found = `a change from ${before.level} to ${now.level}`;
    findings.push({ path: `${SIDECAR}.logLevel`, found, advice });
  }
  if (JSON.stringify(now.list) !== JSON.stringify(before.list)) {
    findings.push({ path: `${SIDECAR}.additionalContainerArgs`, found: 'a change', advice });
  }
  return findings;
}

/** A level that is left out, with the whole block or in it, is the default one. */
function argumentsOf({ spec: { instanceSidecarConfiguration: sidecar } }: Draft) {
  return { level: show(sidecar?.logLevel ?? DEFAULT_LOG_LEVEL), list: sidecar?.additionalContainerArgs ?? [] };
}

// The variables of instanceSidecarConfiguration.env (rules B23, C4, C5, F9). Values are never shown.
import { isFields } from '../schema.ts';
import type { Draft, DraftEnvVar } from './draft.ts';
import type { Finding } from './rule.ts';
import { joinNames, show } from './show.ts';

type Variable = { path: string; variable: DraftEnvVar };

/** Names that every supported Kubernetes takes; since 1.32 it takes all printable ASCII characters but `=`. */
const PORTABLE_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;
const POSSIBLE_NAME = /^[ -<>-~]+$/;

/** What the API server refuses only when a Pod is made of it, hours later. */
export function variableForms(draft: Draft): Finding[] {
  return variablesOf(draft).flatMap((variable) => [...nameForm(variable), ...valueForm(variable)]);
}

function nameForm({ path, variable: { name } }: Variable): Finding[] {
  if (name === undefined || PORTABLE_NAME.test(name)) return [];
  if (POSSIBLE_NAME.test(name)) {
    const advice = 'Kubernetes below 1.32 refuses it; use letters, digits, -, _ and ., not beginning with a digit';
    return [{ path: `${path}.name`, found: show(name), advice, warnOnly: true }];
  }
  const advice = 'not a name for a variable: use letters, digits, -, _ and ., not beginning with a digit';
  return [{ path: `${path}.name`, found: show(name), advice }];
}

function valueForm({ path, variable: { name, value, valueFrom } }: Variable): Finding[] {
  if (valueFrom === undefined) return [];
  const sources = Object.keys(valueFrom);
  const at = { path: `${path}.valueFrom`, offending: [name, sources, Boolean(value)] };
  const findings: Finding[] = [];
  if (value) findings.push({ ...at, found: 'value with valueFrom', advice: 'may not be specified together; keep one' });
  if (sources.length === 0) findings.push({ ...at, found: 'no source', advice: 'name exactly one source' });
  if (sources.length > 1) {
    findings.push({ ...at, found: joinNames(sources), advice: 'may not have more than one source; keep one' });
  }
  for (const source of ['configMapKeyRef', 'secretKeyRef']) {
    const reference = valueFrom[source];
    if (!isFields(reference) || reference.name) continue;
    findings.push({ ...at, path: `${path}.valueFrom.${source}.name`, found: 'no name', advice: 'a name is required' });
  }
  return findings;
}

/** Set by the operator and the plugin before an ObjectStore is looked at (§4.4). */
const RESERVED = new Set([
  'NAMESPACE',
  'CLUSTER_NAME',
  'POD_NAME',
  'PGDATA',
  'PGHOST',
  'PGPORT',
  'TMPDIR',
  'PSQL_HISTORY',
  'SPOOL_DIRECTORY',
  'CUSTOM_CNPG_GROUP',
  'CUSTOM_CNPG_VERSION',
]);

export function reservedVariables(draft: Draft): Finding[] {
  return variablesOf(draft)
    .filter(({ variable: { name } }) => name !== undefined && RESERVED.has(name))
    .map(({ path, variable: { name } }) => ({
      path: `${path}.name`,
      found: show(name),
      advice: 'this variable cannot be overridden; remove it',
    }));
}

const CREDENTIALS = new Set([
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AZURE_CLIENT_SECRET',
  'AZURE_STORAGE_CONNECTION_STRING',
  'AZURE_STORAGE_KEY',
  'AZURE_STORAGE_SAS_TOKEN',
]);

export function doubtfulVariables(draft: Draft): Finding[] {
  const seen = new Set<string>();
  return variablesOf(draft).flatMap(({ path, variable: { name, value } }) => {
    if (name === undefined) return [];
    const findings: Finding[] = [];
    if (seen.has(name)) {
      findings.push({ path: `${path}.name`, found: show(name), advice: 'defined twice; the first definition counts' });
    }
    seen.add(name);
    if (value && CREDENTIALS.has(name)) {
      const advice = `use credentials or valueFrom`;
      findings.push({ path: `${path}.value`, found: `a literal value of ${name}`, advice });
    }
    return findings;
  });
}

/** People set it; nothing reads it. */
export function pathStyleVariable(draft: Draft): Finding[] {
  return variablesOf(draft)
    .filter(({ variable: { name } }) => name === 'AWS_S3_FORCE_PATH_STYLE')
    .map(({ path, variable: { name } }) => ({
      path: `${path}.name`,
      found: show(name),
      advice: 'not known; path style is automatic; remove it',
    }));
}

function variablesOf({ spec }: Draft): Variable[] {
  return (spec.instanceSidecarConfiguration?.env ?? []).map((variable, index) => ({
    path: `spec.instanceSidecarConfiguration.env[${index}]`,
    variable,
  }));
}

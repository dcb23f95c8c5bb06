// Group A: what the CRD's schema refuses, in our words and all at once (objectstore-and-injection.md §2.1). ajv finds the
// places; the sentences are made here.
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { OBJECTSTORE_SCHEMA, SERVER_NAME_FORBIDDEN } from '../objectstore-schema.ts';
import { childOf, fieldSchema, pointerKeys, type Schema } from '../schema.ts';
import { nearest } from './near-miss.ts';
import { type Finding, MISSING } from './rule.ts';
import { keyPath, show, showKind } from './show.ts';

export type SchemaRuleId = 'A1' | 'A2' | 'A3' | 'A4' | 'A5' | 'A7' | 'A8';

export type SchemaFinding = Finding & { id: SchemaRuleId };

const CONFIGURATION = 'spec.configuration';
const RETENTION = 'spec.retentionPolicy';
const SELECTOR = /^spec\.configuration\.(endpointCA|(s3|azure|google)Credentials\.\w+)\b/;
const SELECTOR_FLAGS = /\.(inheritFromIAMRole|inheritFromAzureAD|useDefaultAzureCredentials|gkeEnvironment)$/;
/** Below these, a string may be a secret that was written into the wrong place. */
const SECRETIVE =
  /^spec\.(configuration\.\w+Credentials|configuration\.endpointCA|instanceSidecarConfiguration\.env)\b/;
const QUANTITY_ADVICE = 'must be a quantity such as 500m, 512Mi or 1Gi';
const MAX_INT32 = 2_147_483_647;

/** Everything that the schema refuses in a document that was pruned before. */
export function findSchemaViolations(document: unknown): SchemaFinding[] {
  const validate = validator();
  const valid = validate(document);
  // Of an int-or-string ajv also reports each alternative that did not fit.
  const errors = valid ? [] : (validate.errors ?? []).filter((error) => !error.schemaPath.includes('/anyOf/'));
  return [...errors.map(explain), ...findRepeatedClaims(document)];
}

function explain(error: ErrorObject): SchemaFinding {
  const { path, schema, value } = locate(error);
  if (error.keyword === 'required') {
    const missing = `${path === '' ? '' : `${path}.`}${error.params.missingProperty}`;
    return finding(missing, MISSING, adviceWhenMissing(missing));
  }
  const found = SECRETIVE.test(path) ? showKind(value) : show(value);
  if (error.keyword === 'enum') return finding(path, found, adviceForEnum(value, schema.enum ?? []));
  if (error.keyword === 'pattern') return finding(path, found, adviceForPattern(path, value));
  if (error.keyword === 'minLength') return finding(path, found, adviceWhenMissing(path));
  if (error.keyword === 'minimum' || error.keyword === 'format') return finding(path, found, wholeNumber(path));
  return finding(path, found, adviceForType(path, schema, value));
}

function finding(path: string, found: string, advice: string): SchemaFinding {
  return { id: ruleOf(path), path, found, advice };
}

/**
 * | place | rule |
 * |---|---|
 * | spec, configuration, destinationPath | A1 |
 * | serverName of a wrong type | A2 |
 * | compression, encryption, logLevel | A3 |
 * | maxParallel, jobs | A4 |
 * | retentionPolicy | A5 |
 * | a selector, its name and key | A7 |
 * | all the rest: variables, resources, values of a wrong type | A8 |
 */
function ruleOf(path: string): SchemaRuleId {
  if (['spec', CONFIGURATION, `${CONFIGURATION}.destinationPath`].includes(path)) return 'A1';
  if (path === `${CONFIGURATION}.serverName`) return 'A2';
  if (/\.(compression|encryption|logLevel)$/.test(path)) return 'A3';
  if (/\.(maxParallel|jobs)$/.test(path)) return 'A4';
  if (path === RETENTION) return 'A5';
  return SELECTOR.test(path) && !SELECTOR_FLAGS.test(path) ? 'A7' : 'A8';
}

function adviceWhenMissing(path: string): string {
  if (ruleOf(path) === 'A1') {
    const field = path.endsWith('destinationPath') ? '' : ' in spec.configuration.destinationPath';
    return `set the bucket URL${field}, for example s3://bucket/prefix`;
  }
  if (ruleOf(path) === 'A7') return 'both name and key of the Secret are required';
  return 'a value is required';
}

function adviceForEnum(value: unknown, allowed: readonly string[]): string {
  const list = `use one of ${allowed.join(', ')}`;
  if (value === '') return `${list}, or remove the key for the default`;
  if (typeof value === 'string' && NONE.has(value.toLowerCase())) return `remove the key for none, or ${list}`;
  const meant = typeof value === 'string' ? nearest(value, allowed) : undefined;
  return meant === undefined ? list : `did you mean ${meant}? ${list}`;
}

const NONE = new Set(['none', 'off', 'false', 'no', 'disabled']);

function adviceForPattern(path: string, value: unknown): string {
  if (path !== RETENTION) return QUANTITY_ADVICE;
  const rule = 'use a positive number followed by d, w or m (days, weeks, months)';
  if (value === '') return `${rule}, or remove the key to keep everything`;
  const meant = typeof value === 'string' ? retentionMeant(value) : undefined;
  return meant === undefined ? rule : `did you mean ${meant}? ${rule}`;
}

/** `30 days`, `30D`, `1y` and barman's `RECOVERY WINDOW OF 30 DAYS`. */
function retentionMeant(text: string): string | undefined {
  const match =
    /^\s*(?:recovery\s+window\s+of\s+)?0*([1-9]\d{0,4})\s*(d|w|m|y)(?:ays?|eeks?|onths?|ears?|o)?\s*$/i.exec(text);
  const [, count, unit] = match ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return unit.toLowerCase() === 'y' ? `${Number(count) * 12}m` : `${count}${unit.toLowerCase()}`;
}

function wholeNumber(path: string): string {
  const most = path.endsWith('.jobs') ? ` and at most ${MAX_INT32}` : '';
  return `must be a whole number of at least 1${most}`;
}

function adviceForType(path: string, schema: Schema, value: unknown): string {
  if (ruleOf(path) === 'A2') return SERVER_NAME_FORBIDDEN;
  if (schema['x-kubernetes-int-or-string']) {
    return typeof value === 'number' ? `must be a quantity; write "${value}" in quotes` : QUANTITY_ADVICE;
  }
  if (schema.enum !== undefined) return adviceForEnum(value, schema.enum);
  if (schema.type === 'integer') {
    const quoted = typeof value === 'string' && /^\d{1,9}$/.test(value) ? `; write ${value} without quotes` : '';
    return `${ruleOf(path) === 'A4' ? wholeNumber(path) : 'must be a whole number'}${quoted}`;
  }
  if (schema.type === 'boolean') return 'must be true or false, without quotes';
  if (schema.type === 'array') return 'must be a list';
  if (schema.type === 'string') {
    return typeof value === 'number' || typeof value === 'boolean'
      ? 'must be a string; put it in quotes'
      : 'must be a string';
  }
  return ruleOf(path) === 'A7'
    ? 'name a Secret by name and key; never write the value itself here'
    : 'must be an object';
}

/** From a JSON pointer to the path that people know, with the schema and the value there. */
function locate(error: ErrorObject): { path: string; schema: Schema; value: unknown } {
  let path = '';
  let schema = OBJECTSTORE_SCHEMA;
  for (const segment of pointerKeys(error.instancePath)) {
    if (schema.items !== undefined) path = `${path}[${segment}]`;
    else if (schema.properties === undefined) path = keyPath(path, segment);
    else path = path === '' ? segment : `${path}.${segment}`;
    schema = (schema.items ?? fieldSchema(schema, segment)) || {};
  }
  return { path, schema, value: error.data };
}

/** Names of `claims` must be unique: the one thing that JSON Schema cannot say of the CRD. */
function findRepeatedClaims(document: unknown): SchemaFinding[] {
  const claims = ['spec', 'instanceSidecarConfiguration', 'resources', 'claims'].reduce(childOf, document);
  if (!Array.isArray(claims)) return [];
  const seen = new Set<unknown>();
  return claims.flatMap((claim, index) => {
    const name = childOf(claim, 'name');
    const repeated = typeof name === 'string' && seen.has(name);
    seen.add(name);
    const path = `spec.instanceSidecarConfiguration.resources.claims[${index}].name`;
    return repeated ? [finding(path, show(name), 'is there twice; remove one')] : [];
  });
}

let compiled: ValidateFunction | undefined;

/** Compiled on first use: importing this file costs nothing. */
function validator(): ValidateFunction {
  compiled ??= new Ajv({
    allErrors: true,
    verbose: true,
    strictTypes: false,
    formats: {
      int32: { type: 'number', validate: (value: number) => Math.abs(value) <= MAX_INT32 },
      'date-time': true,
    },
    keywords: [
      'x-kubernetes-int-or-string',
      'x-kubernetes-map-type',
      'x-kubernetes-list-type',
      'x-kubernetes-list-map-keys',
      'x-kubernetes-validations',
    ],
  }).compile(OBJECTSTORE_SCHEMA);
  return compiled;
}

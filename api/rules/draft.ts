// An ObjectStore as somebody wrote it, made well-typed: what has a wrong type is left out or read as it was meant, so that
// every further rule can look at the rest. What was wrong about it is the schema's to say (schema-findings.ts).
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { EnvVar, ResourceRequirements } from '../kube.ts';
import type { AzureCredentials, GoogleCredentials, ObjectStoreConfiguration, S3Credentials } from '../objectstore.ts';
import { OBJECTSTORE_SPEC_SCHEMA } from '../objectstore-schema.ts';
import { childOf, isFields, pointerKeys, prune, type Schema } from '../schema.ts';
import { findSchemaViolations, type SchemaFinding } from './schema-findings.ts';

export type DraftSelector = { name?: string; key?: string };

type DraftCredentials<T> = { [field in keyof T]: T[field] extends boolean | undefined ? T[field] : DraftSelector };

export type DraftConfiguration = Omit<
  Partial<ObjectStoreConfiguration>,
  'endpointCA' | 's3Credentials' | 'azureCredentials' | 'googleCredentials' | 'wal' | 'data'
> & {
  endpointCA?: DraftSelector;
  s3Credentials?: DraftCredentials<S3Credentials>;
  azureCredentials?: DraftCredentials<AzureCredentials>;
  googleCredentials?: DraftCredentials<GoogleCredentials>;
  wal?: {
    compression?: string;
    encryption?: string;
    maxParallel?: number;
    archiveAdditionalCommandArgs?: string[];
    restoreAdditionalCommandArgs?: string[];
  };
  data?: {
    compression?: string;
    encryption?: string;
    jobs?: number;
    additionalCommandArgs?: string[];
    restoreAdditionalCommandArgs?: string[];
  };
};

export type DraftEnvVar = Partial<EnvVar>;

export type DraftSpec = {
  configuration?: DraftConfiguration;
  retentionPolicy?: string;
  instanceSidecarConfiguration?: {
    env?: DraftEnvVar[];
    resources?: Omit<ResourceRequirements, 'claims'> & { claims?: { name?: string }[] };
    retentionPolicyIntervalSeconds?: number;
    additionalContainerArgs?: string[];
    logLevel?: string;
  };
};

/** The object that the rules look at. */
export type Draft = {
  /** What the schema refuses about the document. */
  violations: SchemaFinding[];
  namespace: string;
  name: string;
  annotations: Record<string, unknown>;
  configuration: DraftConfiguration;
  spec: DraftSpec;
};

/** Reads any JSON value; never throws. */
export function readDraft(document: unknown): Draft {
  const source = isFields(document) ? document : {};
  const written = prune(source.spec ?? undefined, OBJECTSTORE_SPEC_SCHEMA);
  const spec = wellTyped(prune(written, OBJECTSTORE_SPEC_SCHEMA));
  const metadata = isFields(source.metadata) ? source.metadata : {};
  return {
    // Metadata is the API server's business, status never comes this way.
    violations: findSchemaViolations(written === undefined ? { metadata: {} } : { metadata: {}, spec: written }),
    namespace: typeof metadata.namespace === 'string' ? metadata.namespace : '',
    name: typeof metadata.name === 'string' ? metadata.name : '',
    annotations: isFields(metadata.annotations) ? metadata.annotations : {},
    configuration: spec.configuration ?? {},
    spec,
  };
}

/** Each round mends one level of the document, so there are never more rounds than the schema has levels. */
const MAX_ROUNDS = 12;

function wellTyped(spec: unknown): DraftSpec {
  const holder: Record<string, unknown> = { spec: spec ?? {} };
  const isTyped = typesValidator();
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const candidate = holder.spec;
    if (isTyped(candidate)) return candidate;
    for (const error of isTyped.errors ?? []) mend(holder, error);
  }
  return {};
}

/** Booleans are read from what they were meant to be; lists keep their length; everything else is emptied or left out. */
function mend(holder: Record<string, unknown>, error: ErrorObject): void {
  const segments = ['spec', ...pointerKeys(error.instancePath)];
  const last = segments.pop() ?? '';
  let parent: unknown = holder;
  for (const segment of segments) parent = Array.isArray(parent) ? parent[Number(segment)] : childOf(parent, segment);
  if (Array.isArray(parent)) parent[Number(last)] = error.params.type === 'string' ? '' : {};
  else if (isFields(parent)) {
    const empty = emptyOf(error.params.type, parent[last]);
    if (empty === undefined) delete parent[last];
    else parent[last] = empty;
  }
}

function emptyOf(type: unknown, found: unknown): unknown {
  if (type === 'object') return {};
  if (type === 'array') return [];
  if (type === 'boolean') return typeof found === 'string' && found.toLowerCase() === 'true';
  return undefined;
}

let compiledTypes: ValidateFunction<DraftSpec> | undefined;

/** Compiled on first use: importing this file costs nothing. */
function typesValidator(): ValidateFunction<DraftSpec> {
  compiledTypes ??= new Ajv({ allErrors: true, strict: false }).compile<DraftSpec>(typesOnly(OBJECTSTORE_SPEC_SCHEMA));
  return compiledTypes;
}

/** The schema without anything but types. Int-or-string becomes a type list, whose error has no single type. */
function typesOnly(schema: Schema): object {
  const { properties, additionalProperties, items } = schema;
  return {
    ...(schema['x-kubernetes-int-or-string'] ? { type: ['integer', 'string'] } : {}),
    ...(schema.type === undefined ? {} : { type: schema.type }),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, typesOnly(value)])) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: typesOnly(additionalProperties) }),
    ...(items === undefined ? {} : { items: typesOnly(items) }),
  };
}

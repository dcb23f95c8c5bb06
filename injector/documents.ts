// The JSON documents that the operator sends, parsed and checked as far as we read them (cnpg-i-contract.md §8).
import { InvalidInputError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import type { Workload } from './decide.ts';
import { isNestedDeeper } from './nesting.ts';
import { fieldsOf, flag, listOf, mapOf, mismatch, name, object, objectName, optional, text } from './shape.ts';

const METADATA_FIELDS = {
  name: optional(text),
  namespace: optional(text),
  uid: optional(text),
  labels: optional(mapOf(text)),
};

const METADATA = object(METADATA_FIELDS);

const PLUGIN = object({ name: text, enabled: optional(flag), parameters: optional(mapOf(text)) });

const CLUSTER = object({
  apiVersion: optional(text),
  kind: optional(text),
  metadata: object({ ...METADATA_FIELDS, name: objectName, namespace: optional(objectName) }),
  spec: object({
    imagePullPolicy: optional(text),
    serviceAccountName: optional(text),
    plugins: optional(listOf(PLUGIN)),
    externalClusters: optional(listOf(object({ name: text, plugin: optional(PLUGIN) }))),
    bootstrap: optional(object({ recovery: optional(object({ source: optional(text) })) })),
    replica: optional(object({ source: optional(text) })),
  }),
});

const CONTAINER = object({
  name,
  env: optional(listOf(object({ name }))),
  volumeMounts: optional(listOf(object({ name, mountPath: text }))),
});

const POD_SPEC = object({
  initContainers: optional(listOf(CONTAINER)),
  containers: listOf(CONTAINER),
  volumes: optional(listOf(object({ name }))),
});

const POD = object({ metadata: optional(METADATA), spec: POD_SPEC });

const JOB = object({
  metadata: optional(METADATA),
  spec: object({ template: object({ metadata: optional(METADATA), spec: POD_SPEC }) }),
});

/** A Cluster of any group and version, because of forks. Throws InvalidInputError naming the field. */
export function parseCluster(bytes: Uint8Array): Cluster {
  const document = parseJson('cluster_definition', bytes);
  assertCluster(document);
  return document;
}

/** A `v1` Pod or a `batch/v1` Job; anything else is refused with InvalidInputError. */
export function parseWorkload(bytes: Uint8Array): Workload {
  const document = parseJson('object_definition', bytes);
  assertWorkload(document);
  return document;
}

/** The top-level kind of a document: how Cluster and Backup are told apart. */
export function parseKind(field: string, bytes: Uint8Array): string {
  const { kind } = fieldsOf(parseJson(field, bytes), field);
  if (typeof kind === 'string' && kind !== '') return kind;
  throw mismatch(`kind of ${field}`, kind, 'must be the name of a kind');
}

/** Kubernetes' own documents stay below 50. */
const MAX_LEVELS = 1000;

function parseJson(field: string, bytes: Uint8Array): unknown {
  if (isNestedDeeper(bytes, MAX_LEVELS)) {
    const advice = `must not be nested deeper than ${MAX_LEVELS} levels`;
    throw new InvalidInputError(field, `${bytes.byteLength} bytes`, advice);
  }
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (error) {
    // The parser's message quotes the document, which may hold anything.
    throw new InvalidInputError(field, `${bytes.byteLength} bytes`, 'must be a JSON document', { cause: error });
  }
}

function assertCluster(document: unknown): asserts document is Cluster {
  CLUSTER(document, 'cluster_definition');
}

function assertWorkload(document: unknown): asserts document is Workload {
  const { apiVersion, kind } = fieldsOf(document, 'object_definition');
  const found = [apiVersion, kind].map((part) => (typeof part === 'string' ? part : 'nothing')).join(' ');
  if (found === 'v1 Pod') POD(document, 'object_definition');
  else if (found === 'batch/v1 Job') JOB(document, 'object_definition');
  else throw mismatch('object_definition', found, 'must be a v1 Pod or a batch/v1 Job');
}

// Schemas of the core types inside an ObjectStore: EnvVar and ResourceRequirements, as far as a CRD checks them
// (objectstore-and-injection.md §1.5). What they leave open is refused when a Pod is created.
import type { Schema } from './schema.ts';

/** Kubernetes' grammar of quantities; a leading sign is allowed here and refused later. */
export const QUANTITY_PATTERN =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';

const STRING: Schema = { type: 'string' };

const QUANTITY: Schema = {
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  pattern: QUANTITY_PATTERN,
  'x-kubernetes-int-or-string': true,
};

/** A key of a ConfigMap or Secret. The empty name is the API server's default and never right. */
function keyReference(kind: string): Schema {
  return {
    type: 'object',
    description: `Takes the value from a key of a ${kind} in the namespace of the Pod.`,
    properties: {
      key: { ...STRING, description: 'The key to take.' },
      name: { ...STRING, default: '', description: `Name of the ${kind}.` },
      optional: { type: 'boolean', description: `Whether the ${kind} or the key may be missing.` },
    },
    required: ['key'],
    'x-kubernetes-map-type': 'atomic',
  };
}

const FIELD_REFERENCE: Schema = {
  type: 'object',
  description: 'Takes the value from a field of the Pod, for example metadata.name or status.podIP.',
  properties: {
    apiVersion: { ...STRING, description: 'API version of the path; v1 when left out.' },
    fieldPath: { ...STRING, description: 'The field to take.' },
  },
  required: ['fieldPath'],
  'x-kubernetes-map-type': 'atomic',
};

const RESOURCE_REFERENCE: Schema = {
  type: 'object',
  description: 'Takes the value from a request or limit of a container, for example limits.memory.',
  properties: {
    containerName: { ...STRING, description: 'The container; the sidecar itself when left out.' },
    divisor: { ...QUANTITY, description: 'Unit of the value; 1 when left out.' },
    resource: { ...STRING, description: 'The resource to take.' },
  },
  required: ['resource'],
  'x-kubernetes-map-type': 'atomic',
};

const FILE_REFERENCE: Schema = {
  type: 'object',
  description: 'Takes the value from a file of variables in a volume; needs the EnvFiles feature of Kubernetes.',
  properties: {
    key: { ...STRING, description: 'The variable in the file.' },
    optional: { type: 'boolean', default: false, description: 'Whether the file or the variable may be missing.' },
    path: { ...STRING, description: 'Path of the file, relative to the volume.' },
    volumeName: { ...STRING, description: 'Name of the volume.' },
  },
  required: ['key', 'path', 'volumeName'],
  'x-kubernetes-map-type': 'atomic',
};

export const ENV_VAR: Schema = {
  type: 'object',
  description: 'One environment variable.',
  properties: {
    name: { ...STRING, description: 'Name of the variable.' },
    value: { ...STRING, description: 'Its value; $(OTHER) is replaced by the value of a variable defined before.' },
    valueFrom: {
      type: 'object',
      description: 'Where the value comes from, instead of value.',
      properties: {
        configMapKeyRef: keyReference('ConfigMap'),
        fieldRef: FIELD_REFERENCE,
        fileKeyRef: FILE_REFERENCE,
        resourceFieldRef: RESOURCE_REFERENCE,
        secretKeyRef: keyReference('Secret'),
      },
    },
  },
  required: ['name'],
};

export const RESOURCE_REQUIREMENTS: Schema = {
  type: 'object',
  description: 'Requests and limits of the sidecar container.',
  properties: {
    claims: {
      type: 'array',
      description: 'Claims on devices; CloudNativePG writes none into its Pods, so leave this out.',
      items: {
        type: 'object',
        properties: {
          name: { ...STRING, description: 'Name of a claim of the Pod.' },
          request: { ...STRING, description: 'One request of the claim; all of it when left out.' },
        },
        required: ['name'],
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    limits: { type: 'object', description: 'The most that the sidecar may use.', additionalProperties: QUANTITY },
    requests: { type: 'object', description: 'What is set aside for the sidecar.', additionalProperties: QUANTITY },
  },
};

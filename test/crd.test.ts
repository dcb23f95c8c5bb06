import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { objectStoreCrd } from '../api/crd.ts';
import type { Schema } from '../api/schema.ts';
import { CRD_FILE, crdText } from './tools/crd-text.ts';

test('the CRD in the chart is the one of the schema (renew: node test/tools/make-crd.ts)', () => {
  assert.equal(readFileSync(CRD_FILE, 'utf8'), crdText());
  assert.deepEqual(parse(crdText()), JSON.parse(JSON.stringify(objectStoreCrd())));
});

test('the CRD has the fields of the Go plugin, and no others', () => {
  assert.deepEqual(fieldsOf(schema()).sort(), GO_PLUGIN_FIELDS.trim().split(/\s+/).sort());
});

test('the CRD has the defaults of the Go plugin, and no others', () => {
  assert.deepEqual(collect(schema(), 'default'), {
    'spec.instanceSidecarConfiguration.env[].valueFrom.configMapKeyRef.name': '',
    'spec.instanceSidecarConfiguration.env[].valueFrom.fileKeyRef.optional': false,
    'spec.instanceSidecarConfiguration.env[].valueFrom.secretKeyRef.name': '',
    'spec.instanceSidecarConfiguration.logLevel': 'info',
    'spec.instanceSidecarConfiguration.retentionPolicyIntervalSeconds': 1800,
  });
});

test('the CRD has the CEL rules of the Go plugin, wider by the empty server name', () => {
  assert.deepEqual(collect(schema(), 'x-kubernetes-validations'), {
    'spec.configuration': [
      {
        rule: "!has(self.serverName) || self.serverName == ''",
        message: "use the 'serverName' plugin parameter in the Cluster resource",
        reason: 'FieldValueForbidden',
        fieldPath: '.serverName',
      },
    ],
    'spec.instanceSidecarConfiguration.additionalContainerArgs': [
      {
        rule: "!self.exists(a, a.startsWith('--log-level'))",
        message: 'do not set --log-level in additionalContainerArgs; use spec.instanceSidecarConfiguration.logLevel',
        reason: 'FieldValueForbidden',
      },
    ],
  });
});

/** Leaves of objectstore-and-injection.md §1.2, §1.3, §1.5; `[]` for items, `{}` for values of maps. */
const GO_PLUGIN_FIELDS = `
  apiVersion kind metadata
  ${selectors('spec.configuration.', ['endpointCA'])}
  ${selectors('spec.configuration.s3Credentials.', ['accessKeyId', 'secretAccessKey', 'region', 'sessionToken'])}
  ${selectors('spec.configuration.azureCredentials.', ['connectionString', 'storageAccount', 'storageKey', 'storageSasToken'])}
  ${selectors('spec.configuration.googleCredentials.', ['applicationCredentials'])}
  spec.configuration.destinationPath spec.configuration.endpointURL spec.configuration.serverName
  spec.configuration.s3Credentials.inheritFromIAMRole
  spec.configuration.azureCredentials.inheritFromAzureAD spec.configuration.azureCredentials.useDefaultAzureCredentials
  spec.configuration.googleCredentials.gkeEnvironment
  spec.configuration.wal.compression spec.configuration.wal.encryption spec.configuration.wal.maxParallel
  spec.configuration.wal.archiveAdditionalCommandArgs[] spec.configuration.wal.restoreAdditionalCommandArgs[]
  spec.configuration.data.compression spec.configuration.data.encryption spec.configuration.data.jobs
  spec.configuration.data.immediateCheckpoint
  spec.configuration.data.additionalCommandArgs[] spec.configuration.data.restoreAdditionalCommandArgs[]
  spec.configuration.tags{} spec.configuration.historyTags{}
  spec.retentionPolicy
  spec.instanceSidecarConfiguration.additionalContainerArgs[]
  spec.instanceSidecarConfiguration.logLevel
  spec.instanceSidecarConfiguration.retentionPolicyIntervalSeconds
  spec.instanceSidecarConfiguration.resources.limits{} spec.instanceSidecarConfiguration.resources.requests{}
  spec.instanceSidecarConfiguration.resources.claims[].name spec.instanceSidecarConfiguration.resources.claims[].request
  spec.instanceSidecarConfiguration.env[].name spec.instanceSidecarConfiguration.env[].value
  ${sources('configMapKeyRef', ['key', 'name', 'optional'])}
  ${sources('secretKeyRef', ['key', 'name', 'optional'])}
  ${sources('fieldRef', ['apiVersion', 'fieldPath'])}
  ${sources('resourceFieldRef', ['containerName', 'divisor', 'resource'])}
  ${sources('fileKeyRef', ['key', 'optional', 'path', 'volumeName'])}
  status.serverRecoveryWindow{}.firstRecoverabilityPoint
  status.serverRecoveryWindow{}.lastSuccessfulBackupTime
  status.serverRecoveryWindow{}.lastFailedBackupTime
`;

function selectors(path: string, names: string[]): string {
  return names.flatMap((name) => [`${path}${name}.name`, `${path}${name}.key`]).join(' ');
}

function sources(name: string, fields: string[]): string {
  return fields.map((field) => `spec.instanceSidecarConfiguration.env[].valueFrom.${name}.${field}`).join(' ');
}

function schema(): Schema {
  const [version] = objectStoreCrd().spec.versions;
  assert.ok(version);
  return version.schema.openAPIV3Schema;
}

function* walk(node: Schema, path: string): Generator<[path: string, node: Schema]> {
  yield [path, node];
  for (const [key, child] of Object.entries(node.properties ?? {}))
    yield* walk(child, path === '' ? key : `${path}.${key}`);
  if (node.items !== undefined) yield* walk(node.items, `${path}[]`);
  if (node.additionalProperties !== undefined) yield* walk(node.additionalProperties, `${path}{}`);
}

function fieldsOf(root: Schema): string[] {
  return [...walk(root, '')]
    .filter(([, { properties, items, additionalProperties }]) => !properties && !items && !additionalProperties)
    .map(([path]) => path);
}

function collect(root: Schema, keyword: 'default' | 'x-kubernetes-validations'): Record<string, unknown> {
  return Object.fromEntries(
    [...walk(root, '')].flatMap(([path, node]) => (keyword in node ? [[path, node[keyword]]] : [])),
  );
}

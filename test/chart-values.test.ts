// Values, their schema and their table say the same. What needs helm is in test/chart/*.wide.ts.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { CHART, readValueRows, valuesTable } from './chart/values.ts';

const README = join(CHART, 'README.md');
const TABLE = /(?<=<!-- values -->\n\n)[\s\S]*?(?=\n\n<!-- end of values -->)/;

type Schema = { properties?: Record<string, Schema>; additionalProperties?: unknown };
const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
const rows = readValueRows();

test("the table of the chart's README is that of values.yaml (renew: UPDATE_GOLDEN=1)", () => {
  const text = readFileSync(README, 'utf8');
  const table = valuesTable(rows);
  if (process.env.UPDATE_GOLDEN)
    writeFileSync(
      README,
      text.replace(TABLE, () => table),
    );
  else assert.equal(TABLE.exec(text)?.[0], table);
});

test('the schema knows the values of values.yaml and no others', () => {
  const known = new Set(rows.map(({ name }) => name));
  for (const name of known) assert.ok(find(name), `${name} is not in values.schema.json`);
  const { global: _, ...properties } = schema.properties ?? {};
  for (const name of leaves({ properties }, [])) assert.ok(known.has(name), `${name} is not in values.yaml`);
});

test('both value files pass the schema, and a key that nobody knows does not', () => {
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
  const values = (file: string) => parse(readFileSync(join(CHART, file), 'utf8')) as Record<string, unknown>;
  for (const file of ['values.yaml', 'values-ha.yaml'])
    assert.ok(validate(values(file)), JSON.stringify(validate.errors));
  assert.equal(validate({ ...values('values.yaml'), replicas: 2 }), false);
});

test("every value of the Go plugin's chart has its place", () => {
  const places = rows.map(({ name }) => name);
  for (const name of OFFICIAL.trim().split(/\s+/)) {
    assert.ok(
      places.some((place) => place === name || name.startsWith(`${place}.`)),
      name,
    );
  }
});

/** objectstore-and-injection.md §10.2. */
const OFFICIAL = `
  replicaCount image.registry image.repository image.tag image.pullPolicy
  sidecarImage.registry sidecarImage.repository sidecarImage.tag
  imagePullSecrets nameOverride fullnameOverride namespaceOverride commonAnnotations podLabels
  hostNetwork dnsPolicy updateStrategy podAnnotations crds.create additionalArgs additionalEnv logLevel
  serviceAccount.create serviceAccount.name serviceAccount.additionalAnnotations rbac.create rbac.cnpgGroup
  containerSecurityContext podSecurityContext priorityClassName resources nodeSelector tolerations affinity
  topologySpreadConstraints service.name service.port service.ipFamilyPolicy service.ipFamilies
  service.annotations.pluginServerName
  certificate.createClientCertificate certificate.createServerCertificate certificate.createIssuer certificate.issuerName
  certificate.duration certificate.renewBefore certificate.server.dnsNames
  rbac.additional.leaderElection.create rbac.additional.metricsReader.create
  rbac.additional.objectStore.editor.create rbac.additional.objectStore.viewer.create
`;

function find(name: string): Schema | undefined {
  return name.split('.').reduce<Schema | undefined>((node, key) => node?.properties?.[key], schema);
}

function leaves(node: Schema, path: string[]): string[] {
  if (!node.properties || path.at(-1) === 'items') return [path.join('.')];
  return Object.entries(node.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
}

// The chart, installed by the real helm where its Pods run: probes, read-only root, account and lease as in a real cluster,
// and the webhook reached through its Service.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { instancePod } from '../operator-objects.ts';
import { useBox } from './box/box.ts';
import { CHART, cellarImage, HOME, helm, ROOT } from './chart.ts';
import { until } from './child.ts';
import { clusterCrds } from './cnpg-crds.ts';
import { clusterOf, SHOP, secretOf, storeOf } from './documents.ts';

const RETENTION = 'Warning: spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d\n';

const box = await useBox((folder) => [cellarImage(folder)]);
const { kubectl } = box;
await kubectl.apply(...clusterCrds());
for (const name of [HOME, SHOP]) await kubectl.does(['create', 'namespace', name]);

test('helm install is all there is: the Deployment becomes ready without cert-manager', async () => {
  await helm(box, 'install', 'cellar', CHART, '-n', HOME, '--set', 'image.tag=test', '--wait', '--timeout=120s');
  const { items } = JSON.parse(await kubectl.does(['get', 'pods', '-n', HOME, '-o', 'json']));
  assert.ok(items.length > 0);
  for (const { status } of items) assert.equal(status.containerStatuses[0].ready, true);
});

test('kubectl apply is judged through the Service of the webhook', async () => {
  const usage = readFileSync(join(ROOT, 'test/fixtures/usage/object-store.yaml'), 'utf8');
  const wrong = usage.replace('    wal:', '    serverName: other\n    wal:');
  const refused = await until('a refusal', async () => {
    const said = await kubectl.tries(['apply', '-n', SHOP, '-f', '-', '--dry-run=server'], wrong);
    return said.stderr.includes('plugin parameter') && said;
  });
  assert.equal(
    refused.stderr,
    `${RETENTION}The ObjectStore "minio-store" is invalid: spec.configuration.serverName: found "other": use the 'serverName' plugin parameter in the Cluster resource; remove it here\n`,
  );
  assert.deepEqual((await kubectl.tries(['apply', '-n', SHOP, '-f', '-'], usage)).stderr, RETENTION);
});

test('a Pod that CloudNativePG creates gets its sidecar from the door of the chart', async () => {
  await kubectl.apply(
    secretOf('keys'),
    storeOf('orders-s3', 'keys'),
    clusterOf('orders', 'orders-s3', { serviceAccountName: 'default' }),
  );
  const orders = await kubectl.get('cluster', SHOP, 'orders');
  await kubectl.apply(instancePod(orders, { serial: 1, major: 18 }));
  const { spec } = await kubectl.get('pod', SHOP, 'orders-1');
  assert.equal(spec.initContainers.at(-1).name, 'plugin-barman-cloud');
  assert.match(spec.initContainers.at(-1).image, /^cellar:test$/);
});

test('helm uninstall leaves the CRD and the stores', async () => {
  await helm(box, 'uninstall', 'cellar', '-n', HOME, '--wait');
  assert.equal((await kubectl.get('objectstore', SHOP, 'orders-s3')).metadata.name, 'orders-s3');
  const left = await kubectl.does([
    'get',
    'validatingwebhookconfigurations,mutatingwebhookconfigurations',
    '-o',
    'name',
  ]);
  assert.equal(left, '');
});

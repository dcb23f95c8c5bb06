// Every object that the chart renders, taken by a real API server: by its dry run, and by helm as users install it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { useApiServer } from '../cluster/api-server.ts';
import { foreignCrds } from './foreign-crds.ts';
import { helmTemplate, runAsync } from './helm.ts';
import { CHART } from './values.ts';

const SETS = ['default', 'ha', 'cert-manager', 'bring-your-own', 'no-webhook', 'official', 'openshift', 'observed'];
const NAMESPACE = 'cnpg-system';

const api = await useApiServer({ crds: false });
const { kubectl } = api;
await kubectl.apply({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/warn': 'restricted' } },
});
const foreign = await foreignCrds();
if (foreign.length > 0) await kubectl.apply(...foreign);
await kubectl.does(['apply', '-f', join(CHART, 'files/objectstores.yaml')]);
if (foreign.length > 0) await kubectl.does(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);

for (const set of SETS) {
  test(`${set}: the API server takes every object, strictly and without a warning`, async () => {
    const { stdout } = helmTemplate(valuesOf(set));
    const known = parseAllDocuments(stdout)
      .map((document) => document.toJS() as { apiVersion: string })
      .filter(({ apiVersion }) => foreign.length > 0 || !/cert-manager|coreos/.test(apiVersion));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: known });
    const said = await kubectl.tries(['create', '--dry-run=server', '--validate=strict', '-f', '-'], list);
    const problems = said.stderr
      .split('\n')
      .filter((line) => line !== '' && !/"objectstores\.\S+" already exists/.test(line));
    // The one thing that the restricted standard cannot allow, and only who asks for it gets it.
    const asked = set === 'observed' ? [/^Warning: would violate .*: host namespaces \(hostNetwork=true\)$/] : [];
    assert.deepEqual(
      problems.filter((line) => !asked.some((pattern) => pattern.test(line))),
      [],
      set,
    );
  });
}

test('helm installs, changes, takes back and removes it; the CRD and ObjectStores stay', async () => {
  const helm = (...args: string[]) =>
    runAsync(process.env.CELLAR_HELM || 'helm', args, { KUBECONFIG: api.kubeconfig, HOME: api.folder });
  const installed = await helm(
    'install',
    'cellar',
    CHART,
    '-n',
    NAMESPACE,
    '--take-ownership',
    '--set',
    'webhook.enabled=false',
  );
  assert.match(installed, /WARNING: no Deployment runs the image of CloudNativePG/);

  const store = {
    ...{ apiVersion: 'barmancloud.cnpg.io/v1', kind: 'ObjectStore', metadata: { name: 'kept', namespace: NAMESPACE } },
    spec: { configuration: { destinationPath: 's3://backups/' } },
  };
  await kubectl.apply(store);
  await helm('upgrade', 'cellar', CHART, '-n', NAMESPACE, '--set', 'webhook.enabled=true');
  assert.ok(await kubectl.get('validatingwebhookconfiguration', undefined, 'cellar-webhook'));
  await helm('rollback', 'cellar', '1', '-n', NAMESPACE);
  assert.equal(await kubectl.get('validatingwebhookconfiguration', undefined, 'cellar-webhook'), undefined);
  await helm('uninstall', 'cellar', '-n', NAMESPACE);
  assert.equal(await kubectl.get('deployment', NAMESPACE, 'barman-cloud'), undefined);
  assert.ok(await kubectl.get('objectstore', NAMESPACE, 'kept'), 'the ObjectStore stays');
  await helm('install', 'cellar', CHART, '-n', NAMESPACE, '--set', 'webhook.enabled=false');
  await helm('uninstall', 'cellar', '-n', NAMESPACE);
});

test('the notes name the namespace where the operator is, and another plugin of the same name', async () => {
  const helm = (...args: string[]) =>
    runAsync(process.env.CELLAR_HELM || 'helm', args, { KUBECONFIG: api.kubeconfig, HOME: api.folder });
  await api.makeNamespace('operators');
  await kubectl.apply(operator('operators'), {
    ...{ apiVersion: 'v1', kind: 'Service' },
    metadata: {
      name: 'other',
      namespace: NAMESPACE,
      labels: { 'cnpg.io/pluginName': 'barman-cloud.cloudnative-pg.io' },
    },
    spec: { ports: [{ port: 9090 }] },
  });
  const notes = await helm('install', 'cellar', CHART, '-n', NAMESPACE, '--dry-run=server', '--take-ownership');
  assert.match(
    notes,
    /WARNING: the operator of CloudNativePG runs in the namespace operators, the plugin in cnpg-system/,
  );
  assert.match(notes, /WARNING: the Service cnpg-system\/other offers a plugin of the same name/);
  await kubectl.apply(operator(NAMESPACE));
  await kubectl.does(['delete', 'service', 'other', '-n', NAMESPACE]);
  const quiet = await helm('install', 'cellar', CHART, '-n', NAMESPACE, '--dry-run=server', '--take-ownership');
  assert.doesNotMatch(quiet, /WARNING/);
});

function operator(namespace: string): object {
  const labels = { app: 'operator' };
  const containers = [{ name: 'manager', image: 'ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0' }];
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'cnpg-controller-manager', namespace } },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
}

function valuesOf(set: string): string[] {
  return ['--values', set === 'ha' ? join(CHART, 'values-ha.yaml') : join(import.meta.dirname, `values/${set}.yaml`)];
}

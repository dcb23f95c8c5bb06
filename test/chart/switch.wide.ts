// The commands of docs/migrate.md, word for word, on a real API server: from what the Go plugin leaves in a cluster to ours,
// and back. ObjectStores stay throughout, nothing of the Go plugin stays behind, and no name is taken twice.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { useApiServer } from '../cluster/api-server.ts';
import { tool } from '../cluster/tools.ts';
import { foreignCrds } from './foreign-crds.ts';
import { leftSecrets, manifestObjects, NAMESPACE, officialObjects } from './go-plugin-objects.ts';
import { CHART } from './values.ts';

const ROOT = dirname(dirname(CHART));
const PAGE = readFileSync(join(ROOT, 'docs/migrate.md'), 'utf8');
const STORE = {
  ...{ apiVersion: 'barmancloud.cnpg.io/v1', kind: 'ObjectStore', metadata: { name: 'kept', namespace: NAMESPACE } },
  spec: { configuration: { destinationPath: 's3://backups/' } },
};
/** Kinds in which either plugin leaves something. */
const KINDS =
  'deployment,lease,service,serviceaccount,role,rolebinding,configmap,secret,clusterrole,clusterrolebinding,certificate,issuer,validatingwebhookconfiguration,mutatingwebhookconfiguration';

const api = await useApiServer({ crds: false });
const { kubectl } = api;
await api.makeNamespace(NAMESPACE);
const foreign = await foreignCrds();
const programs = linkPrograms();

for (const route of ['manifest-remove', 'manifest-take-over', 'chart-remove', 'chart-take-over']) {
  test(`${route}: Cellar takes the Go plugin's place, and the way back leaves nothing`, {
    skip: foreign.length === 0 && 'no CRDs of cert-manager',
  }, async () => {
    await kubectl.apply(...foreign);
    await kubectl.does(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    const before = await names();
    if (route.startsWith('manifest')) await installManifest();
    else await installChart();
    await kubectl.apply(...leftSecrets(), STORE);
    const { uid } = (await kubectl.get('objectstore', NAMESPACE, 'kept')).metadata;

    await commandsOf(route);

    const { metadata, spec } = await kubectl.get('deployment', NAMESPACE, 'barman-cloud');
    assert.equal(metadata.annotations['meta.helm.sh/release-name'], 'cellar');
    assert.equal(spec.template.spec.containers.length, 1);
    assert.deepEqual(await goPluginObjects(), []);
    const plugins = await kubectl.does(['get', 'service', '-n', NAMESPACE, '-l', 'cnpg.io/pluginName', '-o', 'name']);
    assert.equal(plugins, 'service/barman-cloud\n');
    const service = await kubectl.get('service', NAMESPACE, 'barman-cloud');
    for (const [label, value] of Object.entries(service.spec.selector))
      assert.equal(spec.template.metadata.labels[label], value);
    const role = await kubectl.get('clusterrole', undefined, 'plugin-barman-cloud');
    assert.ok(role.rules.some(({ resources }: { resources: string[] }) => resources.includes('clusters/finalizers')));
    assert.equal(
      (await kubectl.get('objectstore', NAMESPACE, 'kept')).metadata.uid,
      uid,
      'the ObjectStore is the same',
    );

    await kubectl.apply(...ourLeavings());
    await commandsOf('back');
    assert.deepEqual(await names(), before);
    assert.equal((await kubectl.get('objectstore', NAMESPACE, 'kept')).metadata.uid, uid);
    await kubectl.does(['delete', 'crd', 'objectstores.barmancloud.cnpg.io']);
  });
}

async function installManifest(): Promise<void> {
  await kubectl.does(['apply', '-f', '-'], list(manifestObjects()));
}

async function installChart(): Promise<void> {
  const chart = join(api.folder, 'plugin-barman-cloud');
  mkdirSync(join(chart, 'templates'), { recursive: true });
  const { templates, crd } = officialObjects();
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: plugin-barman-cloud\nversion: 0.7.0\n');
  for (const [index, object] of [crd, ...templates].entries()) {
    writeFileSync(join(chart, `templates/${index}.yaml`), JSON.stringify(object));
  }
  await shell(`helm install plugin-barman-cloud ${chart} -n ${NAMESPACE}`);
}

async function commandsOf(route: string): Promise<void> {
  const block = new RegExp(`<!-- route: ${route} -->\n\`\`\`sh\n([\\s\\S]*?)\`\`\``).exec(PAGE)?.[1];
  assert.ok(block, `docs/migrate.md has the route ${route}`);
  await shell(`set -e\n${block}`);
}

async function shell(script: string): Promise<void> {
  const env = { PATH: `${programs}:${process.env.PATH}`, KUBECONFIG: api.kubeconfig, HOME: api.folder };
  await promisify(execFile)('bash', ['-c', script], { env, cwd: ROOT });
}

/** `helm` and `kubectl` under the names that the page calls them by. */
function linkPrograms(): string {
  const folder = join(api.folder, 'bin');
  mkdirSync(folder);
  symlinkSync(tool('kubectl'), join(folder, 'kubectl'));
  if (process.env.CELLAR_HELM) symlinkSync(process.env.CELLAR_HELM, join(folder, 'helm'));
  return folder;
}

/** What the process makes by itself. */
function ourLeavings(): object[] {
  const secret = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE } });
  const metadata = { name: '822e3f5c.cnpg.io', namespace: NAMESPACE };
  return [
    secret('cellar-ca'),
    secret('cellar-webhook-tls'),
    { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata },
  ];
}

async function goPluginObjects(): Promise<string[]> {
  const text = await kubectl.does(['get', KINDS, '-n', NAMESPACE, '-o', 'json']);
  const { items } = JSON.parse(text) as {
    items: { kind: string; metadata: { name: string; labels?: Record<string, string> } }[];
  };
  return items
    .filter(({ metadata: { name, labels } }) => {
      const theirs = /barman/.test(name) && labels?.['app.kubernetes.io/part-of'] !== 'cellar';
      return theirs && !/^barman-cloud-(client|server)-tls$/.test(name);
    })
    .map(({ kind, metadata: { name } }) => `${kind}/${name}`);
}

async function names(): Promise<string[]> {
  return (await kubectl.does(['get', KINDS, '-n', NAMESPACE, '-o', 'name'])).split('\n').sort();
}

function list(items: object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

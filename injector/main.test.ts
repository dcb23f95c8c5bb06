// The operator process as it runs in a container: a child process, called over mutual TLS as CloudNativePG calls it.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Cluster } from '../api/kube.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import { PluginCapability_Service_Type as Service } from '../api/proto/gen/identity.ts';
import { makeSelfSigned } from '../api/wire/certificates.ts';
import { startKubeApi } from '../test/kube-api.ts';
import { startOperatorChild } from '../test/operator-child.ts';
import { connectOperator } from '../test/operator-double.ts';
import { instancePod, recoveryJob } from '../test/operator-objects.ts';

const IMAGE = 'example.test/sidecar:1.0.0';
const HOUR_MS = 3_600_000;

const STORE = {
  apiVersion: 'barmancloud.cnpg.io/v1',
  kind: 'ObjectStore',
  metadata: { name: 'orders-s3', namespace: 'shop' },
  spec: { configuration: { destinationPath: 's3://backups/' }, instanceSidecarConfiguration: { logLevel: 'debug' } },
};

const CLUSTER: Cluster = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Cluster',
  metadata: { name: 'orders', namespace: 'shop', uid: 'u-1' },
  spec: {
    plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'orders-s3' } }],
    bootstrap: { recovery: { source: 'old' } },
    externalClusters: [{ name: 'old', plugin: { name: PLUGIN_NAME, parameters: { barmanObjectName: 'orders-s3' } } }],
  },
};

test('the operator process serves the whole handshake, prepares a Cluster, and injects its Pod and its Job', async (t) => {
  const folder = await temporaryFolder(t);
  const kube = await startKubeApi({ namespace: 'shop' });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(join(folder, 'account'));
  await kube.apply(STORE);
  const { flags, server, client } = await makeTls(folder);
  const more = [
    '--leader-elect=true',
    '--health-probe-bind-address=127.0.0.1:0',
    '--webhook-address=127.0.0.1:0',
    '--shutdown-delay=0',
  ];
  const child = startOperatorChild(t, [...flags, ...more], {
    SIDECAR_IMAGE: IMAGE,
    KUBERNETES_SERVICE_HOST: kube.host,
    KUBERNETES_SERVICE_PORT: String(kube.port),
    CELLAR_SERVICE_ACCOUNT_FOLDER: join(folder, 'account'),
  });
  const lines = await child.linesUntil('operator process started');

  const operator = await connectOperator({
    address: String(lines.find(({ msg }) => msg === 'gRPC server listens')?.address),
    serverName: 'barman-cloud',
    serverCertificate: server.cert,
    client,
  });
  t.after(() => operator.close());
  assert.equal(operator.connection.metadata.name, PLUGIN_NAME);
  assert.deepEqual(
    operator.connection.services,
    new Set([Service.TYPE_RECONCILER_HOOKS, Service.TYPE_LIFECYCLE_SERVICE, Service.TYPE_INSTANCE_SIDECAR_INJECTION]),
  );
  await operator.reconcile(CLUSTER);
  assert.equal(kube.get('Role', 'orders-barman-cloud').kind, 'Role');

  await child.linesUntil('this replica leads');
  const keys = { accessKeyId: { name: 'late-keys', key: 'id' }, secretAccessKey: { name: 'late-keys', key: 'key' } };
  await kube.apply({
    ...STORE,
    spec: { ...STORE.spec, configuration: { destinationPath: 's3://backups/', s3Credentials: keys } },
  });
  await child.linesUntil('the Role follows the changed ObjectStore');
  assert.match(JSON.stringify(kube.get('Role', 'orders-barman-cloud')), /late-keys/);

  const { pod } = await operator.createPod(CLUSTER, instancePod(CLUSTER, { serial: 1, major: 18 }));
  const sidecar = pod.spec.initContainers?.at(-1);
  assert.equal(sidecar?.image, IMAGE);
  assert.deepEqual(sidecar?.args, ['instance', '--log-level=debug']);
  assert.equal(pod.metadata?.annotations?.['cnpg.io/podSpec'], JSON.stringify(pod.spec), 'CREATE repeats EVALUATE');
  const { job } = await operator.createJob(CLUSTER, recoveryJob(CLUSTER, { major: 18 }));
  assert.deepEqual(job.spec.template.spec.initContainers?.at(-1)?.args, ['restore']);

  const webhook = lines.find(({ msg }) => msg === 'admission webhook listens');
  assert.equal(await getOverTls(`${webhook?.url}/healthz`, server.cert), 200);

  const health = lines.find(({ msg }) => msg === 'health probes are answered');
  for (const path of ['healthz', 'readyz']) {
    assert.equal((await fetch(`http://127.0.0.1:${health?.port}/${path}`)).status, 200);
  }

  operator.close();
  child.process.kill('SIGTERM');
  assert.deepEqual(await child.ended, [0, null]);
  const lease = kube.get('Lease', '822e3f5c.cnpg.io') as unknown as { spec: { holderIdentity: string } };
  assert.equal(lease.spec.holderIdentity, '', 'the lease is given back');
});

test('a missing image and an unusable certificate end the process with one line that says so', async (t) => {
  const folder = await temporaryFolder(t);
  const { flags } = await makeTls(folder);
  const cases: [string[], Record<string, string>, RegExp][] = [
    [flags, {}, /^cellar: SIDECAR_IMAGE: missing: set this environment variable$/],
    [[...flags, '--wat'], { SIDECAR_IMAGE: IMAGE }, /^cellar: arguments: found .*Unknown option '--wat'/],
    [[...flags, '--client-cert=/nowhere'], { SIDECAR_IMAGE: IMAGE }, /^cellar: certificate file: found "\/nowhere"/],
  ];
  for (const [args, env, line] of cases) {
    const child = startOperatorChild(t, args, env);
    assert.deepEqual(await child.ended, [1, null]);
    const said = child.output.trimEnd();
    assert.match(said, line);
    assert.doesNotMatch(said, /\n/);
  }
});

async function makeTls(folder: string) {
  const server = await makeSelfSigned({
    commonName: 'barman-cloud',
    dnsNames: ['barman-cloud'],
    usages: ['server'],
    validMs: HOUR_MS,
  });
  const client = await makeSelfSigned({ commonName: 'barman-cloud-client', usages: ['client'], validMs: HOUR_MS });
  const files = { 'server-cert': server.cert, 'server-key': server.key, 'client-cert': client.cert };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const flags = Object.keys(files).map((name) => `--${name}=${join(folder, name)}`);
  const webhook = [`--webhook-cert=${join(folder, 'server-cert')}`, `--webhook-key=${join(folder, 'server-key')}`];
  return { server, client, flags: ['--server-address=127.0.0.1:0', ...flags, ...webhook] };
}

function getOverTls(url: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { ca, servername: 'barman-cloud', agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-operator-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

// Admission on a real API server, with kubectl as people run it: what it prints for the YAML of the usage page, for each
// way of writing, and while the door is away.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { instancePod, recoveryJob } from '../operator-objects.ts';
import { admissionConfigurations } from './admission-door.ts';
import { useApiServer } from './api-server.ts';
import { until } from './child.ts';
import { clusterOf, SHOP, secretOf, storeOf } from './documents.ts';
import { OUR_RULES, operatorRoles } from './operator-roles.ts';
import { makeDoorTls, SIDECAR_IMAGE, startReplica } from './replica.ts';

const HOME = 'cnpg-system';
const ACCOUNT = 'plugin-barman-cloud';
const FIXTURES = join(dirname(import.meta.dirname), 'fixtures/usage');
const RETENTION = 'Warning: spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d\n';

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(HOME, ACCOUNT);
await api.makeNamespace(SHOP, 'orders');
await kubectl.apply(...operatorRoles(HOME, ACCOUNT, OUR_RULES), secretOf('keys'));
const tls = await makeDoorTls(api.folder);
const mount = await api.mountAccount(HOME, ACCOUNT);
const replica = await startReplica(api, { name: 'door', mount, tls, flags: ['--webhook-address=127.0.0.1:0'] });
await kubectl.apply(...(await admissionConfigurations(replica, tls)));
// The API server reads configurations now and then: the door is in its way once a refusal comes from there.
await until('the API server to ask the door', async () => {
  const { stderr } = await apply(JSON.stringify(storeOf('probe', 'keys', { serverName: 'x' })), '--dry-run=server');
  return stderr.includes('plugin parameter');
});

const usage = (name: string): string => readFileSync(join(FIXTURES, `${name}.yaml`), 'utf8');

function apply(yaml: string, ...flags: string[]) {
  return kubectl.tries(['apply', '-n', SHOP, '-f', '-', ...flags], yaml);
}

test('a serverName in an ObjectStore is refused with the sentence that says where it belongs', async () => {
  const said = await apply(usage('object-store').replace('    wal:', '    serverName: other\n    wal:'));
  assert.equal(
    said.stderr,
    `${RETENTION}The ObjectStore "minio-store" is invalid: spec.configuration.serverName: found "other": use the 'serverName' plugin parameter in the Cluster resource; remove it here\n`,
  );
  assert.equal(said.status, 1);
  assert.equal(await kubectl.get('objectstore', SHOP, 'minio-store'), undefined);
});

test('an empty serverName passes, as the usage page says "left empty"', async () => {
  const said = await apply(
    usage('object-store').replace('    wal:', '    serverName: ""\n    wal:'),
    '--dry-run=server',
  );
  assert.deepEqual([said.status, said.stderr], [0, RETENTION]);
});

test('a wrong word and a missing key are told together, before the schema is looked at', async () => {
  const yaml = usage('object-store')
    .replace('gzip', 'gzp')
    .replace(/ {6}secretAccessKey:\n.*\n.*\n/, '');
  assert.equal(
    (await apply(yaml)).stderr,
    `${RETENTION}The ObjectStore "minio-store" is invalid: \n` +
      `* spec.configuration.s3Credentials: found only accessKeyId: both keys are needed; add secretAccessKey\n` +
      `* spec.configuration.wal.compression: found "gzp": did you mean gzip? use one of bzip2, gzip, lz4, snappy, xz, zstd\n`,
  );
});

test('every block of the usage page applies as it is written', async () => {
  const stores = ['minio-store-bis', 'minio-store-a', 'minio-store-b'].map((name) =>
    usage('object-store').replace('name: minio-store', `name: ${name}`),
  );
  const blocks = [usage('object-store'), ...stores];
  const clusters = ['cluster', 'cluster-restore', 'cluster-restore-archiving', 'replica-cluster', 'backup'].map(usage);
  for (const yaml of [...blocks, ...clusters]) {
    const { status, stderr } = await apply(yaml);
    assert.equal(status, 0, `${stderr}\n${yaml}`);
    assert.doesNotMatch(stderr, /admitted unseen/);
  }
});

test('what was applied comes back as it was, and kubectl diff is silent', async () => {
  for (const name of ['object-store', 'cluster']) {
    const { status, stdout } = await kubectl.tries(['diff', '-n', SHOP, '-f', '-'], usage(name));
    assert.deepEqual([status, stdout], [0, ''], name);
  }
});

test('the unfinished block of the usage page is refused with a sentence for each gap, and applies when filled in', async () => {
  const { status, stderr } = await apply(usage('instance-sidecar').replace('name: minio-store', 'name: sized'));
  assert.equal(status, 1);
  assert.match(stderr, /spec\.configuration: missing: set the bucket URL in spec\.configuration\.destinationPath/);
  for (const field of ['limits[cpu]: found "YYY"', 'limits[memory]: found "XXX"'])
    assert.ok(stderr.includes(field), stderr);
  const filled = usage('instance-sidecar')
    .replace('name: minio-store', 'name: sized')
    .replaceAll('XXX', '512Mi')
    .replaceAll('YYY', '500m')
    .replace('# [...]', '  destinationPath: s3://backups/\n    s3Credentials: { inheritFromIAMRole: true }');
  assert.equal((await apply(filled)).status, 0);
});

test('server-side apply, patch, replace and edit meet the same door; status writes and deletion do not', async () => {
  const wrong = { spec: { configuration: { serverName: 'other' } } };
  const refusals = [
    apply(JSON.stringify(storeOf('ssa', 'keys', { serverName: 'other' })), '--server-side'),
    kubectl.tries(['patch', 'objectstore', 'minio-store', '-n', SHOP, '--type=merge', '-p', JSON.stringify(wrong)]),
    kubectl.tries(['create', '-f', '-'], JSON.stringify(storeOf('created', 'keys', { serverName: 'other' }))),
    kubectl.tries(['replace', '-f', '-'], JSON.stringify(storeOf('minio-store', 'keys', { serverName: 'other' }))),
  ];
  for (const refusal of refusals) {
    const { status, stdout, stderr } = await refusal;
    assert.equal(status, 1, stdout);
    assert.match(stderr + stdout, /use the 'serverName' plugin parameter in the Cluster resource/);
  }
  assert.match(
    await edit('objectstore', 'minio-store', 's|endpointURL:|serverName: other\\n    endpointURL:|'),
    /^# \* spec\.configuration\.serverName: found "other": use the 'serverName' plugin parameter in the Cluster resource/m,
  );
  const status = { serverRecoveryWindow: { orders: { lastSuccessfulBackupTime: '2026-11-01T00:00:00Z' } } };
  const asked = () => replica.lines().filter(({ msg }) => msg === 'judged').length;
  const before = asked();
  await kubectl.does([
    ...['patch', 'objectstore', 'minio-store', '-n', SHOP, '--subresource=status', '--type=merge'],
    ...['-p', JSON.stringify({ status })],
  ]);
  await kubectl.does(['delete', 'objectstore', 'sized', '-n', SHOP]);
  assert.equal(asked(), before);
});

test('a Cluster that would write into its own source is refused', async () => {
  const plugin = { name: 'barman-cloud.cloudnative-pg.io', parameters: { barmanObjectName: 'minio-store' } };
  const replicaOfItself = clusterOf('loop', 'minio-store', {
    bootstrap: { recovery: { source: 'loop' } },
    externalClusters: [{ name: 'loop', plugin }],
  });
  const { status, stderr } = await apply(JSON.stringify(replicaOfItself));
  assert.equal(status, 1);
  assert.match(
    stderr,
    /The Cluster "loop" is invalid: .*the restored Cluster would write into its own source; use another serverName or store/,
  );
});

test('Pods and Jobs created as CloudNativePG does get their sidecar, and others are left alone', async () => {
  await kubectl.apply(storeOf('orders-s3', 'keys'), clusterOf('orders', 'orders-s3'));
  const orders = await kubectl.get('cluster', SHOP, 'orders');
  await kubectl.apply(instancePod(orders, { serial: 1, major: 18 }));
  const pod = await kubectl.get('pod', SHOP, 'orders-1');
  const sidecar = pod.spec.initContainers.at(-1);
  assert.deepEqual(
    [sidecar.name, sidecar.image, sidecar.restartPolicy],
    ['plugin-barman-cloud', SIDECAR_IMAGE, 'Always'],
  );

  const plugin = { name: 'barman-cloud.cloudnative-pg.io', parameters: { barmanObjectName: 'orders-s3' } };
  await kubectl.apply(
    clusterOf('restored', 'orders-s3', {
      plugins: [],
      bootstrap: { recovery: { source: 'o' } },
      externalClusters: [{ name: 'o', plugin }],
    }),
  );
  await kubectl.apply(recoveryJob(await kubectl.get('cluster', SHOP, 'restored'), { major: 18 }));
  const job = await kubectl.get('job', SHOP, 'restored-1-full-recovery');
  assert.equal(job.spec.template.spec.initContainers.at(-1).image, SIDECAR_IMAGE);

  const containers = [{ name: 'main', image: 'example.test/other' }];
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: SHOP, name: 'other' },
    spec: { containers },
  });
  assert.equal((await kubectl.get('pod', SHOP, 'other')).spec.initContainers, undefined);
});

test('a dry run is judged as the real thing, and stores nothing', async () => {
  const { status, stdout } = await apply(JSON.stringify(storeOf('dry', 'keys')), '--dry-run=server');
  assert.deepEqual([status, stdout], [0, 'objectstore.barmancloud.cnpg.io/dry created (server dry run)\n']);
  assert.equal(await kubectl.get('objectstore', SHOP, 'dry'), undefined);
});

test('while the door is away, Fail refuses and Ignore lets through; Pods are never held up', async () => {
  const ignoring = await admissionConfigurations(replica, tls, { failurePolicy: 'Ignore' });
  await replica.process.stop('SIGTERM');
  const refused = await apply(JSON.stringify(storeOf('late', 'keys')));
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /failed calling webhook "judge\.cellar\.test"/);
  const orders = await kubectl.get('cluster', SHOP, 'orders');
  await kubectl.apply(instancePod(orders, { serial: 2, major: 18 }));
  await kubectl.apply(...ignoring);
  await until('Ignore to be known', async () => (await apply(JSON.stringify(storeOf('late', 'keys')))).status === 0);
});

/**
 * `kubectl edit` with sed as the editor; gives the text that is opened again for the person, with what is wrong on top.
 * The second time the editor changes nothing, which ends it.
 */
async function edit(kind: string, name: string, program: string): Promise<string> {
  const editor = join(api.folder, 'editor.sh');
  await writeFile(editor, `#!/bin/sh\nset -e\ngrep -q 'serverName' "$1" || sed -i '${program}' "$1"\n`, {
    mode: 0o755,
  });
  const more = { KUBE_EDITOR: editor, TMPDIR: api.folder };
  const { status, stdout, stderr } = await kubectl.tries(['edit', kind, name, '-n', SHOP], '', more);
  assert.equal(status, 1, stdout + stderr);
  const [, copy = ''] = /A copy of your changes has been stored to "(.+)"/.exec(stderr) ?? [];
  return readFileSync(copy, 'utf8');
}

// The image without a container engine: its files and nothing else, under a read-only root.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { makeSelfSigned } from '../../api/wire/certificates.ts';
import { PROGRAMS } from '../../build/programs.ts';
import { insertOrders } from '../demo/workload.ts';
import { askBackup } from '../journeys/ask-backup.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { startRecoveryJob } from '../journeys/recovery-job.ts';
import { startKubeApi } from '../kube-api.ts';
import type { Postgres } from '../postgres.ts';
import { tailOf } from '../process.ts';
import { startStand } from '../stand.ts';
import { makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { canContain, ImageContainers, residentBytes, runFromImage } from './container.ts';
import { finalStage, imageEnvironment } from './dockerfile.ts';
import { type ImageTree, layOutImage } from './tree.ts';

const MIB = 1024 * 1024;
const LIMIT_BYTES = 120 * MIB;
const ROWS = 2_000;
/** The first has threads and WebAssembly, the second a native library. */
const COMPRESSIONS =
  process.env.CELLAR_ALL === '1' ? (['bzip2', 'lz4', 'snappy', 'gzip'] as const) : (['bzip2', 'lz4'] as const);

/** What the container needs to start at all; a place that is there. */
const PLACE = {
  NAMESPACE: 'default',
  POD_NAME: 'pg-main-1',
  CLUSTER_NAME: 'pg-main',
  SPOOL_DIRECTORY: '/controller/spool',
};

let tree: ImageTree;
before(async () => {
  tree = await layOutImage();
});
after(() => tree?.remove());

test('the image is smaller than 120 MiB, compressed', async (t) => {
  const sizeBytes = await tree.compressedBytes();
  t.diagnostic(`${(sizeBytes / MIB).toFixed(1)} MiB compressed (gzip, fastest level), the base's libraries included`);
  assert.ok(sizeBytes < LIMIT_BYTES);
});

test('it says who made what is inside: licences and a bill of materials that agree', async () => {
  const bill = JSON.parse(await readFile(join(tree.folder, 'sbom.cdx.json'), 'utf8'));
  assert.equal(bill.bomFormat, 'CycloneDX');
  const licences = await readFile(join(tree.folder, 'THIRD-PARTY-LICENSES'), 'utf8');
  const libraries = bill.components.filter(({ type }: { type: string }) => type === 'library');
  for (const { group, name, version, hashes, licenses } of libraries) {
    const full = group === undefined ? name : `${group}/${name}`;
    assert.ok(licences.includes(`\n${full} ${version} (`), `${full} ${version} has no place in THIRD-PARTY-LICENSES`);
    assert.ok(hashes?.length > 0 && licenses?.length > 0, `${full}: no hash or no licence`);
  }
  const names = libraries.map(({ group, name }: { group?: string; name: string }) =>
    group ? `${group}/${name}` : name,
  );
  for (const wanted of ['@grpc/grpc-js', '@aws-sdk/client-s3', 'google-auth-library', 'lzma-native', 'pg']) {
    assert.ok(names.includes(wanted), wanted);
  }
  assert.ok(!names.includes('typescript') && !names.includes('azurite') && !names.includes('esbuild'));
});

test('the sidecar holds nothing of the generated Kubernetes client, and each vendor apart from what always runs', async () => {
  const written = await readdir(join(tree.folder, 'app'));
  for (const { name } of PROGRAMS) {
    const maps = written.filter((file) => file.endsWith('.js.map') && new RegExp(`^${name}[.-]`).test(file));
    const texts = await Promise.all(maps.map((file) => readFile(join(tree.folder, 'app', file), 'utf8')));
    const files = texts.map((text): string[] => JSON.parse(text).sources);
    const sources = files.flat();
    const always = files.find((each) => each.some((source) => source.endsWith('/sidecar/main.ts'))) ?? [];
    assert.ok(!always.some((source) => /@aws-sdk|@azure|google-auth-library/.test(source)), name);
    const isLarge = sources.some((source) => source.includes('@kubernetes/client-node'));
    assert.equal(isLarge, name === 'operator' || name === 'cli', name);
  }
});

test('its entry point, account and environment are those that the chart and the injector count on', () => {
  const stage = finalStage();
  const said = (wanted: string) => stage.find(({ instruction }) => instruction === wanted)?.value;
  assert.equal(said('ENTRYPOINT'), '["/manager"]');
  assert.match(said('USER') ?? '', /^[1-9]\d*:\d+$/);
  assert.deepEqual(Object.keys(imageEnvironment()).sort(), [
    'MALLOC_ARENA_MAX',
    'MALLOC_MMAP_THRESHOLD_',
    'MALLOC_TRIM_THRESHOLD_',
    'NODE_OPTIONS',
    'UV_THREADPOOL_SIZE',
  ]);
});

describe('run under a read-only root', { skip: canContain() ? false : 'NOT COVERED: there is no bwrap' }, () => {
  const inside = () => new ImageContainers(tree.folder, unprivilegedAccount());

  test('the operator complains clearly about what is missing', async () => {
    const { status, output } = await inside().run(['operator'], {});
    assert.equal(status, 1);
    assert.match(output, /^cellar: --server-cert/);
  });

  test('the operator starts with the arguments that hand-written Deployments give it', async (t) => {
    const account = unprivilegedAccount();
    const folder = await makeShortFolder('cellar-image-operator-');
    t.after(() => rm(folder, { recursive: true, force: true }));
    const kubeApi = await startKubeApi({ namespace: 'cnpg-system' });
    t.after(() => kubeApi.stop());
    const { cert, key } = await makeSelfSigned({ commonName: 'barman-cloud', usages: ['server'], validMs: 3_600_000 });
    for (const [name, text] of Object.entries({ 'tls.crt': cert, 'tls.key': key })) {
      await writeFile(join(folder, name), text);
    }
    const token = join(folder, 'token');
    await mkdir(token);
    await kubeApi.writeServiceAccount(token, 'cnpg-system');
    await account.own(folder);
    const mounts = ['/server', '/client'].map((mountPath) => ({ folder, mountPath, readOnly: true }));
    mounts.push({ folder: token, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true });
    const certificates = [
      '--server-cert=/server/tls.crt',
      '--server-key=/server/tls.key',
      '--client-cert=/client/tls.crt',
    ];
    const args = ['operator', ...certificates, '--server-address=127.0.0.1:0', '--health-probe-bind-address=0'];
    const env = { KUBERNETES_SERVICE_HOST: kubeApi.host, KUBERNETES_SERVICE_PORT: String(kubeApi.port) };
    const logFile = join(folder, 'operator.log');
    const operator = await inside().start('operator', args, { ...env, SIDECAR_IMAGE: 'cellar' }, mounts, logFile);
    t.after(() => operator.stop('SIGKILL'));
    while (!/operator process started/.test(tailOf(logFile))) {
      assert.equal(operator.result(), undefined, tailOf(logFile));
      await setTimeout(50);
    }
    t.diagnostic(`operator: ${(residentBytes(operator) / MIB).toFixed(0)} MiB resident`);
  });

  test('instance and restore complain clearly about what is missing', async () => {
    for (const command of ['instance', 'restore']) {
      const { status, output } = await inside().run([command], {});
      assert.equal(status, 1);
      assert.match(output, /^cellar: (CLUSTER_NAME|NAMESPACE)/);
    }
  });

  test('without a sidecar the health check fails and says so', async () => {
    const { status, output } = await inside().run(['healthcheck', 'unix'], {});
    assert.equal(status, 1);
    assert.match(output, /^cellar: the call failed/);
  });

  test('every codec loads its native library', async () => {
    assert.deepEqual(await inside().run(['codecs'], {}), { status: 0, output: '' });
  });

  test('an unknown command, or none, is answered with the usage', async () => {
    for (const args of [['dance'], []]) {
      const { status, output } = await inside().run(args, {});
      assert.equal(status, 2);
      assert.match(output, /usage: cellar COMMAND/);
    }
  });

  test('the programs for people are there too', async () => {
    const { status, output } = await inside().run(['validate', '/nowhere.yaml'], {});
    assert.notEqual(status, 0);
    assert.match(output, /nowhere\.yaml/);
  });

  test('a sidecar that cannot write where it must says so', async () => {
    const { status, output } = await inside().run(['instance'], PLACE);
    assert.equal(status, 1);
    assert.match(output, /\/plugins/);
  });

  test('archives, backs up and restores, with codecs of every kind', { timeout: 300_000 }, async (t) => {
    const stand = await startStand();
    t.after(() => stand.cleanup.run());
    const { kubeApi, account, kubelet } = stand;
    runFromImage(kubelet, inside(), { kubeApi, account, logFolder: join(stand.folder, 'logs') });
    const instance = await startIdleInstance(stand, ROWS);
    const sidecar = await instance.startSidecar();
    t.diagnostic(`idle: ${(residentBytes(sidecar) / MIB).toFixed(0)} MiB resident`);
    await sidecar.stop();
    for (const compression of COMPRESSIONS) {
      await stand.configure({ wal: { compression }, data: { compression, immediateCheckpoint: true } });
      // A new one sees the change at once.
      const next = await instance.startSidecar();
      const { backupId } = await askBackup(instance);
      assert.match(backupId, /^\d{8}T\d{6}$/);
      assert.deepEqual(await next.stop(), { code: 0, signal: null }, tailOf(next.logFile));
    }
    await instance.startSidecar();
    const client = await instance.postgres.connect();
    await insertOrders(client, 1);
    await client.end();
    await archived(instance.postgres);
    const job = await startRecoveryJob(stand);
    await job.restore();
    const restored = await job.start();
    const rows = await restored.query('select count(*)::int as count from orders');
    assert.deepEqual(rows, [{ count: ROWS + 1 }]);
    assert.deepEqual(await job.sidecar.stop(), { code: 0, signal: null }, tailOf(job.sidecar.logFile));
  });
});

/** Waits until what has been written is in the archive. */
async function archived(postgres: Postgres): Promise<void> {
  const [{ name } = { name: '' }] = await postgres.query<{ name: string }>(
    'select pg_walfile_name(pg_switch_wal()) as name',
  );
  for (;;) {
    const [row] = await postgres.query<{ last: string | null }>(
      'select last_archived_wal as last from pg_stat_archiver',
    );
    if ((row?.last ?? '') >= name) return;
    await setTimeout(100);
  }
}

// A Cluster whose store is Google Cloud Storage, from the ObjectStore on: WAL archived, a backup taken, both restored.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { createGcsStorage } from '../../sidecar/store/gcs.ts';
import { askBackup } from '../journeys/ask-backup.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { startRecoveryJob } from '../journeys/recovery-job.ts';
import type { Kubelet } from '../kubelet.ts';
import { startFakeGcs } from '../servers/fake-gcs.ts';
import { startStand } from '../stand.ts';
import { gcsSettings } from './settings.ts';

const ROWS = 100_000;
const BUCKET = 'archive';

/** Nothing packed and small parts: the data tar goes in many. */
const GOOGLE: Partial<ObjectStoreConfiguration> = {
  destinationPath: `gs://${BUCKET}/backups/`,
  googleCredentials: { gkeEnvironment: true },
  wal: { compression: 'zstd' },
  data: { immediateCheckpoint: true },
};

test('a Cluster archives to, backs up to and is restored from Google Cloud Storage', async (t) => {
  const server = await startFakeGcs();
  t.after(() => server.stop());
  await server.createBucket(BUCKET);
  const stand = await startStand();
  t.after(() => stand.cleanup.run());
  await stand.kubeApi.apply({ ...onlyGoogle(await stand.configure(GOOGLE)) });
  pointTo(stand.kubelet, server.endpoint);

  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  const objects = await stored(server.endpoint);
  const data = objects.find(({ key }) => key === `backups/pg-main/base/${backupId}/data.tar`);
  assert.ok(data && data.sizeBytes > 16 * 1024 * 1024, 'the tar is larger than one part');
  assert.ok(objects.some(({ key }) => /^backups\/pg-main\/wals\/\w{16}\/\w{24}\.zst$/.test(key)));
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null });

  const job = await startRecoveryJob(stand);
  await job.restore();
  const restored = await job.start();
  assert.deepEqual(await restored.query('select count(*)::int as count from orders'), [{ count: ROWS }]);
});

/** The stand's ObjectStore names S3 too. */
function onlyGoogle<T extends { spec: { configuration: ObjectStoreConfiguration } }>(store: T): T {
  const { s3Credentials: _keys, endpointURL: _url, ...configuration } = store.spec.configuration;
  return { ...store, spec: { ...store.spec, configuration } };
}

/** As `instanceSidecarConfiguration.env` would. */
function pointTo(kubelet: Kubelet, endpoint: string): void {
  const start = kubelet.startSidecar;
  kubelet.startSidecar = (pod, name) => {
    const container = pod.spec.initContainers?.find((one) => one.name === name);
    if (container) container.env = [...(container.env ?? []), { name: 'STORAGE_EMULATOR_HOST', value: endpoint }];
    return start(pod, name);
  };
}

async function stored(endpoint: string) {
  const storage = createGcsStorage(gcsSettings(endpoint, { bucket: BUCKET }));
  const objects = [];
  for await (const info of storage.list('')) objects.push(info);
  storage.close();
  return objects;
}

// The sidecar of the demo is killed in the middle of its work: nothing is left that a reader could take for complete, and
// the work succeeds when it is repeated.
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../../api/names.ts';
import type { LocalPod } from '../kubelet.ts';
import { takeBackup } from '../manager/backup.ts';
import { startS3 } from '../servers/s3rver.ts';
import { type StallingProxy, startStallingProxy } from '../servers/stalling-proxy.ts';
import { makeShortFolder } from '../unprivileged.ts';
import { lastFailure, startInstanceSidecar } from './archive.ts';
import { takeBaseBackup } from './backup.ts';
import { createCleanup } from './cleanup.ts';
import { asObject, type DemoDocuments, readDocuments } from './documents.ts';
import { injectPod } from './inject.ts';
import { clusterOf, type Instance, type Parts, pathIn } from './parts.ts';
import { silentStep } from './report.ts';
import { startDatabase, startParts } from './start.ts';
import { archived, archiveEverything, createOrders, writeSegments } from './workload.ts';

const MIB = 1024 * 1024;
const LIMIT_MS = 300_000;

type Stage = { parts: Parts; documents: DemoDocuments; instance: Instance; pod: LocalPod; proxy: StallingProxy };

/** The demo until its third step, with a proxy in front of the object store. */
async function setUp(t: TestContext): Promise<Stage> {
  const folder = await makeShortFolder('cellar-kill-');
  const cleanup = createCleanup();
  t.after(async () => {
    await cleanup.run();
    await rm(folder, { recursive: true, force: true });
  });
  const logFolder = join(folder, 'logs');
  await mkdir(logFolder);
  const { endpoint, stop, ...s3 } = await startS3();
  cleanup.add(stop);
  const proxy = await startStallingProxy(Number(new URL(endpoint).port));
  cleanup.add(() => proxy.stop());
  const url = `http://127.0.0.1:${proxy.port}`;
  const options = { keep: false, postgresMajor: undefined, store: 's3' as const, s3: { url, ...s3 } };
  const parts = await startParts(silentStep, options, { folder, logFolder, cleanup });
  const documents = readDocuments(parts.store);
  const instance = await startDatabase(silentStep, parts, documents.cluster);
  for (const document of [documents.store, documents.cluster]) await parts.kubeApi.apply(asObject(document));
  await parts.kubeApi.apply(documents.secret);
  const pod = await injectPod(silentStep, parts, clusterOf(parts, 'cluster-example'));
  return { parts, documents, instance, pod, proxy };
}

test('a sidecar killed in the middle of a segment or of a backup leaves nothing that looks complete', async (t) => {
  const { parts, documents, instance, pod, proxy } = await setUp(t);
  const stored = (below: string) => parts.buckets.list(parts.store.bucket, `cluster-example/${below}`);
  const first = await startInstanceSidecar(parts, instance, pod);
  const client = await instance.postgres.connect();
  t.after(() => client.end());

  await t.test('in the middle of a segment', async () => {
    const reached = proxy.stallAfter(MIB);
    await createOrders(client);
    await writeSegments(client, 1, () => {});
    await reached;
    await first.sidecar.stop('SIGKILL');
    proxy.release();
    assert.deepEqual(await stored('wals/'), []);
    // PostgreSQL tries three times, then waits for a minute or for a signal.
    const deadline = performance.now() + LIMIT_MS;
    while ((await archived(client)).failed < 3) {
      assert.ok(performance.now() < deadline, 'PostgreSQL does not try again');
      await delay(50);
    }
  });

  const second = await parts.kubelet.startSidecar(pod, SIDECAR_CONTAINER);
  parts.cleanup.add(() => second.stop());
  await client.query('select pg_reload_conf()');
  await archiveEverything(
    client,
    LIMIT_MS,
    () => {},
    () => lastFailure(first.manager),
  );
  assert.ok((await stored('wals/')).length >= 2, 'segments arrive when archiving is repeated');

  await t.test('in the middle of a backup', async () => {
    const reached = proxy.stallAfter(4 * MIB);
    const cluster = clusterOf(parts, 'cluster-example');
    const taking = takeBackup(pathIn(parts, pod, PLUGINS_MOUNT), cluster, documents.backup);
    const failed = assert.rejects(taking, /UNAVAILABLE|CANCELLED|INTERNAL|UNKNOWN/);
    await reached;
    await second.stop('SIGKILL');
    proxy.release();
    await failed;
    const left = await stored('base/');
    for (const { key } of left.filter(({ key }) => key.endsWith('/backup.info'))) {
      const info = (await parts.buckets.read(parts.store.bucket, key)).toString('utf8');
      assert.doesNotMatch(info, /^status=DONE$/m);
    }
    assert.deepEqual(
      left.filter(({ key }) => /\/data\.tar/.test(key)),
      [],
      'no part of the upload has become an object',
    );
  });

  const third = await parts.kubelet.startSidecar(pod, SIDECAR_CONTAINER);
  parts.cleanup.add(() => third.stop());
  const again = await takeBaseBackup(silentStep, parts, pod, documents.backup);
  assert.ok(again.sizeBytes > MIB, 'the backup succeeds when it is repeated');
});

// A base backup into MinIO through the sidecar as a process: what a killed one leaves behind is ended by the next one, and an
// end of an upload whose answer is lost is known again. s3rver lists no uploads and has ETags of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListMultipartUploadsCommand, type S3Client } from '@aws-sdk/client-s3';
import { askBackup } from '../journeys/ask-backup.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { type ProxiedStand, startProxiedStand } from '../journeys/proxied-stand.ts';
import { goOn, standStillAt } from '../journeys/stand-still.ts';
import { openStoredBackups } from '../journeys/stored-backups.ts';
import type { Seen } from '../servers/fault-proxy.ts';
import { startMinio } from '../servers/minio.ts';
import { BUCKET, type StandInstance } from '../stand.ts';

const ROWS = 20_000;

test('uploads that a killed sidecar left open are aborted when the next one backs up', async (t) => {
  const { stand, instance, client } = await startPlace(t);
  const open = async (id: string): Promise<string[]> => {
    const Prefix = `pg-main/base/${id}/data.tar`;
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
    return Uploads.map(({ Key = '' }) => Key);
  };
  const sidecar = await instance.startSidecar();
  const reached = standStillAt(stand.proxy, {
    ...{ counts: isPart, number: 2 },
    how: () => ({ kind: 'keep-answer' }),
  });
  const asked = askBackup(instance).catch(() => undefined);
  const { path } = await reached;
  await sidecar.stop('SIGKILL');
  await asked;
  goOn(stand.proxy);
  const dead = /\/base\/(\w+)\//.exec(path)?.[1] ?? '';
  assert.deepEqual(await open(dead), [`pg-main/base/${dead}/data.tar`]);

  await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  assert.deepEqual(await open(dead), []);
  const states = (await openStoredBackups(stand).list()).map(({ id, state }) => `${id} ${state}`);
  assert.deepEqual(states, [`${dead} half`, `${backupId} done`]);
});

for (const [title, hits] of [
  ['the end of an upload', isEnd],
  ['the look at what was stored', isLook],
] as const) {
  test(`when the answer to ${title} is lost again and again the backup is whole`, async (t) => {
    const { stand, instance } = await startPlace(t);
    await instance.startSidecar();
    let lost = 0;
    stand.proxy.decide((seen) => {
      if (!hits(seen) || lost === 4) return { kind: 'pass' };
      lost += 1;
      return { kind: 'lose-answer' };
    });
    const { backupId } = await askBackup(instance);
    assert.ok(lost > 0);
    assert.ok((await openStoredBackups(stand).content(backupId)).size > 100);
  });
}

async function startPlace(t: {
  after: (undo: () => Promise<void>) => void;
}): Promise<{ stand: ProxiedStand; instance: StandInstance; client: S3Client }> {
  const minio = await startMinio();
  const stand = await startProxiedStand({ startStore: async () => minio });
  t.after(() => stand.cleanup.run());
  await stand.configure({ data: { immediateCheckpoint: true } });
  return { stand, instance: await startIdleInstance(stand, ROWS), client: minio.client };
}

function isPart({ query, path }: Seen): boolean {
  return query.has('partNumber') && path.includes('/base/');
}

function isEnd({ method, query, path }: Seen): boolean {
  return method === 'POST' && query.has('uploadId') && path.includes('/base/');
}

function isLook({ method, path }: Seen): boolean {
  return method === 'HEAD' && path.endsWith('.tar');
}

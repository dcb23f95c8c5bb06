// Two sidecars of one Cluster and one segment: after a failover the old primary may still have what the new one has too,
// or something else under the same name. s3rver knows no conditional put, so two contents are sent one after the other
// here; stores that do are raced in the wide tier.
import assert from 'node:assert/strict';
import { cp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { Cluster } from '../../api/kube.ts';
import { EMPTY_ARCHIVE_MARKER } from '../../api/names.ts';
import { readyNames } from '../../sidecar/wal/look-ahead.ts';
import { createOrders, insertOrders } from '../demo/workload.ts';
import { PluginError } from '../handshake.ts';
import { clusterDocument, type Stand, startInstance, startStand } from '../stand.ts';
import { archiveFile, startMember } from './member.ts';
import { openStoredWal, type StoredWal } from './stored-wal.ts';

/** A sidecar with a data folder: PostgreSQL's own, or a copy of it. */
type Writer = { pgdata: string; pluginsFolder: string };

const SEGMENTS = 8;
const ROWS = 2_500;
/** Behind the header of the segment: another content of the same owner. */
const CHANGED_BYTE = 100_000;
const cluster: Cluster = { ...clusterDocument(), status: { currentPrimary: 'pg-main-1', timelineID: 1 } };

let stand: Stand;
let stored: StoredWal;
let one: Writer;
let other: Writer;
/** Segments that nobody has archived yet. */
let names: string[];

before(async () => {
  stand = await startStand();
  stored = openStoredWal(stand);
  const instance = await startInstance(stand, { segmentSizeMiB: 1, settings: { archive_command: 'false' } });
  const client = await instance.postgres.connect();
  await createOrders(client);
  for (let segment = 1; segment <= SEGMENTS; segment += 1) {
    await insertOrders(client, ROWS);
    await client.query('select pg_switch_wal()');
  }
  await client.end();
  await instance.postgres.stop('immediate');
  // The Cluster has archived before: nobody is asked whether the archive is empty.
  await rm(join(instance.pgdata, EMPTY_ARCHIVE_MARKER), { force: true });
  const copy = join(stand.folder, 'copy');
  await cp(instance.pgdata, copy, { recursive: true, verbatimSymlinks: true });
  await instance.startSidecar();
  one = instance;
  other = await startMember(stand, { serial: 2, copy, cluster });
  names = readyNames(await readdir(join(copy, 'pg_wal', 'archive_status')));
  assert.ok(names.length >= SEGMENTS);
});

after(() => stand?.cleanup.run());

test('two sidecars that send the same segment at once both succeed, and what is stored is the segment', async () => {
  for (const name of names.splice(0, SEGMENTS / 2)) {
    await Promise.all([archive(one, name), archive(other, name)]);
    assert.ok(await isStoredAs(name, one));
  }
});

test('of two sidecars with other contents for one segment the second is refused, and what the first one sent is stored', async () => {
  for (const [index, name] of names.splice(0, SEGMENTS / 2).entries()) {
    await change(join(other.pgdata, 'pg_wal', name));
    const [winner, loser] = index % 2 === 0 ? [one, other] : [other, one];
    await archive(winner, name);
    await assert.rejects(archive(loser, name), isRefusal(name));
    // Neither asking again nor the winner's own repetition changes that.
    await assert.rejects(archive(loser, name), isRefusal(name));
    await archive(winner, name);
    assert.ok(await isStoredAs(name, winner));
    assert.ok(!(await isStoredAs(name, loser)));
  }
});

function archive({ pgdata, pluginsFolder }: Writer, name: string): Promise<void> {
  return archiveFile(pluginsFolder, cluster, join(pgdata, 'pg_wal', name));
}

/** Whether there is one object for the segment and it holds what this writer has. */
async function isStoredAs(name: string, { pgdata }: Writer): Promise<boolean> {
  const objects = (await stored.list()).filter((object) => object.name === name);
  assert.equal(objects.length, 1);
  const [object] = objects;
  if (object === undefined) return false;
  return (await stored.read(object)).equals(await readFile(join(pgdata, 'pg_wal', name)));
}

function isRefusal(name: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof PluginError && error.code === status.FAILED_PRECONDITION && error.message.includes(name);
}

async function change(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, CHANGED_BYTE);
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ 0xff]), 0, 1, CHANGED_BYTE);
  } finally {
    await file.close();
  }
}

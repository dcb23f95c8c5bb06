// PostgreSQL of every major writes, we archive and give back, and a server that has nothing but our archive has every row.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import type { WalCompression } from '../../api/objectstore.ts';
import { lastFailure } from '../demo/archive.ts';
import { archived, archiveEverything, createOrders, fingerprint, insertOrders } from '../demo/workload.ts';
import type { Postgres } from '../postgres.ts';
import { POSTGRES_MAJORS } from '../postgres.ts';
import { clusterDocument, STORE, type Stand, startInstance, startStand } from '../stand.ts';
import { LIMIT_MS, until, untilPromoted } from './conditions.ts';
import { copyWithoutWal, fetchFile, type Member, recoveringCluster, startMember } from './member.ts';
import { openStoredWal, type StoredWal } from './stored-wal.ts';

type Codec = WalCompression | 'none';
type Case = { major: number; segmentSizeMiB: number; maxParallel: number };

const ALL = process.env.CELLAR_ALL === '1';
const CODECS: readonly Codec[] = ['gzip', 'bzip2', 'zstd', 'lz4', 'snappy', 'xz', 'none'];
const ROWS = 4_000;
const HISTORY = '00000002.history';

const cases: Case[] = [
  { major: 18, segmentSizeMiB: 1, maxParallel: 4 },
  ...(ALL ? POSTGRES_MAJORS : [14]).map((major) => ({ major, segmentSizeMiB: 16, maxParallel: 1 })),
  ...(ALL ? [{ major: 17, segmentSizeMiB: 64, maxParallel: 4 }] : []),
];

for (const { major, segmentSizeMiB, maxParallel } of cases) {
  const how = `segments of ${segmentSizeMiB} MiB, ${maxParallel} at a time, the codec changed in mid-archive`;
  // The short form replays the new timeline where segments are small; elsewhere its files are compared.
  const replaysTwice = ALL || segmentSizeMiB === 1;
  const then = replaysTwice ? 'replayed' : 'restorable';
  test(`PostgreSQL ${major}, ${how}: every row is replayed, and the new timeline is archived and ${then} too`, async (t) => {
    const stand = await startStand({ postgresMajor: major });
    t.after(() => stand.cleanup.run());
    const copy = join(stand.folder, 'copy');
    // At least two segments, says PostgreSQL, and its default is too small for large ones.
    const settings = { min_wal_size: `${3 * segmentSizeMiB}MB` };
    const stored = openStoredWal(stand);

    const before = await writeThroughAllCodecs(stand, { segmentSizeMiB, settings, maxParallel, copy, stored });
    const first = await startMember(stand, { serial: 2, copy, cluster: recoveringCluster(), settings });
    const promoted = await first.start('recovery.signal');
    await untilPromoted(promoted);
    assert.deepEqual(await fingerprint(promoted), before);

    const after = await writeOnNewTimeline(first, promoted);
    await checkNewTimeline(stand, first, stored);
    await promoted.stop('immediate');
    if (!replaysTwice) return;
    const second = await startMember(stand, { serial: 3, copy, cluster: recoveringCluster(), settings });
    const again = await second.start('recovery.signal');
    await untilPromoted(again);
    assert.deepEqual(await fingerprint(again), after);
    const [row] = await again.query<{ timeline: string }>(
      'select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline',
    );
    assert.equal(row?.timeline, '00000003');
  });
}

/** Archives at least one segment with each codec; returns what the database then holds. Its server is stopped. */
async function writeThroughAllCodecs(
  stand: Stand,
  options: Omit<Case, 'major'> & { settings: Record<string, string>; copy: string; stored: StoredWal },
) {
  const { segmentSizeMiB, settings, maxParallel, copy, stored } = options;
  const instance = await startInstance(stand, {
    ...{ segmentSizeMiB, settings },
    beforeStart: (pgdata) => copyWithoutWal(pgdata, copy),
  });
  const sidecar = await instance.startSidecar();
  const client = await instance.postgres.connect();
  await createOrders(client);
  for (const codec of CODECS) {
    const cluster = await useCodec(stand, codec, maxParallel);
    await instance.manager.setCluster({ ...cluster, status: instance.cluster.status ?? {} });
    const isUsed = async () => (await stored.list()).some((object) => object.codec === codec);
    do {
      await insertOrders(client, ROWS);
      await archiveEverything(
        client,
        LIMIT_MS,
        () => {},
        () => lastFailure(instance.manager),
      );
      // In place, the sidecar goes on with what it knows for up to ten seconds.
    } while (ALL && !(await isUsed()));
    assert.ok(await isUsed(), `something is archived with ${codec}`);
  }
  const before = await fingerprint(instance.postgres);
  assert.equal((await archived(client)).failed, 0);
  await client.end();
  await instance.postgres.stop('immediate');
  await sidecar.stop();
  return before;
}

/**
 * The long form changes the ObjectStore in place. The short one cannot wait for the sidecar's cache seven times: another
 * ObjectStore of the same destination is read at once.
 */
async function useCodec(stand: Stand, codec: Codec, maxParallel: number): Promise<Cluster> {
  const store = await stand.configure({ wal: { maxParallel, ...(codec === 'none' ? {} : { compression: codec }) } });
  const cluster = clusterDocument();
  if (ALL) return cluster;
  const name = `${STORE}-${codec}`;
  await stand.kubeApi.apply({ ...store, metadata: { ...store.metadata, name } });
  const plugins = cluster.spec.plugins?.map((plugin) => ({ ...plugin, parameters: { barmanObjectName: name } })) ?? [];
  return { ...cluster, spec: { ...cluster.spec, plugins } };
}

async function writeOnNewTimeline(member: Member, postgres: Postgres) {
  await member.archive(postgres, 2);
  const client = await postgres.connect();
  for (let segment = 1; segment <= 2; segment += 1) {
    await insertOrders(client, ROWS);
    await archiveEverything(
      client,
      LIMIT_MS,
      () => {},
      () => lastFailure(member.manager),
    );
  }
  await client.end();
  return fingerprint(postgres);
}

/** History and segments of timeline 2 are stored, and come back as the server wrote them. */
async function checkNewTimeline(stand: Stand, member: Member, stored: StoredWal): Promise<void> {
  const names = async () => (await stored.list()).map(({ name }) => name).filter((name) => name.startsWith('00000002'));
  await until(`${HISTORY} is archived`, async () => (await names()).includes(HISTORY));
  const found = await names();
  assert.ok(found.length >= 3, `the history and two segments: ${found.join(' ')}`);
  for (const name of found) {
    const file = await fetchFile(stand, member, recoveringCluster(), name);
    const same = (await readFile(file)).equals(await readFile(join(member.pgdata, 'pg_wal', name)));
    assert.ok(same, `${name} comes back as it was`);
  }
}

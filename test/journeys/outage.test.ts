// The store goes away while PostgreSQL replays. To PostgreSQL a failed restore looks like the end of WAL: a recovery would
// end there and lose what follows.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../api/kube.ts';
import { lastFailure, readTimings } from '../demo/archive.ts';
import { archiveEverything, createOrders, type Fingerprint, fingerprint, insertOrders } from '../demo/workload.ts';
import { type Fault, type FaultProxy, type Seen, s3Error, startFaultProxy } from '../servers/fault-proxy.ts';
import { clusterDocument, type Stand, startInstance, startStand } from '../stand.ts';
import { isInRecovery, LIMIT_MS, until, untilPromoted } from './conditions.ts';
import { copyWithoutWal, type Member, recoveringCluster, startMember } from './member.ts';

const ALL = process.env.CELLAR_ALL === '1';
const OUTAGE_MS = 180_000;
const SEGMENTS = 12;
const ROWS = 2_500;
/** Downloads before the store goes away: by then the server is consistent, and most of the WAL is still missing. */
const DOWNLOADS = 5;
/** Looks for one segment that fail: several of the restorer's own tries, whatever the client below it repeats. */
const REFUSALS = 12;

let stand: Stand;
let proxy: FaultProxy;
let copy: string;
let written: Fingerprint;
let lastLsn: string;

before(async () => {
  stand = await startStand({
    endpoint: async (s3, cleanup) => {
      proxy = await startFaultProxy(s3);
      cleanup.add(() => proxy.stop());
      return proxy.endpoint;
    },
  });
  copy = join(stand.folder, 'copy');
  await writeArchive();
});

after(() => stand?.cleanup.run());

test('the store is away in the middle of a bootstrap recovery: it waits, and every row is there afterwards', async () => {
  const member = await startMember(stand, { serial: 2, copy, cluster: recoveringCluster() });
  const outage = planOutage({ kind: 'reset' });
  const postgres = await member.start('recovery.signal');
  await outage.lasted();
  assert.equal(await isInRecovery(postgres), true);
  assert.notDeepEqual(await fingerprint(postgres), written, 'rows are missing while the store is away');
  assert.deepEqual(await failedRestores(member), [], 'no restore is answered while the store is away');
  outage.end();
  await untilPromoted(postgres);
  assert.deepEqual(await fingerprint(postgres), written);
  await postgres.stop('immediate');
});

test('a standby outlives an outage, and a store that refuses: it stays a standby and gets every row', async () => {
  const status = { currentPrimary: 'pg-main-1', targetPrimary: 'pg-main-1', timelineID: 1 };
  const cluster: Cluster = { ...clusterDocument(), status };
  const settings = { wal_retrieve_retry_interval: '100ms' };
  const member = await startMember(stand, { serial: 3, copy, cluster, settings });
  const outage = planOutage({ kind: 'reset' });
  const postgres = await member.start('standby.signal');
  await outage.lasted();
  outage.become(s3Error(403, 'AccessDenied'));
  await until('restores fail', async () => (await failedRestores(member)).length >= 3);
  assert.equal(await isInRecovery(postgres), true);
  assert.notDeepEqual(await fingerprint(postgres), written, 'rows are missing while the store is away');
  outage.end();
  await until('everything is replayed', async () => {
    assert.equal(await isInRecovery(postgres), true, 'the standby stays one');
    const sql = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done';
    return (await postgres.query<{ done: boolean }>(sql, [lastLsn]))[0]?.done === true;
  });
  assert.deepEqual(await fingerprint(postgres), written);
  assert.equal(await isInRecovery(postgres), true);
  const sql = 'select timeline_id as timeline from pg_control_checkpoint()';
  assert.deepEqual(await postgres.query(sql), [{ timeline: 1 }]);
  await postgres.stop('immediate');
});

/** A primary that archives everything and is gone; the copy of its data folder holds none of it. */
async function writeArchive(): Promise<void> {
  await stand.configure({ wal: { compression: 'gzip', maxParallel: 2 } });
  const instance = await startInstance(stand, {
    segmentSizeMiB: 1,
    beforeStart: (pgdata) => copyWithoutWal(pgdata, copy),
  });
  const sidecar = await instance.startSidecar();
  const client = await instance.postgres.connect();
  await createOrders(client);
  for (let segment = 1; segment <= SEGMENTS; segment += 1) await insertOrders(client, ROWS);
  written = await fingerprint(instance.postgres);
  const [row] = await instance.postgres.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
  lastLsn = row?.lsn ?? '';
  await archiveEverything(
    client,
    LIMIT_MS,
    () => {},
    () => lastFailure(instance.manager),
  );
  await client.end();
  await instance.postgres.stop('immediate');
  await sidecar.stop();
}

/** Everything fails in the given way once so many segments have been downloaded from now on. */
function planOutage(fault: Fault) {
  let downloads = 0;
  let current: Fault | undefined;
  const refused = new Map<string, number>();
  proxy.decide((seen) => {
    if (isDownload(seen)) downloads += 1;
    if (downloads <= DOWNLOADS) return { kind: 'pass' };
    current ??= fault;
    const wanted = seen.query.get('prefix') ?? seen.path;
    refused.set(wanted, (refused.get(wanted) ?? 0) + 1);
    return current;
  });
  return {
    /** Settles when the restorer has been seen to try one file again and again; in the long form, minutes later. */
    async lasted() {
      await until('one file has been asked for again and again', () => Math.max(0, ...refused.values()) >= REFUSALS);
      if (ALL) await delay(OUTAGE_MS);
    },
    become: (other: Fault) => {
      current = other;
    },
    end: () => proxy.decide(() => ({ kind: 'pass' })),
  };
}

function isDownload({ method, path }: Seen): boolean {
  return method === 'GET' && /\/[0-9A-F]{24}\.gz$/.test(path);
}

/** Names of stored segments that PostgreSQL was refused. */
async function failedRestores(member: Member): Promise<string[]> {
  const timings = await readTimings(member.manager);
  return timings.filter(({ file, ok }) => !ok && /^00000001[0-9A-F]{16}$/.test(file)).map(({ file }) => file);
}

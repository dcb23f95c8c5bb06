// A base backup of a standby that replicates from a primary under load. A standby cannot end a segment: the backup waits
// until the primary has archived the last one that it needs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { lastFailure } from '../demo/archive.ts';
import { archiveEverything } from '../demo/workload.ts';
import { startInstance } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { LIMIT_MS, until, untilPromoted } from './conditions.ts';
import { checkLedger, startLedger } from './ledger.ts';
import { copyWithoutWal, startMember } from './member.ts';
import { startProxiedStand } from './proxied-stand.ts';
import { startRecoveryJob } from './recovery-job.ts';
import { openStoredBackups } from './stored-backups.ts';

const TRANSACTIONS = process.env.CELLAR_ALL === '1' ? 2_000 : 50;
const TARGET = 'the-target';

test('a backup of a standby waits for the primary to archive, and comes back with every acknowledged transaction', {
  timeout: 600_000,
}, async (t) => {
  const stand = await startProxiedStand();
  t.after(() => stand.cleanup.run());
  const copy = join(stand.folder, 'copy');
  const primary = await startInstance(stand, { beforeStart: (pgdata) => copyWithoutWal(pgdata, copy) });
  const primarySidecar = await primary.startSidecar();
  const ledger = await startLedger(primary.postgres);
  await ledger.moreCommitted(TRANSACTIONS);

  const cluster: Cluster = primary.cluster;
  const settings = { primary_conninfo: `host=${primary.postgres.socketFolder} user=postgres` };
  const member = await startMember(stand, { serial: 2, copy, cluster, settings });
  const standby = await member.start('standby.signal');
  const streaming = "select 1 from pg_stat_wal_receiver where status = 'streaming'";
  await until('the standby streams', async () => (await standby.query(streaming)).length > 0);

  // The standby gets its WAL from the primary itself.
  stand.proxy.decide(({ method, path }) =>
    method === 'PUT' && path.includes('/wals/') ? { kind: 'hold' } : { kind: 'pass' },
  );
  const backingUp = askBackup({ ...member, cluster });
  let answered = false;
  const answer = () => {
    answered = true;
  };
  backingUp.then(answer, answer);
  await until('the backup waits for WAL', () => answered || saysThatItWaits(member.sidecar.logFile));
  assert.equal(answered, false, 'nobody has archived the last segment yet');
  const stored = openStoredBackups(stand);
  assert.deepEqual(
    (await stored.list()).map(({ state }) => state),
    ['half'],
  );
  const target = await ledger.mark(TARGET);
  stand.proxy.decide(() => ({ kind: 'pass' }));
  stand.proxy.release();
  const client = await primary.postgres.connect();
  const archive = () =>
    archiveEverything(
      client,
      LIMIT_MS,
      () => {},
      () => lastFailure(primary.manager),
    );
  await archive();
  const backup = await backingUp;
  assert.equal(backup.online, true);
  assert.equal(backup.instanceId, member.name);

  await ledger.moreCommitted(TRANSACTIONS);
  await ledger.stop();
  await archive();
  await client.end();
  await standby.stop('immediate');
  await primary.postgres.stop('immediate');
  for (const sidecar of [member.sidecar, primarySidecar]) await sidecar.stop();

  const job = await startRecoveryJob(stand);
  await job.restore({ backupID: backup.backupId, targetName: TARGET });
  const restored = await job.start();
  await untilPromoted(restored);
  await checkLedger(restored, target);
  await restored.stop('immediate');
});

function saysThatItWaits(logFile: string): boolean {
  return readFileSync(logFile, 'utf8').includes('waiting until the primary has archived the WAL');
}

// PostgreSQL writes all the time while the sidecar backs it up and afterwards; its machine is lost; the recovery Job of a new
// Cluster brings it back. Nothing that was promised is missing, and nothing is half.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastFailure } from '../demo/archive.ts';
import { archiveEverything } from '../demo/workload.ts';
import { installedMajors } from '../postgres.ts';
import { startInstance } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { LIMIT_MS, untilPromoted } from './conditions.ts';
import { checkLedger, type Ledger, startLedger } from './ledger.ts';
import { type ProxiedStand, startProxiedStand } from './proxied-stand.ts';
import { startRecoveryJob } from './recovery-job.ts';

const ALL = process.env.CELLAR_ALL === '1';
const MAJORS = installedMajors().filter((major) => ALL || major === 14 || major === 18);
const TRANSACTIONS = ALL ? 2_000 : 50;
const TARGET = 'the-target';

for (const major of MAJORS) {
  test(`PostgreSQL ${major}, written to while it is backed up, comes back with every acknowledged transaction`, {
    timeout: 600_000,
  }, async (t) => {
    const stand = await startProxiedStand({ postgresMajor: major });
    t.after(() => stand.cleanup.run());
    // Not packed and one part at a time: the copy waits wherever the store waits.
    await stand.configure({ data: { immediateCheckpoint: true, jobs: 1 } });
    const instance = await startInstance(stand);
    const { postgres } = instance;
    const sidecar = await instance.startSidecar();
    // More than the sidecar holds in memory: the copy cannot be read to its end while its first part is held back.
    await postgres.query('create table filler as select i, md5(i::text) from generate_series(1, 1200000) as i');
    const ledger = await startLedger(postgres);

    const written = writeDuringCopy(stand, ledger, () => postgres.query('checkpoint; select pg_switch_wal()'));
    const backup = await askBackup(instance);
    assert.equal(await written, PARTS_HELD, 'parts of the copy that waited for transactions');
    assert.ok(
      backup.beginWal < backup.endWal,
      `the copy lasted longer than one segment: ${backup.beginWal} to ${backup.endWal}`,
    );

    await ledger.moreCommitted(TRANSACTIONS);
    const target = await ledger.mark(TARGET);
    await ledger.moreCommitted(TRANSACTIONS);
    const end = await ledger.stop();
    const client = await postgres.connect();
    await archiveEverything(
      client,
      LIMIT_MS,
      () => {},
      () => lastFailure(instance.manager),
    );
    await client.end();
    await postgres.stop('immediate');
    await sidecar.stop();

    const job = await startRecoveryJob(stand);
    for (const [recoveryTarget, mark] of [
      [{ targetName: TARGET }, target],
      [undefined, end],
    ] as const) {
      if (!ALL && (recoveryTarget === undefined) !== (major === MAJORS[0])) continue;
      await job.restore(recoveryTarget);
      const restored = await job.start();
      await untilPromoted(restored);
      await checkLedger(restored, mark);
      await restored.stop('immediate');
    }
    assert.ok(target.before.size < end.before.size);
  });
}

const PARTS_HELD = 3;

/** Holds the first parts of the copy back, each until more transactions are committed; counts them. */
async function writeDuringCopy(stand: ProxiedStand, ledger: Ledger, between: () => Promise<unknown>): Promise<number> {
  const { proxy } = stand;
  let parts = 0;
  proxy.decide(({ method, query }) => {
    if (method !== 'PUT' || !query.has('partNumber') || parts >= PARTS_HELD) return { kind: 'pass' };
    parts += 1;
    return { kind: 'hold' };
  });
  for (let part = 1; part <= PARTS_HELD; part += 1) {
    await proxy.held();
    await ledger.moreCommitted(TRANSACTIONS);
    await between();
    proxy.release();
  }
  return parts;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, StoreError } from '../../api/errors.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { countingBackups } from './backup-metrics.ts';
import type { BackupProgress } from './take.ts';

const MIB = 1024 * 1024;

function stage() {
  const metrics = new Metrics();
  const clock = { ms: 1_000_000 };
  const world: {
    progress: BackupProgress | undefined;
    outcome: () => Promise<{ readBytes: number; storedBytes: number }>;
  } = {
    progress: undefined,
    outcome: async () => ({ readBytes: 20 * MIB, storedBytes: 5 * MIB }),
  };
  const taker = {
    take: async (_request: string) => {
      clock.ms += 4000;
      return world.outcome();
    },
    progress: () => world.progress,
  };
  const take = countingBackups(metrics, taker, () => clock.ms);
  const values = () =>
    Object.fromEntries(metrics.samples().map(({ name, labels, value }) => [[name, ...labels].join(' '), value]));
  return { take, world, clock, values };
}

test('while a backup runs, how far it has come is asked at each scrape; before and after all of it is 0', () => {
  const { world, clock, values } = stage();
  const idle = values();
  assert.deepEqual(new Set(Object.values(idle)), new Set([0]));
  const begun = { name: 'b', id: '1', phase: 'starting backup', startedAt: new Date(clock.ms - 2500) } as const;
  world.progress = begun;
  assert.deepEqual(
    [values().cellar_backup_running, values().cellar_backup_running_seconds, values().cellar_backup_copied_bytes],
    [1, 2.5, 0],
  );
  const report = { files: 7, sizeBytes: 3 * MIB, bytesPerSecond: MIB, totalBytes: 9 * MIB, secondsLeft: 6 };
  world.progress = { ...begun, phase: 'uploading data', ...report };
  const { cellar_backup_copied_files: files, cellar_backup_copied_bytes: copied, ...rest } = values();
  assert.deepEqual([files, copied], [7, 3 * MIB]);
  assert.deepEqual([rest.cellar_backup_total_bytes, rest.cellar_backup_bytes_per_second], [9 * MIB, MIB]);
  world.progress = undefined;
  assert.deepEqual(values(), idle);
});

test('a completed backup leaves its duration, its sizes and its rate', async () => {
  const { take, values } = stage();
  assert.equal((await take('b')).readBytes, 20 * MIB);
  const found = values();
  assert.equal(found.cellar_backups_completed_total, 1);
  assert.equal(found.cellar_backup_last_duration_seconds, 4);
  assert.equal(found.cellar_backup_last_read_bytes, 20 * MIB);
  assert.equal(found.cellar_backup_last_stored_bytes, 5 * MIB);
  assert.equal(found.cellar_backup_last_bytes_per_second, 5 * MIB);
});

test('a failed one is counted by its class, handed on, and leaves the figures of the last completed one', async () => {
  const { take, world, values } = stage();
  await take('b');
  const facts = { failure: 'refused', provider: 's3', operation: 'put', key: 'k', reason: 'r' } as const;
  for (const error of [new StoreError(facts), new ConflictError('busy'), new ConflictError('busy')]) {
    world.outcome = () => Promise.reject(error);
    await assert.rejects(take('b'), error);
  }
  const found = values();
  assert.deepEqual(
    [found['cellar_backup_failures_total refused'], found['cellar_backup_failures_total conflict_of_data']],
    [1, 2],
  );
  assert.deepEqual([found.cellar_backups_completed_total, found.cellar_backup_last_duration_seconds], [1, 4]);
});

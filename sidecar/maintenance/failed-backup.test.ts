import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CancelledError, ConflictError, PreconditionError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { tellingFailures } from './failed-backup.ts';

const REQUEST = {
  cluster: { metadata: { name: 'pg' }, spec: {} },
  backup: { metadata: { name: 'nightly' }, spec: { cluster: { name: 'pg' } } },
};

function stage(work: () => Promise<string>) {
  const told: string[] = [];
  const warn = (cluster: Cluster, reason: string, message: string) =>
    told.push(`${cluster.metadata.name} ${reason}: ${message}`) > 0;
  return { take: tellingFailures({ warn }, (_request: typeof REQUEST) => work()), told };
}

test('a backup that succeeds is handed on without a word', async () => {
  const { take, told } = stage(async () => 'taken');
  assert.equal(await take(REQUEST), 'taken');
  assert.deepEqual(told, []);
});

test('a failed or cancelled one is told with its name and reason, and still fails', async () => {
  for (const error of [new PreconditionError('no room'), new CancelledError('no room')]) {
    const { take, told } = stage(() => Promise.reject(error));
    await assert.rejects(take(REQUEST), error);
    assert.deepEqual(told, ['pg BackupFailed: backup nightly failed: no room']);
  }
});

test('one that was turned away while another runs is none that failed', async () => {
  const { take, told } = stage(() => Promise.reject(new ConflictError('busy')));
  await assert.rejects(take(REQUEST), ConflictError);
  assert.deepEqual(told, []);
});

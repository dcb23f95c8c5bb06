// What the manager makes of a plugin's answer to Restore.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { unprivilegedAccount } from '../unprivileged.ts';
import { configureRecovery, targetSettings } from './restore.ts';

const COMMAND = "restore_command = '/controller/manager wal-restore %f %p'\nrecovery_target_action = 'promote'\n";

async function configure(t: TestContext, restoreConfig: string, envs: string[] = []) {
  const pgdata = await mkdtemp(join(tmpdir(), 'manager-'));
  t.after(() => rm(pgdata, { recursive: true, force: true }));
  const cluster: Cluster = {
    metadata: { name: 'c' },
    spec: { bootstrap: { recovery: { recoveryTarget: { targetTime: '2026-11-23T10:00:00Z' } } } },
  };
  const answer = { restoreConfig, envs };
  const account = unprivilegedAccount();
  const env = await configureRecovery({ account, pgdata, controllerFolder: '/local/c', cluster, answer });
  return { env, custom: await readFile(join(pgdata, 'custom.conf'), 'utf8'), pgdata };
}

test('the answer is appended with its paths mapped, then the targets', async (t) => {
  const { custom, env, pgdata } = await configure(t, COMMAND, ['A=b=c']);
  const lines = custom.split('\n');
  assert.ok(lines.includes("archive_command = 'false'"));
  const at = lines.indexOf("restore_command = '/local/c/manager wal-restore %f %p'");
  assert.ok(at > 0);
  assert.deepEqual(lines.slice(at + 1), [
    "recovery_target_action = 'promote'",
    '',
    "recovery_target_time = '2026-11-23T10:00:00+00'",
    "recovery_target_inclusive = 'true'",
    '',
  ]);
  assert.deepEqual(env, { A: 'b=c' });
  assert.equal(await readFile(join(pgdata, 'recovery.signal'), 'utf8'), '');
});

test('an answer that sets a recovery target is refused', async (t) => {
  const config = `${COMMAND}recovery_target_timeline = 'latest'\n`;
  await assert.rejects(configure(t, config), /sets recovery_target_timeline, which belongs to the manager/);
});

test('an answer without restore_command is refused', async (t) => {
  await assert.rejects(configure(t, "recovery_target_action = 'promote'\n"), /no restore_command/);
});

test('times are given with an offset in digits, and UTC when they name no zone', () => {
  const time = (targetTime: string) => targetSettings({ targetTime }).recovery_target_time;
  assert.equal(time('2026-11-23 10:00:00'), '2026-11-23 10:00:00+00');
  assert.equal(time('2026-11-23T10:00:00Z'), '2026-11-23T10:00:00+00');
  assert.equal(time('2026-11-23 10:00:00+02:00'), '2026-11-23 10:00:00+02:00');
});

test('without a target stanza nothing is said, with one inclusive always is', () => {
  assert.deepEqual(targetSettings(undefined), {});
  assert.deepEqual(targetSettings({ backupID: 'x' }), { recovery_target_inclusive: 'true' });
  assert.deepEqual(targetSettings({ targetXID: '7', exclusive: true }), {
    recovery_target_xid: '7',
    recovery_target_inclusive: 'false',
  });
});

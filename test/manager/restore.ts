// The manager's part of a recovery Job: asks the plugin to fill PGDATA, then sets PostgreSQL up to recover
// (cnpg-i-contract.md §5.6, steps 2 to 7).
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster, RecoveryTarget } from '../../api/kube.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, EMPTY_ARCHIVE_MARKER } from '../../api/names.ts';
import { RestoreJobHooksService, type RestoreResponse } from '../../api/proto/gen/restore_job.ts';
import type { Account } from '../unprivileged.ts';
import {
  appendCustom,
  fixedSettings,
  formatSettings,
  type PostgresSettings,
  write,
  writeConfiguration,
} from './configuration.ts';
import { connectPlugin } from './plugin.ts';

/** Where the image has what the double keeps elsewhere. */
const CONTROLLER = '/controller/';

/** Calls Restore; PGDATA does not exist when the plugin is asked. */
export async function restoreThroughPlugin(
  pluginsFolder: string,
  cluster: Cluster,
  pgdata: string,
): Promise<RestoreResponse> {
  await rm(pgdata, { recursive: true, force: true });
  const skip = cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] === 'enabled';
  const connection = await connectPlugin(pluginsFolder);
  try {
    return await connection.call(RestoreJobHooksService.restore, {
      clusterDefinition: Buffer.from(JSON.stringify(cluster)),
      checkEmptyWalArchive: !skip,
    });
  } finally {
    connection.close();
  }
}

/**
 * Sets a restored data directory up for recovery and returns the environment to start PostgreSQL with. The answer's
 * paths below /controller become the double's. Throws when the answer sets a recovery target, which is the manager's.
 */
export async function configureRecovery(options: {
  account: Account;
  pgdata: string;
  controllerFolder: string;
  cluster: Cluster;
  answer: RestoreResponse;
}): Promise<Record<string, string>> {
  const { account, pgdata, cluster, answer } = options;
  const target = /^\s*(recovery_target(?!_action\b)\w*)/m.exec(answer.restoreConfig)?.[1];
  if (target !== undefined) throw new Error(`the answer of Restore sets ${target}, which belongs to the manager`);
  if (!/^\s*restore_command\s*=/m.test(answer.restoreConfig)) {
    throw new Error('the answer of Restore has no restore_command');
  }
  const restoreConfig = answer.restoreConfig.replaceAll(CONTROLLER, `${options.controllerFolder}/`);

  // Nothing is archived before the promotion: the archive_command of the job always fails.
  await writeConfiguration(pgdata, account, { ...fixedSettings('false'), ssl: 'off' });
  await write(pgdata, account, EMPTY_ARCHIVE_MARKER, '');
  const targets = formatSettings(targetSettings(cluster.spec.bootstrap?.recovery?.recoveryTarget));
  await appendCustom(pgdata, account, `${restoreConfig}\n${targets}`);
  await write(pgdata, account, 'recovery.signal', '');
  // Left-overs of the server that was backed up.
  await rm(join(pgdata, 'standby.signal'), { force: true });
  await rm(join(pgdata, 'postgresql.auto.conf'), { force: true });
  return Object.fromEntries(answer.envs.map(splitVariable));
}

/** The manager's options for a recovery target; inclusive is always said when a target is given. */
export function targetSettings(target: RecoveryTarget | undefined): PostgresSettings {
  if (target === undefined) return {};
  const options: [string, string | undefined][] = [
    ['recovery_target_timeline', target.targetTLI],
    ['recovery_target_xid', target.targetXID],
    ['recovery_target_name', target.targetName],
    ['recovery_target_lsn', target.targetLSN],
    ['recovery_target_time', target.targetTime === undefined ? undefined : withOffset(target.targetTime)],
    ['recovery_target', target.targetImmediate === true ? 'immediate' : undefined],
    ['recovery_target_inclusive', target.exclusive === true ? 'false' : 'true'],
  ];
  return Object.fromEntries(
    options.flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]])),
  );
}

/**
 * A time without a zone is UTC. PostgreSQL reads this setting before it has loaded its zone abbreviations, and then does
 * not know `Z` either: only offsets in digits are safe.
 */
function withOffset(time: string): string {
  const utc = time.replace(/Z$/, '+00');
  return /[+-]\d{2}(:?\d{2})?$/.test(utc) ? utc : `${utc}+00`;
}

function splitVariable(item: string): [string, string] {
  const at = item.indexOf('=');
  if (at < 1) throw new Error(`the answer of Restore has an environment item that is no NAME=VALUE`);
  return [item.slice(0, at), item.slice(at + 1)];
}

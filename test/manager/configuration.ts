// The configuration files that the manager writes: postgresql.conf includes custom.conf and override.conf.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quoteSetting, writeAccess } from '../postgres.ts';
import type { Account } from '../unprivileged.ts';

export type PostgresSettings = Record<string, string>;

const INCLUDES = ['custom.conf', 'override.conf'];

/** Parameters that CloudNativePG fixes, as far as archiving and recovery see them. */
export function fixedSettings(archiveCommand: string): PostgresSettings {
  return {
    archive_mode: 'on',
    archive_command: archiveCommand,
    archive_timeout: '5min',
    wal_level: 'logical',
    hot_standby: 'on',
    full_page_writes: 'on',
    wal_keep_size: '512MB',
    max_wal_senders: '10',
    max_replication_slots: '32',
    logging_collector: 'off',
    log_destination: 'stderr',
    shared_buffers: '128MB',
  };
}

/** Replaces the three files, and the access rules, of a data directory. */
export async function writeConfiguration(pgdata: string, account: Account, settings: PostgresSettings): Promise<void> {
  const include = INCLUDES.map((file) => `include '${file}'\n`).join('');
  await write(pgdata, account, 'postgresql.conf', include);
  await write(pgdata, account, 'custom.conf', formatSettings(settings));
  await write(pgdata, account, 'override.conf', '');
  await writeAccess(pgdata, account);
}

/** Appends text to custom.conf. */
export async function appendCustom(pgdata: string, account: Account, text: string): Promise<void> {
  await write(pgdata, account, 'custom.conf', (await readFile(join(pgdata, 'custom.conf'), 'utf8')) + text);
}

export function formatSettings(settings: PostgresSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${quoteSetting(value)}\n`)
    .join('');
}

export async function write(pgdata: string, account: Account, name: string, text: string): Promise<void> {
  await writeFile(join(pgdata, name), text, { mode: 0o600 });
  await account.own(join(pgdata, name));
}

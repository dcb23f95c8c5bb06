// Our backups in the hands of barman's other tools: listed, shown, kept, deleted; and what they keep we keep.
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { runRetention } from '../../sidecar/backup/retention.ts';
import { findPostgres } from '../postgres.ts';
import { startS3, type TestS3 } from '../servers/s3rver.ts';
import { makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { BUCKET, openStorage } from '../wal-place.ts';
import { barman, barmanAnswers } from './barman.ts';
import { runErrands } from './matrix/errands.ts';
import { makeTemplate, startOrigin } from './matrix/origin.ts';
import { cellarParty } from './matrix/parties.ts';
import { openPlace, type Place } from './matrix/place.ts';

const SERVER = 'pg';
const DAY_MS = 86_400_000;

let folder: string;
let s3: TestS3;
let place: Place;
/** Of the two backups, oldest first. */
let ids: string[] = [];
const undo: (() => unknown)[] = [];

before(async () => {
  folder = await makeShortFolder('cellar-ct-');
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  for (const name of ['controller', 'party']) await mkdir(join(folder, name));
  await account.own(folder);
  s3 = await startS3();
  undo.push(() => s3.stop());
  await s3.createBucket(BUCKET);
  const storage = openStorage({ after: () => {} }, s3);
  undo.push(() => storage.close());
  place = openPlace({ store: s3, storage, server: SERVER, codec: 'gzip' });
  const party = cellarParty(place, join(folder, 'party'));
  undo.push(() => party.stop());
  const programs = await findPostgres(account, folder);
  const template = await makeTemplate({ programs, account, folder });
  const errands = await runErrands(join(folder, 'controller'), account, party);
  undo.push(() => errands.stop());
  const origin = await startOrigin({
    ...{ programs, account, template, folder, layout: 'tablespaces' },
    archiveCommand: `${errands.manager} wal-archive %p`,
  });
  undo.push(() => origin.postgres.stop('immediate'));
  ids = [await party.backUp(origin), await party.backUp(origin)];
  await origin.client.end();
});
after(async () => {
  for (const step of undo.reverse()) await step();
});

test('backup-list and backup-show read what we wrote, with our own record of it beside', async () => {
  const [first = '', second = ''] = ids;
  const keys = await keysBelow(`base/${first}/`);
  assert.ok(keys.includes(`base/${first}/annotations/cellar.json`), keys.join(' '));
  const { backups_list } = JSON.parse((await tool('backup-list', ['--format', 'json'])).stdout);
  const listed = backups_list.map(({ backup_id, status }: Record<string, unknown>) => [backup_id, status]);
  assert.deepEqual(listed, [
    [first, 'DONE'],
    [second, 'DONE'],
  ]);
  assert.match((await tool('backup-list', [])).stdout, new RegExp(`^${first} `, 'm'));

  const { cloud } = JSON.parse((await tool('backup-show', ['--format', 'json'], [second])).stdout);
  assert.equal(cloud.backup_id, second);
  assert.equal(cloud.tablespaces.length, 2);
  assert.match(cloud.begin_wal, /^[0-9A-F]{24}$/);
  for (const field of ['begin_time_iso', 'end_time_iso', 'systemid', 'backup_label', 'cluster_size']) {
    assert.ok(cloud[field], field);
  }
  assert.match((await tool('backup-show', [], [cloud.backup_name])).stdout, new RegExp(second));
});

test('what backup-keep holds our retention keeps, until it is released', async () => {
  const [first = '', second = ''] = ids;
  for (const target of ['standalone', 'full']) {
    await tool('backup-keep', ['--target', target], [first]);
    const { kept } = await retain();
    assert.deepEqual(
      kept.map(({ id, reason }) => [id, reason]),
      [
        [first, `keep annotation: ${target}`],
        [second, 'the recovery window begins with it'],
      ],
    );
    assert.match((await tool('backup-keep', ['--status'], [first])).stdout, new RegExp(target));
  }
  const refused = await barmanAnswers(s3, 'backup-delete', ['--backup-id', first, place.url, SERVER]);
  assert.equal(refused.status, 1);
  await tool('backup-keep', ['--release'], [first]);
  assert.deepEqual(
    (await retain()).deleted.map(({ id }) => id),
    [first],
  );
  assert.deepEqual(await keysBelow(`base/${first}/`), []);
  const { backups_list } = JSON.parse((await tool('backup-list', ['--format', 'json'])).stdout);
  assert.deepEqual(
    backups_list.map(({ backup_id }: Record<string, unknown>) => backup_id),
    [second],
  );
});

test('backup-delete deletes a backup of ours, but for the annotations that it never touches', async () => {
  const [, second = ''] = ids;
  await tool('backup-delete', ['--backup-id', second]);
  assert.deepEqual(await keysBelow(`base/${second}/`), [`base/${second}/annotations/cellar.json`]);
});

/** Options go before the place, an id after it. */
function tool(name: string, options: string[], more: string[] = []) {
  return barman(s3, name, [...options, place.url, SERVER, ...more]);
}

/** With a window that both backups are older than. */
function retain() {
  const now = new Date(Date.now() + 10 * DAY_MS);
  const signal = AbortSignal.timeout(60_000);
  return runRetention({ archive: place.archive, policy: '7d', now, signal, log: silentLog() });
}

async function keysBelow(prefix: string): Promise<string[]> {
  const { server } = place.archive.keys;
  const keys: string[] = [];
  for await (const { key } of place.archive.storage.list(server + prefix)) keys.push(key.slice(server.length));
  return keys;
}

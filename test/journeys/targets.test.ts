// The examples of docs/backup.md and docs/recovery.md: the backup is taken as the page asks for it, and every recovery
// target, as it is written there with the values of that database, ends in exactly the rows that were there at its point.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';
import type { Backup, RecoveryTarget } from '../../api/kube.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { takeBackup } from '../manager/backup.ts';
import type { Postgres } from '../postgres.ts';
import { type Stand, startInstance, startStand } from '../stand.ts';
import { until, untilPromoted } from './conditions.ts';
import { type RecoveryJob, startRecoveryJob } from './recovery-job.ts';

type Example = {
  kind?: string;
  recovery?: { recoveryTarget?: RecoveryTarget };
  spec?: { configuration?: Pick<ObjectStoreConfiguration, 'data'> };
};

type Step = 'before the backup' | 'after the backup' | 'at the target' | 'too late';

/** The points of one history that a target can name. */
type Points = {
  backupID: string;
  name: string;
  xid: string;
  /** After the target's commit, and before it: where replay stops after, and before, the record that is found there. */
  lsn: string;
  lsnBefore: string;
  time: Date;
};

const examples = (await yamlOf('recovery')).flatMap(({ recovery }) => recovery?.recoveryTarget ?? []);

/** The rows that a target of the page must bring back, by what it names. */
const EXPECTED: { when: (target: RecoveryTarget) => boolean; rows: Step[] }[] = [
  { when: (target) => target.targetImmediate === true, rows: ['before the backup'] },
  { when: (target) => target.exclusive === true, rows: ['before the backup', 'after the backup'] },
  {
    when: ({ targetTime, targetLSN, targetName, targetXID }) =>
      Boolean(targetTime || targetLSN || targetName || targetXID),
    rows: ['before the backup', 'after the backup', 'at the target'],
  },
  { when: () => true, rows: ['before the backup', 'after the backup', 'at the target', 'too late'] },
];

let stand: Stand;
let points: Points;
let job: RecoveryJob;

before(async () => {
  stand = await startStand();
  points = await writeHistory(stand);
  job = await startRecoveryJob(stand);
});

test('the page shows every kind of target', () => {
  const fields = new Set(examples.flatMap((target) => Object.keys(target)));
  const all = [
    'backupID',
    'exclusive',
    'targetImmediate',
    'targetLSN',
    'targetName',
    'targetTLI',
    'targetTime',
    'targetXID',
  ];
  assert.deepEqual([...fields].sort(), all);
});

test('every target of the page ends in the rows of its point', async (t) => {
  t.after(() => stand.cleanup.run());
  for (const example of [undefined, ...examples]) {
    const target = example === undefined ? undefined : withValues(example, points);
    await t.test(JSON.stringify(example ?? 'no target'), async () => {
      await job.restore(target);
      const postgres = await job.start();
      await untilPromoted(postgres);
      const expected = EXPECTED.find(({ when }) => when(example ?? {}))?.rows;
      assert.deepEqual(await stepsOf(postgres), expected);
      await postgres.stop('immediate');
    });
  }
});

/** The YAML examples of a page. */
async function yamlOf(page: string): Promise<Example[]> {
  const text = await readFile(join(import.meta.dirname, `../../docs/${page}.md`), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block = '']) => parse(block));
}

/** The target with our values in place of the page's, each in the page's own spelling. */
function withValues(example: RecoveryTarget, { backupID, name, xid, lsn, lsnBefore, time }: Points): RecoveryTarget {
  const micros = time.toISOString().replace('Z', '000');
  const spellings: [RegExp, string][] = [
    [/^\S+ \S+\+00:00$/, `${micros.replace('T', ' ')}+00:00`],
    [/Z$/, `${micros}Z`],
    [/^[-\d]+T[:\d]+$/, micros],
  ];
  const timeLike = (text: string): string => {
    const spelling = spellings.find(([form]) => form.test(text));
    assert.ok(spelling, `a time of the page has a form that this test does not know: ${text}`);
    return spelling[1];
  };
  return {
    ...example,
    ...(example.backupID === undefined ? {} : { backupID }),
    ...(example.targetName === undefined ? {} : { targetName: name }),
    ...(example.targetXID === undefined ? {} : { targetXID: xid }),
    ...(example.targetLSN === undefined ? {} : { targetLSN: example.exclusive === true ? lsnBefore : lsn }),
    ...(example.targetTime === undefined ? {} : { targetTime: timeLike(example.targetTime) }),
  };
}

/** One backup; then a step, the target's transaction, and one more step. All of it is archived, and the server gone. */
async function writeHistory(on: Stand): Promise<Points> {
  const page = await yamlOf('backup');
  const ofKind = (wanted: string) =>
    page.find(({ kind }) => kind === wanted) ?? assert.fail(`no ${wanted} on the page`);
  await on.configure({ data: ofKind('ObjectStore').spec?.configuration?.data ?? {} });
  const instance = await startInstance(on);
  const { postgres } = instance;
  const sidecar = await instance.startSidecar();
  await postgres.query('create table step (text text)');
  await write(postgres, 'before the backup');
  const backup = await takeBackup(instance.pluginsFolder, instance.cluster, ofKind('Backup') as unknown as Backup);
  await write(postgres, 'after the backup');
  const target = await writeTarget(postgres);
  const name = 'before-migration';
  const [mark] = await postgres.query<{ lsn: string; time: Date }>(
    'select pg_current_wal_insert_lsn()::text as lsn, clock_timestamp() as time',
  );
  await postgres.query(`select pg_create_restore_point('${name}')`);
  await postgres.query('select pg_sleep(0.05)');
  await write(postgres, 'too late');
  await postgres.query('select pg_switch_wal()');
  const waiting = `select 1 from pg_stat_archiver
    where last_archived_wal >= (select pg_walfile_name(lsn) from (select '${mark?.lsn}'::pg_lsn as lsn) as mark)`;
  await until('everything is archived', async () => (await postgres.query(waiting)).length > 0);
  await postgres.stop('immediate');
  await sidecar.stop();
  return {
    backupID: backup.backupId,
    ...{ name, ...target, lsn: mark?.lsn ?? '', time: new Date(mark?.time ?? 0) },
  };
}

async function writeTarget(postgres: Postgres): Promise<{ xid: string; lsnBefore: string }> {
  const client = await postgres.connect();
  await client.query('begin');
  await write(client, 'at the target');
  const { rows } = await client.query(
    'select pg_current_xact_id()::text as xid, pg_current_wal_insert_lsn()::text as "lsnBefore"',
  );
  await client.query('commit');
  await client.end();
  return rows[0];
}

async function write(postgres: { query(sql: string): Promise<unknown> }, step: Step): Promise<void> {
  await postgres.query(`insert into step values ('${step}')`);
}

async function stepsOf(postgres: Postgres): Promise<string[]> {
  return (await postgres.query<{ text: string }>('select text from step order by ctid')).map(({ text }) => text);
}

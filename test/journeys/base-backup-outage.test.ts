// The store goes away in the middle of a base backup, or of a restore, and comes back: hours of copying must not be lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type Seen, s3Error } from '../servers/fault-proxy.ts';
import type { StandInstance } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { until } from './conditions.ts';
import { startIdleInstance } from './idle-instance.ts';
import { type ProxiedStand, startProxiedStand } from './proxied-stand.ts';
import { startRecoveryJob } from './recovery-job.ts';
import { type Content, contentOf, openStoredBackups, type StoredBackups } from './stored-backups.ts';

const ALL = process.env.CELLAR_ALL === '1';
const OUTAGE_MS = 30_000;
/** The client below repeats a request twice: so many in vain are several tries of whoever waits for the store. */
const REFUSALS = 9;
const ROWS = 20_000;

type Stage = { title: string; begins: (seen: Seen) => boolean; fault: Fault };

const BACKUP: Stage[] = [
  { title: 'with the second part', begins: ({ query }) => query.get('partNumber') === '2', fault: { kind: 'reset' } },
  {
    title: 'with the end of the upload',
    begins: ({ method, query, path }) => method === 'POST' && query.has('uploadId') && path.includes('/base/'),
    fault: s3Error(503, 'SlowDown'),
  },
  {
    title: 'with backup.info',
    begins: ({ method, path }) => method === 'PUT' && path.endsWith('/backup.info'),
    fault: { kind: 'reset' },
  },
];
const RESTORE: Stage[] = [
  { title: 'with the first listing', begins: ({ query }) => query.has('list-type'), fault: { kind: 'reset' } },
  { title: 'with a tar', begins: ({ path }) => path.endsWith('.tar'), fault: s3Error(503, 'SlowDown') },
];

let stand: ProxiedStand;
let instance: StandInstance;
let stored: StoredBackups;
let control: Content;

before(async () => {
  stand = await startProxiedStand();
  // Not packed: an upload of many parts.
  await stand.configure({ data: { immediateCheckpoint: true, jobs: 1 } });
  instance = await startIdleInstance(stand, ROWS);
  stored = openStoredBackups(stand);
});

after(() => stand?.cleanup.run());

test('a store that goes away in a backup and comes back gets the whole of it', async (t) => {
  const sidecar = await instance.startSidecar();
  for (const stage of BACKUP) {
    await t.test(`gone ${stage.title}`, async () => {
      const outage = planOutage(stage);
      const { backupId } = await outage.during(askBackup(instance));
      const content = await stored.content(backupId);
      control ??= content;
      assert.ok(content.size > 100);
      assert.deepEqual(content, control);
    });
  }
  await sidecar.stop();
  await instance.postgres.stop('immediate');
});

test('a store that goes away in a restore and comes back gives the whole of it', async (t) => {
  const job = await startRecoveryJob(stand);
  for (const stage of RESTORE) {
    await t.test(`gone ${stage.title}`, async () => {
      const outage = planOutage(stage);
      await outage.during(job.restore());
      assert.deepEqual(await contentOf(job.pgdata), control);
    });
  }
});

/** From a request on everything fails, until the same work has been tried in vain often enough; then all is well again. */
function planOutage({ begins, fault }: Stage) {
  let refused = 0;
  stand.proxy.decide((seen) => {
    if (refused === 0 && !begins(seen)) return { kind: 'pass' };
    refused += 1;
    return fault;
  });
  return {
    async during<T>(work: Promise<T>): Promise<T> {
      let ended = false;
      const end = () => {
        ended = true;
      };
      work.then(end, end);
      await until('the store is asked in vain again and again', () => ended || refused >= REFUSALS);
      if (ALL && !ended) await delay(OUTAGE_MS);
      const early = ended;
      stand.proxy.decide(() => ({ kind: 'pass' }));
      const result = await work;
      assert.ok(!early, 'it ended while the store was away');
      return result;
    },
  };
}

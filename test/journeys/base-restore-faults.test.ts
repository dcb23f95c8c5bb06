// What goes wrong between the sidecar of a recovery Job and the store in every stage of a restore, and what the manager is
// answered. Trouble is waited out; a refusal, or bytes that are not the backup's, end it at once and leave no PGDATA.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { status as grpc } from '@grpc/grpc-js';
import { PluginError } from '../handshake.ts';
import { type Fault, type Seen, s3Error } from '../servers/fault-proxy.ts';
import { askBackup } from './ask-backup.ts';
import { startIdleInstance } from './idle-instance.ts';
import { type ProxiedStand, startProxiedStand } from './proxied-stand.ts';
import { type RecoveryJob, startRecoveryJob } from './recovery-job.ts';
import { type Content, contentOf } from './stored-backups.ts';

const ALL = process.env.CELLAR_ALL === '1';
/** Trouble is over after so many requests went wrong: the client below repeats each twice. Silence lasts long enough. */
const TROUBLE_REQUESTS = 4;
const SILENT_REQUESTS = 1;
const ROWS = 1_000;

const STAGES = {
  'the listing of the catalog': ({ query }) => query.get('prefix')?.endsWith('/base/') === true,
  'backup.info': ({ path }) => path.endsWith('/backup.info'),
  'the manifest': ({ path }) => path.endsWith('/annotations/cellar.json'),
  'the listing of the tars': ({ query }) => /\/base\/\w+\/$/.test(query.get('prefix') ?? ''),
  'the look for its WAL': ({ query }) => query.get('prefix')?.includes('/wals/') === true,
  'a tar': ({ path }) => path.endsWith('/data.tar'),
} satisfies Record<string, (seen: Seen) => boolean>;

type Stage = keyof typeof STAGES;

const TROUBLE = {
  '500': s3Error(500, 'InternalError'),
  '503 SlowDown': s3Error(503, 'SlowDown'),
  'a reset': { kind: 'reset' },
  'a body cut in the middle': { kind: 'cut', afterBytes: 100 },
  'a body that falls silent': { kind: 'stall', afterBytes: 100 },
} satisfies Record<string, Fault>;

const REFUSALS = {
  'expired keys': [s3Error(403, 'ExpiredToken'), grpc.FAILED_PRECONDITION],
  'a bucket that has gone': [s3Error(404, 'NoSuchBucket'), grpc.FAILED_PRECONDITION],
} satisfies Record<string, [Fault, grpc]>;

const DAMAGE = {
  'a byte that has changed': [{ kind: 'corrupt-answer', atByte: 300_000 }, grpc.DATA_LOSS],
  'an object that has gone': [s3Error(404, 'NoSuchKey'), grpc.DATA_LOSS],
  'another, shorter object': [
    {
      kind: 'answer',
      status: 206,
      body: 'short',
      headers: { 'content-length': '5', 'content-range': 'bytes 0-4/5', etag: '"0"' },
    },
    grpc.DATA_LOSS,
  ],
} satisfies Record<string, [Fault, grpc]>;

/** In the short form each stage meets some, and the longest stage meets all. */
const SHORT_TROUBLE: Partial<Record<Stage, (keyof typeof TROUBLE)[]>> = {
  'the listing of the catalog': ['503 SlowDown'],
  'backup.info': ['a reset'],
  'the manifest': ['a body cut in the middle'],
  'the listing of the tars': ['500'],
  'the look for its WAL': ['a reset'],
};
const SHORT_REFUSALS: Partial<Record<Stage, (keyof typeof REFUSALS)[]>> = {
  'the listing of the catalog': ['a bucket that has gone'],
  'the look for its WAL': ['expired keys'],
  'a tar': ['expired keys'],
};

let stand: ProxiedStand;
let job: RecoveryJob;
let control: Content;

before(async () => {
  stand = await startProxiedStand();
  // Not packed: nothing but our own checks sees a byte that has changed. Silence is told after a second.
  await stand.configure({ data: { immediateCheckpoint: true, additionalCommandArgs: ['--read-timeout=1'] } });
  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  await askBackup(instance);
  await instance.postgres.stop('immediate');
  await sidecar.stop();
  job = await startRecoveryJob(stand);
  await job.restore();
  control = await contentOf(job.pgdata);
});

after(() => stand?.cleanup.run());

for (const [stage, hits] of entriesOf(STAGES)) {
  for (const [title, fault] of entriesOf(TROUBLE)) {
    if (!ALL && !(SHORT_TROUBLE[stage] ?? Object.keys(TROUBLE)).includes(title)) continue;
    test(`${title} at ${stage} is waited out, and the restore is whole`, async () => {
      const limit = fault.kind === 'stall' ? SILENT_REQUESTS : TROUBLE_REQUESTS;
      let troubles = 0;
      stand.proxy.decide((seen) => {
        if (!hits(seen) || troubles === limit) return { kind: 'pass' };
        troubles += 1;
        return fault;
      });
      await job.restore();
      assert.equal(troubles, limit);
      assert.deepEqual(await contentOf(job.pgdata), control);
    });
  }

  const refusals = entriesOf(REFUSALS).filter(([title]) => ALL || SHORT_REFUSALS[stage]?.includes(title) === true);
  const damage = stage === 'a tar' ? entriesOf(DAMAGE) : [];
  for (const [title, [fault, code]] of [...refusals, ...damage]) {
    test(`${title} at ${stage} ends the restore at once with ${grpc[code]} and leaves no PGDATA`, async () => {
      stand.proxy.decide((seen) => (hits(seen) ? fault : { kind: 'pass' }));
      await assert.rejects(job.restore(), (error) => {
        assert.ok(error instanceof PluginError);
        assert.equal(error.code, code, error.message);
        return true;
      });
      assert.ok(!existsSync(job.pgdata));
    });
  }
}

test('after all of it the next restore is whole', async () => {
  stand.proxy.decide(() => ({ kind: 'pass' }));
  await job.restore();
  assert.deepEqual(await contentOf(job.pgdata), control);
});

function entriesOf<K extends string, V>(record: Record<K, V>): [K, V][] {
  // Object.entries forgets the type of the keys.
  return Object.entries(record) as [K, V][];
}

// kill -9 of the sidecar at random points of its work. An answer is a promise: what was answered is stored, and nothing
// half or wrong ever stands under the name of a segment.
import assert from 'node:assert/strict';
import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type pg from 'pg';
import { readyNames } from '../../sidecar/wal/look-ahead.ts';
import { createOrders, insertOrders } from '../demo/workload.ts';
import { type Stand, type StandInstance, startInstance, startStand } from '../stand.ts';
import { type FreezingProxy, startFreezingProxy } from './freezing-proxy.ts';
import { archiveFile } from './member.ts';
import { type Random, seededRandom } from './random.ts';
import { openStoredWal, type StoredWal } from './stored-wal.ts';

const ALL = process.env.CELLAR_ALL === '1';
const SEED = 4;
const MAX_PARALLEL = 8;
const { segments, segmentSizeMiB, rows, kills } = ALL
  ? { segments: 300, segmentSizeMiB: 16, rows: 10_000, kills: 100 }
  : { segments: 60, segmentSizeMiB: 1, rows: 3_000, kills: 10 };
/** What a segment of so many rows is packed to, roughly: points are chosen within a few segments of work. */
const PACKED_BYTES = rows * 80;

const title = `after ${kills} kills while ${segments} segments are archived, ${MAX_PARALLEL} at a time, whatever was answered is stored, nothing half is, and all of it can be archived`;

test(title, { timeout: ALL ? 4 * 3_600_000 : 600_000 }, async (t) => {
  let proxy: FreezingProxy | undefined;
  const stand = await startStand({
    endpoint: async (s3, cleanup) => {
      const started = await startFreezingProxy(s3);
      cleanup.add(() => started.stop());
      proxy = started;
      return started.endpoint;
    },
  });
  t.after(() => stand.cleanup.run());
  assert.ok(proxy);
  const instance = await fillWithWal(stand);
  await stand.configure({ wal: { compression: 'gzip', maxParallel: MAX_PARALLEL } });
  const total = (await ready(instance)).length;
  const journal = createJournal(instance, openStoredWal(stand));
  const random = seededRandom(SEED);

  const waysSeen = new Set<string>();
  for (let kill = 1; kill <= kills; kill += 1) {
    const way = random.pick(WAYS);
    waysSeen.add(way);
    await archiveUntilKilled(instance, proxy, journal, way, random);
    await journal.check(`kill ${kill}, ${way}`);
  }
  assert.equal(waysSeen.size, WAYS.length);
  assert.ok(journal.answered.size < total, 'the last kill came before the last segment');

  await instance.startSidecar();
  await archiveReady(instance, journal);
  await journal.check('the end');
  assert.equal(journal.answered.size, total);
});

/** Every segment as PostgreSQL wrote it, waiting to be archived; its server has ended. */
async function fillWithWal(stand: Stand): Promise<StandInstance> {
  const instance = await startInstance(stand, { segmentSizeMiB, settings: { archive_command: 'false' } });
  const client: pg.Client = await instance.postgres.connect();
  await createOrders(client);
  await client.query('select setseed(0.4)');
  while ((await ready(instance)).length < segments) {
    await insertOrders(client, rows);
    await client.query('select pg_switch_wal()');
  }
  await client.end();
  await instance.postgres.stop('immediate');
  return instance;
}

/** Where the sidecar is hit: between bytes that it sends, between bytes of answers to it, or right after its own answer. */
const WAYS = ['while it sends', 'before it has heard', 'after it has answered'] as const;

async function archiveUntilKilled(
  instance: StandInstance,
  proxy: FreezingProxy,
  journal: Journal,
  way: (typeof WAYS)[number],
  random: Random,
): Promise<void> {
  const sidecar = await instance.startSidecar();
  const reached =
    way === 'while it sends'
      ? proxy.freezeAfter(random.integer(1, 5 * PACKED_BYTES), 'towards the store')
      : way === 'before it has heard'
        ? proxy.freezeAfter(random.integer(1, 8_000), 'towards the client')
        : journal.answers(random.integer(1, 5));
  let killed = false;
  const working = archiveReady(instance, journal).then(
    () => assert.ok(killed, `everything was archived before the sidecar could be killed ${way}`),
    (error) => assert.ok(killed, `the sidecar fails by itself: ${error}`),
  );
  await Promise.race([reached, working]);
  killed = true;
  await sidecar.stop('SIGKILL');
  proxy.thaw();
  await working;
}

/** What PostgreSQL's archiver does: one ready file after the other, each marked when it was answered. */
async function archiveReady(instance: StandInstance, journal: Journal): Promise<void> {
  const wal = join(instance.pgdata, 'pg_wal');
  for (const name of await ready(instance)) {
    await archiveFile(instance.pluginsFolder, instance.cluster, join(wal, name));
    await rename(join(wal, 'archive_status', `${name}.ready`), join(wal, 'archive_status', `${name}.done`));
    journal.note(name);
  }
}

async function ready(instance: StandInstance): Promise<string[]> {
  return readyNames(await readdir(join(instance.pgdata, 'pg_wal', 'archive_status')));
}

type Journal = {
  answered: ReadonlySet<string>;
  note(name: string): void;
  /** Settles after so many more answers. */
  answers(count: number): Promise<void>;
  /** Compares all that is stored with what PostgreSQL wrote, and with what was answered. */
  check(when: string): Promise<void>;
};

function createJournal(instance: StandInstance, stored: StoredWal): Journal {
  const answered = new Set<string>();
  const compared = new Map<string, string>();
  let awaited: { size: number; reached: () => void } | undefined;
  return {
    answered,
    note(name) {
      answered.add(name);
      if (answered.size === awaited?.size) awaited.reached();
    },
    answers: (count) =>
      new Promise((reached) => {
        awaited = { size: answered.size + count, reached };
      }),
    async check(when) {
      const objects = await stored.list();
      for (const object of objects) {
        if (compared.get(object.key) === object.version) continue;
        const content = await stored.read(object);
        const original = await readFile(join(instance.pgdata, 'pg_wal', object.name));
        assert.ok(content.equals(original), `${when}: ${object.key} is what PostgreSQL wrote`);
        compared.set(object.key, object.version);
      }
      const names = objects.map(({ name }) => name);
      assert.equal(new Set(names).size, names.length, `${when}: each segment is stored once`);
      for (const name of answered) assert.ok(names.includes(name), `${when}: ${name} was answered and is stored`);
    },
  };
}

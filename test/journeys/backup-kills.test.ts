// kill -9 of the sidecar at every kind of moment of a backup. What the catalog lists as finished can always be restored; what
// died is never listed; the next backup works.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Seen } from '../servers/fault-proxy.ts';
import type { StandInstance } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { startIdleInstance } from './idle-instance.ts';
import { type ProxiedStand, startProxiedStand } from './proxied-stand.ts';
import { seededRandom } from './random.ts';
import { faultAt, goOn, MOMENTS, type Moment, standStillAt } from './stand-still.ts';
import { type Content, openStoredBackups, type StoredBackups } from './stored-backups.ts';

const ALL = process.env.CELLAR_ALL === '1';
const KILLS = ALL ? 50 : 5;
const SEED = 5;
const ROWS = ALL ? 200_000 : 20_000;

/** Which request of a kind, and where in it. */
type Point = { kind: keyof typeof KINDS; number: number; moment: Moment };

/** Between two writes all moments are the same to the store. The archiver writes elsewhere. */
const KINDS = {
  write: ({ method, path }: Seen) => method !== 'GET' && method !== 'HEAD' && path.includes('/base/'),
  'last word': ({ method, path }: Seen) => method === 'PUT' && path.endsWith('/backup.info'),
} as const;

test(`after each of ${KILLS} kills of a sidecar that takes a backup every listed backup restores, and the next one works`, {
  timeout: ALL ? 3_600_000 : 600_000,
}, async (t) => {
  const stand = await startProxiedStand();
  t.after(() => stand.cleanup.run());
  // Not packed: an upload of many parts.
  await stand.configure({ data: { immediateCheckpoint: true } });
  const instance = await startIdleInstance(stand, ROWS);
  const stored = openStoredBackups(stand);

  const writes = await countWrites(stand, instance);
  const ledger = await createListedBackups(stored);
  assert.equal(ledger.size(), 1);
  const points = choosePoints(writes);
  t.diagnostic(`a backup writes ${writes} times; killed at ${points.map(words).join(', ')}`);
  for (const point of points) {
    await killAt(stand, instance, point);
    await ledger.check(`killed at ${words(point)}`);
  }
  assert.equal(ledger.size(), 2, 'the backup whose last answer was lost is whole, and no other one that was killed');

  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  await ledger.check('the end');
  assert.equal((await stored.list()).find(({ id }) => id === backupId)?.state, 'done');
  await sidecar.stop();
});

/** Takes a backup that nobody disturbs; how often it wrote. */
async function countWrites(stand: ProxiedStand, instance: StandInstance): Promise<number> {
  const sidecar = await instance.startSidecar();
  await askBackup(instance);
  await sidecar.stop();
  return stand.proxy.seen.filter(KINDS.write).length;
}

/** Around the last word it is decided whether the backup is there; the others are drawn. */
function choosePoints(writes: number): Point[] {
  const random = seededRandom(SEED);
  const points: Point[] = MOMENTS.map((moment) => ({ kind: 'last word', number: 1, moment }));
  while (points.length < KILLS) {
    points.push({ kind: 'write', number: random.integer(1, writes - 1), moment: random.pick(MOMENTS) });
  }
  return points;
}

async function killAt({ proxy }: ProxiedStand, instance: StandInstance, point: Point): Promise<void> {
  const sidecar = await instance.startSidecar();
  const reached = standStillAt(proxy, {
    counts: KINDS[point.kind],
    number: point.number,
    how: (seen) => faultAt(point.moment, seen),
  });
  const asked = askBackup(instance).then(
    () => assert.fail(`the backup has ended before ${words(point)}`),
    (error: unknown) => error,
  );
  const early = await Promise.race([reached.then(() => undefined), asked]);
  assert.equal(early, undefined, `the backup fails by itself before ${words(point)}: ${early}`);
  await sidecar.stop('SIGKILL');
  await asked;
  goOn(proxy);
}

/** Restores each finished backup once; afterwards its objects must stay as they are. */
async function createListedBackups(stored: StoredBackups) {
  const objectsOf = new Map<string, string>();
  let control: Content | undefined;
  const ledger = {
    size: () => objectsOf.size,
    async check(when: string): Promise<void> {
      const done = (await stored.list()).filter(({ state }) => state === 'done').map(({ id }) => id);
      for (const id of done) {
        const objects = (await stored.objects(id)).map(({ key, etag }) => `${key} ${etag}`).join('\n');
        if (!objectsOf.has(id)) {
          const content = await stored.content(id);
          assert.ok(content.size > 100);
          control ??= content;
          assert.deepEqual(content, control, `${when}: ${id} restores as every other backup does`);
          objectsOf.set(id, objects);
        }
        assert.equal(objects, objectsOf.get(id), `${when}: the objects of ${id}`);
      }
      assert.deepEqual(done, [...objectsOf.keys()].sort(), `${when}: a finished backup stays listed`);
    },
  };
  await ledger.check('before the first kill');
  return ledger;
}

function words({ kind, number, moment }: Point): string {
  return `${kind} ${number}, ${moment}`;
}

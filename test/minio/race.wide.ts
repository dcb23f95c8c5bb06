// Two writers of one name at the same instant: the store's condition decides, and only one of them may believe that its
// file is archived.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { after, before, type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { ConflictError } from '../../api/errors.ts';
import { startMinio, type TestMinio } from '../servers/minio.ts';
import { randomLike } from '../wal-like.ts';
import { BUCKET, beforePuts, openStorage, type WalPlace, walPlace } from '../wal-place.ts';

const ROUNDS = 30;

let minio: TestMinio;
before(async () => {
  minio = await startMinio();
  await minio.createBucket(BUCKET);
});
after(() => minio.stop());

test(`of two contents archived under one name at the same instant exactly one is stored, ${ROUNDS} times`, async (t) => {
  const pairs = createPairs(t, 'other');
  let firstWins = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const contents = [contentOf(round, 'one writer'), contentOf(round, 'another writer')];
    const { outcomes, stored } = await race(await pairs.next(round), round, contents);
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
    const lost = outcomes[1 - won];
    assert.ok(won >= 0, `round ${round}: nobody has won: ${reasonsOf(outcomes)}`);
    assert.ok(lost?.status === 'rejected', `round ${round}: both believe that their file is archived`);
    assert.ok(lost.reason instanceof ConflictError, `round ${round}: ${lost.reason}`);
    for (const content of contents) assert.ok(lost.reason.message.includes(sha256(content)), `${lost.reason}`);
    assert.ok(stored.equals(contents[won] ?? Buffer.alloc(0)), `round ${round}: what is stored is not the winner's`);
    if (won === 0) firstWins += 1;
  }
  t.diagnostic(`won by the one ${firstWins} times, by the other ${ROUNDS - firstWins} times`);
});

test(`one content archived by two writers at the same instant is archived for both, ${ROUNDS} times`, async (t) => {
  const pairs = createPairs(t, 'same');
  for (let round = 0; round < ROUNDS; round += 1) {
    const content = contentOf(round, 'both writers');
    const { outcomes, stored } = await race(await pairs.next(round), round, [content, content]);
    assert.equal(reasonsOf(outcomes), '', `round ${round}`);
    assert.ok(stored.equals(content), `round ${round}`);
  }
});

/** Two archivers that share nothing but the store, and the codec that both are set to. */
type Pair = { writers: WalPlace[]; codec: 'none' | 'gzip'; meet(meeting: Meeting): void };

/** Every other round is run by processes that have just started: whether the store knows conditions, they do not know. */
function createPairs(t: TestContext, server: string) {
  let kept: Pair | undefined;
  return {
    async next(round: number): Promise<Pair> {
      if (kept !== undefined && round % 2 === 1) return kept;
      kept = await createPair(t, server, round % 4 === 0 ? 'none' : 'gzip');
      return kept;
    },
  };
}

async function createPair(t: TestContext, server: string, codec: 'none' | 'gzip'): Promise<Pair> {
  let current = new Meeting();
  const configuration = codec === 'none' ? {} : { wal: { compression: codec } };
  const create = () => {
    const storage = beforePuts(openStorage(t, minio), () => current.arrive());
    return walPlace(t, storage, server, {}, configuration);
  };
  const writers = [await create(), await create()];
  const meet = (meeting: Meeting) => {
    current = meeting;
  };
  return { writers, codec, meet };
}

/** Lets both archive; neither puts before both have looked and found the name free. */
async function race({ writers, codec, meet }: Pair, round: number, contents: Buffer[]) {
  const name = `0000000100000004${round.toString(16).toUpperCase().padStart(8, '0')}`;
  for (const [index, writer] of writers.entries()) await writeFile(writer.pathOf(name), contents[index] ?? '');
  const meeting = new Meeting();
  meet(meeting);
  const outcomes = await Promise.allSettled(
    writers.map((writer) => writer.archive(name).finally(() => meeting.callOff())),
  );
  assert.ok(meeting.arrived >= 2, `round ${round} was no race: ${reasonsOf(outcomes)}`);
  const object = await writers[0]?.stored(`${name.slice(0, 16)}/${name}${codec === 'gzip' ? '.gz' : ''}`);
  assert.ok(object);
  return { outcomes, stored: codec === 'gzip' ? gunzipSync(object) : object };
}

/** Holds back who comes first until the second is there too. */
class Meeting {
  arrived = 0;
  readonly #together = Promise.withResolvers<void>();

  async arrive(): Promise<void> {
    this.arrived += 1;
    if (this.arrived >= 2) this.#together.resolve();
    await this.#together.promise;
  }

  /** Somebody has ended without coming. */
  callOff(): void {
    this.#together.resolve();
  }
}

/** Bytes that follow from round and writer, 16 KiB to 1 MiB of them: the sizes decide who is faster. */
function contentOf(round: number, writer: string): Buffer {
  const seed = `${round} of ${writer}`;
  return randomLike(16_384 + (createHash('sha256').update(seed).digest().readUInt32BE() % (1 << 20)), seed);
}

function reasonsOf(outcomes: PromiseSettledResult<void>[]): string {
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : [])).join('; ');
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

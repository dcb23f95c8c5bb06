// Two writers of one key at the same instant on VersityGW, which keeps the condition of a put with files of its disk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startVersityGw } from '../servers/versitygw.ts';
import { read } from '../store-suite.ts';
import { BUCKET, openStorage } from '../wal-place.ts';

const ROUNDS = 30;

test(`of two contents put at the same instant on condition that there is none exactly one is stored, ${ROUNDS} times`, async (t) => {
  const gateway = await startVersityGw();
  t.after(() => gateway.stop());
  await gateway.createBucket(BUCKET);
  const writers = [openStorage(t, gateway), openStorage(t, gateway)];
  // A condition counts only once the store has proven that it honours it.
  for (const [at, writer] of writers.entries()) await writer.put(`proof/${at}`, Buffer.from('x'), { onlyIf: 'absent' });
  assert.deepEqual(
    writers.map(({ capabilities }) => capabilities.conditionalPut),
    [true, true],
  );
  for (let round = 0; round < ROUNDS; round += 1) {
    const key = `race/${round}`;
    const contents = writers.map((_, at) => Buffer.alloc(100_000, `${round} by ${at} `));
    const outcomes = await Promise.allSettled(
      writers.map((writer, at) => writer.put(key, contents[at] ?? Buffer.alloc(0), { onlyIf: 'absent' })),
    );
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
    const lost = outcomes[1 - won];
    assert.ok(won >= 0, `round ${round}: nobody has won`);
    assert.ok(lost?.status === 'rejected', `round ${round}: both believe that their content is stored`);
    assert.equal(lost.reason.failure, 'conflict', `round ${round}: ${lost.reason}`);
    const [storage = assert.fail()] = writers;
    assert.ok((await read(storage, key)).bytes.equals(contents[won] ?? Buffer.alloc(0)), `round ${round}`);
  }
});

import assert from 'node:assert/strict';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PreconditionError } from '../../../api/errors.ts';
import { assertSpace } from './space.ts';

const PATH = join(tmpdir(), 'not/there/yet');

test('what fits is let through, and so is what nobody knows the size of', async () => {
  await assertSpace([tree(1)], undefined);
  await assertSpace([tree(1), tree(1)], 1);
});

test('packed tars larger than the room are refused, two trees on one volume together', async () => {
  const { bavail, bsize } = await statfs(tmpdir());
  const half = Math.ceil(bavail * bsize * 0.6);
  await assertSpace([tree(half)], undefined);
  const refused = (error: unknown) =>
    error instanceof PreconditionError &&
    /room for PGDATA and PGDATA: \d+ MiB are free, the backup needs \d+ MiB/.test(error.message);
  await assert.rejects(assertSpace([tree(half), tree(half)], undefined), refused);
});

test('a cluster that was larger than the room of all volumes is refused', async () => {
  await assert.rejects(assertSpace([tree(1)], 2 ** 60), PreconditionError);
  const { bavail, bsize } = await statfs(tmpdir());
  // Its size counted temporary files, which are not in the backup.
  await assertSpace([tree(1)], bavail * bsize * 1.1);
  await assert.rejects(assertSpace([tree(1)], bavail * bsize * 1.5), PreconditionError);
});

function tree(leastBytes: number) {
  return { path: PATH, purpose: 'PGDATA', leastBytes };
}

// Sparse files in a data folder.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addSparse, removeSparse } from './sparse.ts';

test('a large size takes segments of 1 GiB and no space, and goes without taking anything else along', async (t) => {
  const pgdata = await mkdtemp(join(tmpdir(), 'cellar-sparse-'));
  t.after(() => rm(pgdata, { recursive: true, force: true }));
  const database = join(pgdata, 'base', '5');
  await mkdir(database, { recursive: true });
  await writeFile(join(database, '2619'), 'a relation');
  await addSparse(pgdata, 2500);
  const sizes = await Promise.all(
    ['4100000000', '4100000000.1', '4100000000.2'].map((name) => stat(join(database, name))),
  );
  assert.deepEqual(
    sizes.map(({ size }) => size / 1024 / 1024),
    [1024, 1024, 452],
  );
  assert.ok(sizes.every(({ blocks }) => blocks < 16));
  await removeSparse(pgdata);
  assert.deepEqual(await readdir(database), ['2619']);
});

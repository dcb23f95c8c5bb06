// The matrix: what barman wrote restores with us, what we wrote restores with barman, and either replays to a target.
// The short form has every codec and layout in each direction; `npm run interop -- --all` has every cell.
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { findPostgres, type PostgresMajor } from '../postgres.ts';
import { startS3, type TestS3 } from '../servers/s3rver.ts';
import { type Account, makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { BUCKET, openStorage } from '../wal-place.ts';
import { titleOf } from './matrix/cells.ts';
import { OLD_BARMAN, planHere } from './matrix/here.ts';
import { makeTemplate } from './matrix/origin.ts';
import { type House, runCell } from './matrix/run-cell.ts';

const { cells } = planHere();

let folder: string;
let account: Account;
let s3: TestS3;
let storage: ObjectStorage;
const houses = new Map<PostgresMajor, House>();

before(async () => {
  folder = await makeShortFolder('cellar-mx-');
  account = unprivilegedAccount();
  await account.own(folder);
  await mkdir(join(folder, 's3'));
  s3 = await startS3({ parent: join(folder, 's3') });
  await s3.createBucket(BUCKET);
  storage = openStorage({ after: () => {} }, s3);
  for (const major of new Set(cells.map((cell) => cell.major))) {
    const programs = await findPostgres(account, folder, major);
    const template = await makeTemplate({ programs, account, folder });
    houses.set(major, { folder, account, programs, template, storage, store: s3, oldBarman: OLD_BARMAN });
  }
});
after(async () => {
  storage?.close();
  await s3?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the matrix', { concurrency: 2 }, () => {
  for (const cell of cells) {
    test(titleOf(cell), async () => {
      const house = houses.get(cell.major);
      assert.ok(house);
      await runCell(house, cell);
    });
  }
});

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CorruptError, PreconditionError, StoreError } from '../../api/errors.ts';
import type { WalCompression } from '../../api/objectstore.ts';
import { parseWalName } from '../../api/wal-name.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { fetchWal } from './fetch.ts';

const X = '0000000100000004000000A7';
const FOLDER = 'backups/pg/wals/0000000100000004/';
const full = Buffer.alloc(1 << 20, 'full');
const partial = Buffer.alloc(1 << 20, 'part');
const folder = mkdtempSync(join(tmpdir(), 'cellar-fetch-'));
const destination = join(folder, 'RECOVERYXLOG');
after(() => rmSync(folder, { recursive: true, force: true }));

let storage: FakeStorage;
beforeEach(() => {
  storage = new FakeStorage();
  rmSync(destination, { force: true });
});

// The right column of object-store-layout.md §3.1.
for (const [title, objects, served] of [
  ['X alone serves X', { [X]: full }, full],
  ['X and X.gz serve one of them', { [X]: full, [`${X}.gz`]: gzipSync(full) }, full],
  ['X beats X.partial', { [X]: full, [`${X}.partial`]: partial }, full],
  ['X.gz beats X.partial', { [`${X}.gz`]: gzipSync(full), [`${X}.partial`]: partial }, full],
  ['X alone beats X.partial.gz', { [X]: full, [`${X}.partial.gz`]: gzipSync(partial) }, full],
  ['only X.partial serves the partial', { [`${X}.partial`]: partial }, partial],
  ['only X.partial.gz serves the partial', { [`${X}.partial.gz`]: gzipSync(partial) }, partial],
  ['X beside a packed backup label serves X', { [X]: full, [`${X}.00000028.backup.gz`]: gzipSync('label') }, full],
  [
    'X.gz beside a packed backup label',
    { [`${X}.gz`]: gzipSync(full), [`${X}.00000028.backup.gz`]: gzipSync('label') },
    full,
  ],
  ['X.gz that does not decode gives way to X.zst or X', { [X]: full, [`${X}.gz`]: Buffer.from('no gzip') }, full],
  ['an empty X gives way to X.gz', { [X]: Buffer.alloc(0), [`${X}.gz`]: gzipSync(full) }, full],
] as const) {
  test(title, async () => {
    for (const [name, bytes] of Object.entries(objects)) storage.plant(FOLDER + name, bytes);
    assert.equal(await fetchX(), true);
    assertContent(served);
    assert.deepEqual(readdirSync(folder), ['RECOVERYXLOG']);
  });
}

test('a backup label is served raw and packed, a history file packed', async () => {
  const label = `${X}.00000028.backup`;
  storage.plant(`${FOLDER}${label}.gz`, gzipSync('label'));
  storage.plant('backups/pg/wals/00000002.history.gz', gzipSync('1\t0/3000000\treason\n'));
  for (const [name, text] of [
    [label, 'label'],
    ['00000002.history', '1\t0/3000000\treason\n'],
  ] as const) {
    assert.equal(await fetchX({ name }), true);
    assert.equal(readFileSync(destination, 'utf8'), text);
  }
});

test('partial files are left out when they are not wanted', async () => {
  storage.plant(`${FOLDER}${X}.partial`, partial);
  assert.equal(await fetchX({ partial: false }), false);
  assert.equal(existsSync(destination), false);
});

test('the configured codec is asked first, then raw, and one look and one get are all it takes', async () => {
  storage.plant(FOLDER + X, full);
  storage.plant(`${FOLDER}${X}.gz`, gzipSync(full));
  await fetchX({ compression: 'gzip' });
  assert.deepEqual(storage.requests, [`list ${FOLDER}${X}`, `get ${FOLDER}${X}.gz`]);
  storage.requests.length = 0;
  await fetchX({ compression: 'zstd' });
  assert.deepEqual(storage.requests, [`list ${FOLDER}${X}`, `get ${FOLDER}${X}`]);
});

test('a miss is told from trouble and costs one request', async () => {
  assert.equal(await fetchX(), false);
  assert.equal(storage.requests.length, 1);
});

test('a file that has gone since the look is absent', async () => {
  storage.plant(FOLDER + X, full);
  storage.before = (verb) => {
    if (verb === 'get') storage.objects.clear();
  };
  assert.equal(await fetchX(), false);
});

test('trouble is an error, never an absence, and leaves no file', async () => {
  for (const [verb, failure] of [
    ['list', 'broken'],
    ['list', 'misconfigured'],
    ['get', 'refused'],
  ] as const) {
    storage.plant(FOLDER + X, full);
    storage.fail(verb, failure);
    await assert.rejects(fetchX(), StoreError);
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('when nothing decodes the error says so, the destination is untouched, and a partial does not stand in', async () => {
  storage.plant(`${FOLDER}${X}.gz`, gzipSync(full).subarray(0, -10));
  storage.plant(`${FOLDER}${X}.partial`, partial);
  await assert.rejects(fetchX(), (error) => {
    assert.ok(error instanceof CorruptError);
    assert.ok(error.message.includes(`${FOLDER}${X}.gz`));
    return true;
  });
  assert.deepEqual(readdirSync(folder), []);
});

test('a segment of a size that no segment has is not delivered, a partial may have any', async () => {
  storage.plant(FOLDER + X, full.subarray(1));
  await assert.rejects(fetchX(), /1048575 bytes are no segment/);
  assert.equal(existsSync(destination), false);
  storage.objects.clear();
  storage.plant(`${FOLDER}${X}.partial`, 'short');
  assert.equal(await fetchX(), true);
});

test('a content that is not the one archived is not delivered', async () => {
  storage.plant(FOLDER + X, full, { metadata: { 'cellar-sha256': '0'.repeat(64) } });
  await assert.rejects(fetchX(), /when it was archived it was 0000/);
  assert.equal(existsSync(destination), false);
});

test('a codec that this version lacks is named when there is no other form', async () => {
  storage.plant(`${FOLDER}${X}.xz`, 'whatever');
  await assert.rejects(fetchX(), (error) => error instanceof PreconditionError || error instanceof CorruptError);
  storage.plant(FOLDER + X, full);
  assert.equal(await fetchX({ compression: 'xz' }), true);
});

async function fetchX(options: { name?: string; partial?: boolean; compression?: WalCompression } = {}) {
  const { name = X, compression, ...rest } = options;
  const parsed = parseWalName(name);
  assert.ok(parsed);
  const archive = fakeArchive(storage, compression === undefined ? {} : { wal: { compression } });
  const fetched = await fetchWal(archive, parsed, destination, { signal: new AbortController().signal, ...rest });
  return fetched !== undefined;
}

/** Equality alone: the difference of two mebibytes would take minutes to print. */
function assertContent(expected: Buffer): void {
  assert.ok(readFileSync(destination).equals(expected), 'the file has another content');
}

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import type { Archive } from '../store/archive.ts';
import { Prefetch } from './prefetch.ts';

const MIB = 1 << 20;
const signal = new AbortController().signal;
let folder: string;
let destination: string;
let storage: FakeStorage;
let archive: Archive;
let prefetch: Prefetch;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cellar-prefetch-'));
  destination = join(folder, 'RECOVERYXLOG');
  storage = new FakeStorage();
  archive = fakeArchive(storage);
  prefetch = new Prefetch(join(folder, 'ahead'), silentLog());
});
afterEach(async () => {
  storage.before = undefined;
  await prefetch.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('the window behind a served segment is filled, as wide as told and no wider', async () => {
  plant(1, 9);
  prefetch.follow(archive, segment(1), MIB, 3);
  await taken(2);
  await filled(2);
  assert.deepEqual(files(), [segment(3), segment(4)]);
  assert.deepEqual(requestsFor('get'), [segment(2), segment(3), segment(4)]);
});

test('it keeps filling: each request served from it brings one more segment', async () => {
  plant(1, 9);
  prefetch.follow(archive, segment(1), MIB, 2);
  for (const number of [2, 3, 4, 5]) {
    await taken(number);
    prefetch.follow(archive, segment(number), MIB, 2);
  }
  await filled(2);
  assert.deepEqual(files(), [segment(6), segment(7)]);
  assert.deepEqual(requestsFor('get'), [2, 3, 4, 5, 6, 7].map(segment));
});

test('names follow the size of the segments: 1 MiB has 4096 to a log, 64 MiB has 64', async () => {
  for (const [sizeBytes, last, next] of [
    [MIB, '000000010000000000000FFF', '000000010000000100000000'],
    [64 * MIB, '00000001000000000000003F', '000000010000000100000000'],
    [16 * MIB, '00000001000000000000003F', '000000010000000000000040'],
  ] as const) {
    storage.requests.length = 0;
    prefetch.follow(archive, last, sizeBytes, 1);
    await requested(1);
    assert.deepEqual(requestsFor('list'), [next]);
  }
});

test('a missing successor costs one look, whatever the width, and is looked for anew after the next segment', async () => {
  plant(1, 1);
  prefetch.follow(archive, segment(1), MIB, 8);
  await requested(1);
  assert.equal(await take(2), undefined);
  assert.deepEqual(storage.requests.length, 1);
  plant(2, 4);
  prefetch.follow(archive, segment(2), MIB, 8);
  await taken(3);
  await taken(4);
});

test('a request for a segment on its way waits for it and does not fetch it again', async () => {
  plant(1, 3);
  const gate = Promise.withResolvers<void>();
  storage.before = async (verb) => {
    if (verb === 'get') await gate.promise;
  };
  prefetch.follow(archive, segment(1), MIB, 1);
  await requested(2);
  const joined = take(2);
  gate.resolve();
  assert.equal(await joined, MIB);
  assertServed(2);
  assert.deepEqual(requestsFor('get'), [segment(2)]);
});

test('a caller that leaves while it waits gets its own reason, and the segment stays', async () => {
  plant(1, 3);
  const gate = Promise.withResolvers<void>();
  storage.before = async (verb) => {
    if (verb === 'get') await gate.promise;
  };
  prefetch.follow(archive, segment(1), MIB, 1);
  await requested(2);
  const caller = new AbortController();
  const joined = prefetch.take(archive, segment(2), destination, caller.signal);
  caller.abort(new Error('gone'));
  await assert.rejects(joined, /gone/);
  gate.resolve();
  await taken(2);
});

test('trouble ahead reaches nobody: the request is told to fetch for itself', async () => {
  plant(1, 4);
  storage.fail('list', 'broken');
  prefetch.follow(archive, segment(1), MIB, 2);
  await requested(1);
  assert.equal(await take(2), undefined);
  prefetch.follow(archive, segment(2), MIB, 2);
  storage.fail('get', 'refused');
  await until(() => requestsFor('list').includes(segment(4)));
  assert.equal(await take(3), undefined);
  await taken(4);
  assert.equal(existsSync(destination), true);
});

test('an object that is no segment is not handed out', async () => {
  plant(1, 1);
  storage.plant(key(2), 'cut');
  prefetch.follow(archive, segment(1), MIB, 1);
  assert.equal(await take(2), undefined);
  assert.equal(existsSync(destination), false);
});

test('partial files are not fetched ahead: the full one may come', async () => {
  storage.plant(`${key(2)}.partial`, content(2));
  prefetch.follow(archive, segment(1), MIB, 1);
  assert.equal(await take(2), undefined);
  assert.deepEqual(requestsFor('get'), []);
});

test('a request for the segment served last keeps the window', async () => {
  plant(1, 3);
  prefetch.follow(archive, segment(1), MIB, 2);
  await filled(2);
  assert.equal(await take(1), undefined);
  prefetch.follow(archive, segment(1), MIB, 2);
  await taken(2);
  assert.deepEqual(requestsFor('get'), [segment(2), segment(3)]);
});

for (const [title, ask] of [
  ['another timeline', () => prefetch.take(archive, `00000002${segment(2).slice(8)}`, destination, signal)],
  ['a jump', () => take(7)],
  ['another server', () => prefetch.take(place({ serverName: 'other' }), segment(2), destination, signal)],
  ['another store', () => prefetch.take(place({ objectStore: 'other' }), segment(2), destination, signal)],
  [
    'another destination of the store',
    () =>
      prefetch.take(fakeArchive(storage, { destinationPath: 's3://other/backups' }), segment(2), destination, signal),
  ],
] as const) {
  test(`a request for ${title} drops the window and its files`, async () => {
    plant(1, 4);
    prefetch.follow(archive, segment(1), MIB, 2);
    await filled(2);
    assert.equal(await ask(), undefined);
    assert.equal(existsSync(destination), false);
    assert.equal(await take(2), undefined);
    await prefetch.stop();
    assert.deepEqual(files(), []);
  });
}

test('a jump aborts what is on its way and starts behind the new place, never both on the disk', async () => {
  plant(1, 9);
  const held = Promise.withResolvers<void>();
  storage.before = async (verb, name) => {
    if (verb === 'get' && !name.endsWith(segment(7))) await held.promise;
  };
  prefetch.follow(archive, segment(1), MIB, 2);
  await requested(4);
  assert.equal(await take(6), undefined);
  prefetch.follow(archive, segment(6), MIB, 1);
  assert.deepEqual(requestsFor('list'), [segment(2), segment(3)]);
  held.resolve();
  await taken(7);
  assert.deepEqual(files(), []);
});

test('what an earlier process has left is removed before anything is fetched', async () => {
  const old = join(folder, 'ahead', 'minio-0', segment(2));
  mkdirSync(dirname(old), { recursive: true });
  writeFileSync(old, 'poison');
  plant(1, 2);
  prefetch.follow(archive, segment(1), MIB, 1);
  await taken(2);
  assert.equal(existsSync(old), false);
  await prefetch.empty();
});

test('a file that somebody else has put in place of ours is never handed out', async () => {
  for (const poison of [
    (path: string) => {
      writeFileSync(path, Buffer.alloc(MIB, 'poison'));
      // Where the clock of the file system is coarse, the two writes may fall into one tick.
      utimesSync(path, 1, 1);
    },
    (path: string) => truncateSync(path, MIB / 2),
    (path: string) => rmSync(path),
    (path: string) => {
      writeFileSync(`${path}.new`, Buffer.alloc(MIB, 'poison'));
      renameSync(`${path}.new`, path);
    },
  ]) {
    plant(1, 2);
    prefetch.follow(archive, segment(1), MIB, 1);
    await filled(1);
    const path = pathOf(segment(2));
    poison(path);
    assert.equal(await take(2), undefined);
    assert.equal(existsSync(destination), false);
    assert.equal(existsSync(path), false);
  }
});

test('a foreign or half file beside ours is not known and not handed out', async () => {
  plant(1, 2);
  prefetch.follow(archive, segment(1), MIB, 3);
  await filled(1);
  const beside = dirname(pathOf(segment(2)));
  writeFileSync(join(beside, segment(3)), Buffer.alloc(MIB, 'poison'));
  writeFileSync(join(beside, `.${segment(4)}.abc.tmp`), 'half');
  assert.equal(await take(3), undefined);
  assert.equal(await take(4), undefined);
  assert.equal(existsSync(destination), false);
});

test('a destination on another file system gets a whole copy', { skip: !existsSync('/dev/shm') }, async (t) => {
  const elsewhere = mkdtempSync('/dev/shm/cellar-prefetch-');
  t.after(() => rmSync(elsewhere, { recursive: true }));
  destination = join(elsewhere, 'RECOVERYXLOG');
  plant(1, 2);
  prefetch.follow(archive, segment(1), MIB, 1);
  await taken(2);
  assert.deepEqual(readdirSync(elsewhere), ['RECOVERYXLOG']);
  assert.deepEqual(files(), []);
});

test('stop aborts what runs, leaves no file, and nothing starts any more', async () => {
  plant(1, 9);
  const caught = Promise.withResolvers<void>();
  storage.before = async (verb) => {
    if (verb === 'get') await caught.promise;
  };
  prefetch.follow(archive, segment(1), MIB, 3);
  await requested(4);
  const stopped = prefetch.stop();
  caught.resolve();
  await stopped;
  assert.deepEqual(files(), []);
  const count = storage.requests.length;
  prefetch.follow(archive, segment(5), MIB, 3);
  assert.equal(await take(6), undefined);
  assert.equal(storage.requests.length, count);
});

function segment(number: number): string {
  return `0000000100000004${number.toString(16).toUpperCase().padStart(8, '0')}`;
}

function key(number: number): string {
  return `backups/pg/wals/0000000100000004/${segment(number)}`;
}

function content(number: number): Buffer {
  return Buffer.alloc(MIB, `content of ${number};`);
}

function plant(first: number, last: number): void {
  for (let number = first; number <= last; number += 1) storage.plant(key(number), content(number));
}

function place(changes: { objectStore?: string; serverName?: string }): Archive {
  return fakeArchive(storage, {}, { objectStore: 'minio', serverName: 'pg', ...changes });
}

function take(number: number): Promise<number | undefined> {
  return prefetch.take(archive, segment(number), destination, signal);
}

/** Takes a segment that must come from the window, whole. */
async function taken(number: number): Promise<void> {
  assert.equal(await take(number), MIB, `segment ${number} is not in the window`);
  assertServed(number);
}

function assertServed(number: number): void {
  assert.ok(readFileSync(destination).equals(content(number)), `not the content of segment ${number}`);
}

/** Waits until so many finished files lie in the folder. */
async function filled(count: number): Promise<void> {
  await until(() => files().length === count && files().every((name) => !name.startsWith('.')));
}

async function requested(count: number): Promise<void> {
  await until(() => storage.requests.length >= count);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Names asked for, sorted: downloads run side by side. */
function requestsFor(verb: 'list' | 'get'): string[] {
  const lines = storage.requests.filter((line) => line.startsWith(verb));
  return lines.map((line) => line.slice(line.lastIndexOf('/') + 1)).sort();
}

/** All files in the folder, wherever below it. */
function files(): string[] {
  if (!existsSync(join(folder, 'ahead'))) return [];
  const entries = readdirSync(join(folder, 'ahead'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
}

function pathOf(name: string): string {
  const entries = readdirSync(join(folder, 'ahead'), { recursive: true, withFileTypes: true });
  const found = entries.find((entry) => entry.name === name);
  assert.ok(found, `${name} is not in the folder`);
  return join(found.parentPath, name);
}

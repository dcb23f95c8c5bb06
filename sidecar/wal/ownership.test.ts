import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ConflictError, PreconditionError, StoreError } from '../../api/errors.ts';
import { createLog, silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { Ownership } from './ownership.ts';
import { systemIdOfHeader } from './system-identifier.ts';

const OURS = 7_710_894_972_835_218_202n;
const THEIRS = 7_710_894_972_835_218_203n;
const SIGNAL = AbortSignal.timeout(60_000);
const WALS = 'backups/pg/wals';
const folder = mkdtempSync(join(tmpdir(), 'cellar-ownership-'));
const control = join(folder, 'global', 'pg_control');
after(() => rmSync(folder, { recursive: true, force: true }));

let storage: FakeStorage;
beforeEach(() => {
  storage = new FakeStorage();
  mkdirSync(join(folder, 'global'), { recursive: true });
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(OURS);
  writeFileSync(control, bytes);
});

test('the newest segment decides, whatever it is packed with; other files do not', async () => {
  for (const [suffix, pack] of [
    ['', (bytes: Buffer) => bytes],
    ['.gz', (bytes: Buffer) => gzipSync(bytes)],
    ['.zst', (bytes: Buffer) => zstdCompressSync(bytes)],
  ] as const) {
    storage = new FakeStorage();
    storage.plant(`${WALS}/0000000100000009/000000010000000900000001${suffix}`, pack(segment(THEIRS)));
    storage.plant(`${WALS}/0000000200000001/000000020000000100000001${suffix}`, pack(segment(OURS)));
    storage.plant(`${WALS}/0000000200000001/000000020000000100000001.00000028.backup${suffix}`, pack(segment(THEIRS)));
    await verify();
    storage.plant(`${WALS}/0000000200000001/000000020000000100000002${suffix}`, pack(segment(THEIRS)));
    await assert.rejects(verify(), both, suffix);
  }
});

test('without a readable segment the newest backup decides; without either the archive is free', async () => {
  await verify();
  storage.plant(`${WALS}/0000000100000001/000000010000000100000001.gz`, 'not gzip');
  storage.plant(`${WALS}/0000000100000001/000000010000000100000002.bz2`, 'of a codec that is not there');
  await verify();
  storage.plant('backups/pg/base/20260101T000000/backup.info', `status=DONE\nsystemid=${THEIRS}\n`);
  await assert.rejects(verify(), both);
  storage.plant('backups/pg/base/20260201T000000/backup.info', `status=DONE\nsystemid=${OURS}\n`);
  await verify();
});

test('trouble of the store or with our own control file is no permission, and is asked again', async () => {
  storage.plant(`${WALS}/0000000100000001/000000010000000100000001`, segment(OURS));
  const subject = new Ownership(folder, silentLog());
  const archive = fakeArchive(storage);
  for (const verb of ['list', 'get'] as const) {
    storage.fail(verb, 'refused');
    await assert.rejects(subject.verify(archive, SIGNAL, tell), StoreError, verb);
  }
  rmSync(control);
  await assert.rejects(subject.verify(archive, SIGNAL, tell), PreconditionError);
});

test('is looked at once, but a conflict each time, told each time and logged once', async () => {
  told.length = 0;
  const key = `${WALS}/0000000100000001/000000010000000100000001`;
  storage.plant(key, segment(THEIRS));
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const subject = new Ownership(folder, log);
  const archive = fakeArchive(storage);
  for (let count = 0; count < 2; count += 1) await assert.rejects(subject.verify(archive, SIGNAL, tell), both);
  const events = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'OwnershipConflict');
  assert.deepEqual(
    events.map((line) => [line.ours, line.stored]),
    [[String(OURS), String(THEIRS)]],
  );
  assert.equal(told.length, 2);
  storage.plant(key, segment(OURS));
  await subject.verify(archive, SIGNAL, tell);
  storage.requests.length = 0;
  await subject.verify(archive, SIGNAL, tell);
  assert.deepEqual(storage.requests, []);
});

test('what does not begin like a segment has no identifier', () => {
  assert.equal(systemIdOfHeader(segment(OURS)), OURS);
  for (const bytes of [Buffer.alloc(64), segment(OURS).subarray(0, 39), Buffer.from('text '.repeat(20))]) {
    assert.equal(systemIdOfHeader(bytes), undefined);
  }
});

const told: string[] = [];

function tell(message: string): void {
  told.push(message);
}

async function verify(): Promise<void> {
  await new Ownership(folder, silentLog()).verify(fakeArchive(storage), SIGNAL, tell);
}

function both(error: unknown): boolean {
  return error instanceof ConflictError && [OURS, THEIRS].every((id) => error.message.includes(String(id)));
}

function segment(systemId: bigint): Buffer {
  const bytes = Buffer.alloc(200_000, 'content');
  bytes.writeUInt16LE(0xd118, 0);
  bytes.writeUInt16LE(0x0002, 2);
  bytes.writeBigUInt64LE(systemId, 24);
  bytes.writeUInt32LE(16 * 1024 * 1024, 32);
  return bytes;
}

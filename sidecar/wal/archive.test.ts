import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, beforeEach, test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { ConflictError, CorruptError, InvalidInputError, PreconditionError, StoreError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { EMPTY_ARCHIVE_MARKER, PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { createLog, silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { codecByName } from '../stream/codec.ts';
import { compress } from '../stream/whole.ts';
import type { Events } from '../telemetry/events.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { type ArchiveRequest, createWalArchiver, type WalArchiverDeps } from './archive.ts';
import { DEFAULT_PATIENCE, type Patience } from './persist.ts';
import { createWalMetrics } from './wal-metrics.ts';

const X = '0000000100000004000000A7';
const Y = '0000000100000004000000A8';
const KEY = `backups/pg/wals/0000000100000004/${X}`;
const KEY_Y = `backups/pg/wals/0000000100000004/${Y}`;
/** An archive without segments and backups has no owner. */
const OWNER_LOOKS = ['list backups/pg/wals/', 'list backups/pg/base/'];
const content = Buffer.from('a segment, more or less '.repeat(4096));
const folder = mkdtempSync(join(tmpdir(), 'cellar-archive-'));
const pgdata = join(folder, 'pgdata');
const marker = join(pgdata, EMPTY_ARCHIVE_MARKER);
after(() => rmSync(folder, { recursive: true, force: true }));

let storage: FakeStorage;
beforeEach(() => {
  storage = new FakeStorage();
  rmSync(pgdata, { recursive: true, force: true });
  mkdirSync(join(pgdata, 'pg_wal'), { recursive: true });
  for (const name of [X, Y, `${X}.partial`, `${X}.00000028.backup`, '00000002.history']) walFile(name, content);
});

test('stores a file packed, under the layout of barman, with what is needed to compare it later', async () => {
  await archiver({ wal: { compression: 'gzip' } }).archive(request());
  const stored = storage.objects.get(`${KEY}.gz`);
  assert.ok(stored);
  assert.ok(gunzipSync(stored.bytes).equals(content));
  assert.deepEqual(stored.options.metadata, {
    'cellar-sha256': sha256(content),
    'cellar-size': String(content.length),
    'cellar-stored-size': String(stored.bytes.length),
  });
  assert.equal(stored.options.onlyIf, 'absent');
  assert.equal(storage.objects.size, 1);
});

test('stores a file as it is when no compression is set', async () => {
  await archiver().archive(request());
  assert.ok(storage.objects.get(KEY)?.bytes.equals(content));
});

test('costs one look and one put, the first after a start a look at the owner too', async () => {
  const subject = archiver();
  await subject.archive(request());
  assert.deepEqual(storage.requests, [`list ${KEY}`, ...OWNER_LOOKS, `put ${KEY}`]);
  storage.requests.length = 0;
  await subject.archive(request(Y));
  assert.deepEqual(storage.requests, [`list ${KEY_Y}`, `put ${KEY_Y}`]);
});

test('every kind of WAL file has its key', async () => {
  const subject = archiver();
  for (const name of [`${X}.partial`, `${X}.00000028.backup`, '00000002.history']) await subject.archive(request(name));
  assert.deepEqual(
    [...storage.objects.keys()].sort(),
    [`${KEY}.00000028.backup`, `${KEY}.partial`, 'backups/pg/wals/00000002.history'].sort(),
  );
});

test('refuses a name that is not a WAL file before anything is asked', async () => {
  for (const name of [`${X}.gz`, 'README', `${X}.partial.gz`]) {
    await assert.rejects(archiver().archive(request(name)), InvalidInputError);
  }
  assert.deepEqual(storage.requests, []);
});

test('says what to set when the Cluster names no store', async () => {
  const plugins = [{ name: PLUGIN_NAME }];
  await assert.rejects(archiver().archive({ ...request(), cluster: cluster({ plugins }) }), (error) => {
    assert.ok(error instanceof PreconditionError);
    assert.match(error.message, /parameters\.barmanObjectName/);
    return true;
  });
});

test('the same content again is success and writes nothing, whatever it is packed with', async () => {
  await archiver({ wal: { compression: 'gzip' } }).archive(request());
  storage.requests.length = 0;
  await archiver({ wal: { compression: 'gzip' } }).archive(request());
  await archiver().archive(request());
  assert.deepEqual([...storage.objects.keys()], [`${KEY}.gz`]);
  assert.deepEqual(storage.requests, [`list ${KEY}`, `head ${KEY}.gz`, `list ${KEY}`, `head ${KEY}.gz`]);
});

test('an object without a digest, as barman writes it, is compared by its content', async () => {
  storage.plant(`${KEY}.gz`, gzipSync(content));
  await archiver().archive(request());
  assert.deepEqual([...storage.objects.keys()], [`${KEY}.gz`]);
});

test('another content is refused with both digests and nothing is overwritten', async () => {
  const theirs = Buffer.from('another timeline of events');
  for (const [suffix, bytes] of [
    ['', theirs],
    ['.gz', gzipSync(theirs)],
  ] as const) {
    storage.objects.clear();
    storage.plant(KEY + suffix, bytes);
    await assert.rejects(archiver({ wal: { compression: 'gzip' } }).archive(request()), (error) => {
      assert.ok(error instanceof ConflictError);
      for (const fact of [KEY + suffix, sha256(theirs), sha256(content)]) assert.ok(error.message.includes(fact), fact);
      return true;
    });
    assert.deepEqual(
      [...storage.objects.entries()].map(([key, { bytes: kept }]) => [key, kept]),
      [[KEY + suffix, bytes]],
    );
  }
});

test('the refusal names both systems and the way out', async () => {
  walFile(X, segmentOf(7n));
  storage.plant(`${KEY}.gz`, gzipSync(segmentOf(8n)));
  await assert.rejects(archiver().archive(request()), (error) => {
    assert.ok(error instanceof ConflictError);
    for (const fact of ['system identifier 8', 'system identifier 7', `barmancloud.cnpg.io/allowWalOverwrite=${X}`]) {
      assert.ok(error.message.includes(fact), fact);
    }
    return true;
  });
});

test('the annotation lets one file be replaced, in the form it was stored in and only if it is still that', async () => {
  const theirs = Buffer.from('another timeline of events');
  const annotations = { 'barmancloud.cnpg.io/allowWalOverwrite': X };
  const asked = { ...request(), cluster: cluster({}, annotations) };
  storage.plant(KEY_Y, theirs);
  await assert.rejects(archiver().archive({ ...asked, sourceFile: request(Y).sourceFile }), ConflictError);
  for (const [suffix, stored] of [
    ['', theirs],
    ['.gz', gzipSync(theirs)],
  ] as const) {
    storage = new FakeStorage();
    storage.plant(KEY + suffix, stored);
    const etag = storage.objects.get(KEY + suffix)?.etag;
    await archiver().archive(asked);
    const replaced = storage.objects.get(KEY + suffix);
    assert.ok(replaced);
    assert.ok((suffix === '' ? replaced.bytes : gunzipSync(replaced.bytes)).equals(content));
    assert.deepEqual(replaced.options.onlyIf, { etag });
    assert.equal(storage.objects.size, 1);
    await archiver().archive(request());

    storage.plant(KEY + suffix, stored);
    storage.before = (verb) => {
      if (verb === 'put') storage.plant(KEY + suffix, 'changed meanwhile');
    };
    await assert.rejects(archiver().archive(asked), StoreError);
    assert.equal(String(storage.objects.get(KEY + suffix)?.bytes), 'changed meanwhile');
  }
});

test('another content beside the same one is refused: a restore might pick either', async () => {
  await archiver().archive(request());
  storage.plant(`${KEY}.gz`, gzipSync('something else'));
  await assert.rejects(archiver().archive(request()), ConflictError);
});

test('what an interrupted put of the same content left behind is replaced, if it is still what was seen', async () => {
  for (const compression of ['gzip', undefined] as const) {
    storage = new FakeStorage();
    const configuration = compression === undefined ? {} : { wal: { compression } };
    await archiver(configuration).archive(request());
    const [[key, whole] = ['', undefined]] = [...storage.objects];
    assert.ok(whole);
    storage.plant(key, whole.bytes.subarray(0, -10), whole.options);
    const cutEtag = storage.objects.get(key)?.etag;
    await archiver(configuration).archive(request());
    assert.ok(storage.objects.get(key)?.bytes.equals(whole.bytes));
    assert.deepEqual(storage.objects.get(key)?.options.onlyIf, { etag: cutEtag });
  }
});

test('what is left of an interrupted put is never taken for the content, also beside another codec', async () => {
  await archiver({ wal: { compression: 'gzip' } }).archive(request());
  const whole = storage.objects.get(`${KEY}.gz`);
  assert.ok(whole);
  const cut = whole.bytes.subarray(0, -10);
  storage.plant(`${KEY}.gz`, cut, whole.options);
  const { events, told } = recordedEvents();
  await archiver({}, { events }).archive(request());
  assert.ok(storage.objects.get(KEY)?.bytes.equals(content));
  assert.ok(storage.objects.get(`${KEY}.gz`)?.bytes.equals(cut));
  assert.deepEqual(told, [], 'nothing was overwritten');
});

test('an object that cannot be decoded is replaced after it was read whole, and only as it was seen', async () => {
  for (const bytes of [gzipSync(content).subarray(0, -10), Buffer.from('no gzip at all')]) {
    storage = new FakeStorage();
    storage.plant(`${KEY}.gz`, bytes);
    const etag = storage.objects.get(`${KEY}.gz`)?.etag;
    await archiver({ wal: { compression: 'gzip' } }).archive(request());
    const stored = storage.objects.get(`${KEY}.gz`);
    assert.ok(stored);
    assert.deepEqual(stored.options.onlyIf, { etag });
    assert.ok(gunzipSync(stored.bytes).equals(content));
  }
});

test('an object that cannot be decoded is refused where the store knows no conditions', async () => {
  const cut = gzipSync(content).subarray(0, -10);
  const metadata = { 'cellar-sha256': '0'.repeat(64), 'cellar-size': '9', 'cellar-stored-size': '99' };
  storage = new FakeStorage({ conditionalPut: false });
  for (const options of [{}, { metadata }]) {
    storage.plant(`${KEY}.gz`, cut, options);
    await assert.rejects(archiver({ wal: { compression: 'gzip' } }).archive(request()), (error) => {
      assert.ok(error instanceof CorruptError);
      assert.match(error.message, /nothing was overwritten/);
      return true;
    });
    assert.ok(storage.objects.get(`${KEY}.gz`)?.bytes.equals(cut));
  }
});

test('an object that decodes at the second look was not broken: it is compared, not replaced', async () => {
  storage.plant(`${KEY}.gz`, gzipSync(content).subarray(0, -10));
  const [get, whole] = [storage.get.bind(storage), gzipSync(content)];
  let looks = 0;
  storage.get = async (...args) => {
    looks += 1;
    const answer = await get(...args);
    if (answer === undefined || looks === 1) return answer;
    return { info: { ...answer.info, sizeBytes: whole.length }, body: Readable.from([whole]) };
  };
  await assert.rejects(archiver({ wal: { compression: 'gzip' } }).archive(request()), CorruptError);
});

test('an object that is replaced while it is looked at is not overwritten', async () => {
  const cut = gzipSync(content).subarray(0, -10);
  storage.plant(`${KEY}.gz`, cut);
  storage.before = (verb) => {
    if (verb === 'put') storage.plant(`${KEY}.gz`, gzipSync('of somebody else'));
  };
  await assert.rejects(archiver({ wal: { compression: 'gzip' } }).archive(request()), ConflictError);
  assert.equal(gunzipSync(storage.objects.get(`${KEY}.gz`)?.bytes ?? '').toString(), 'of somebody else');
});

test('what another reader may decode is never replaced: two frames of zstd, gzip followed by something', async () => {
  for (const [suffix, bytes] of [
    ['.zst', Buffer.concat([zstdCompressSync(content), zstdCompressSync(content)])],
    ['.gz', Buffer.concat([gzipSync(content), Buffer.from('something')])],
  ] as const) {
    storage = new FakeStorage();
    storage.plant(KEY + suffix, bytes);
    await assert.rejects(archiver({ wal: { compression: 'gzip' } }).archive(request()), CorruptError);
    assert.ok(storage.objects.get(KEY + suffix)?.bytes.equals(bytes));
    assert.equal(storage.objects.size, 1);
  }
});

test('what a put that was not confirmed has left does not vouch for itself, now or at the next request', async () => {
  const put = storage.put.bind(storage);
  storage.put = async (key, _body, options = {}) => {
    storage.put = put;
    storage.plant(key, Buffer.alloc(content.length, 'x'), options);
    throw new StoreError({ failure: 'broken', provider: 'fake', operation: 'put', key, reason: 'other bytes arrived' });
  };
  const subject = archiver();
  await assert.rejects(subject.archive(request()), ConflictError);
  await assert.rejects(subject.archive(request()), ConflictError);
  storage.objects.clear();
  await subject.archive(request());
  assert.ok(storage.objects.get(KEY)?.bytes.equals(content));
});

test('a stored partial file does not stand for the segment, nor the reverse', async () => {
  storage.plant(`${KEY}.partial`, 'part of it');
  await archiver().archive(request());
  assert.ok(storage.objects.get(KEY)?.bytes.equals(content));
});

test('trouble while looking is an error, never an absence', async () => {
  for (const [verb, failure] of [
    ['list', 'refused'],
    ['list', 'broken'],
    ['head', 'throttled'],
  ] as const) {
    storage = new FakeStorage();
    storage.plant(KEY, content);
    storage.fail(verb, failure, FOR_GOOD);
    await assert.rejects(archiver().archive(request()), StoreError);
    assert.equal(
      storage.requests.some((line) => line.startsWith('put')),
      false,
    );
  }
});

test('a failed put is an error and leaves the marker', async () => {
  writeFileSync(marker, '');
  storage.fail('put', 'throttled', FOR_GOOD);
  await assert.rejects(archiver().archive(request()), StoreError);
  assert.equal(existsSync(marker), true);
});

test('transient trouble is waited out within the limit, in one piece of work', async () => {
  for (const [verb, failure] of [
    ['list', 'broken'],
    ['put', 'throttled'],
    ['put', 'broken'],
  ] as const) {
    storage = new FakeStorage();
    storage.fail(verb, failure, 3);
    let opened = 0;
    const archives = fakeArchives({ minio: storage }, { wal: { compression: 'gzip' } });
    const open = archives.open.bind(archives);
    archives.open = async (reference) => {
      opened += 1;
      return open(reference);
    };
    await archiver({}, { archives }).archive(request());
    assert.ok(storage.objects.has(`${KEY}.gz`));
    assert.equal(opened, 1);
  }
});

test('trouble that patience does not cure is told at once, by class', async () => {
  for (const failure of ['refused', 'misconfigured'] as const) {
    storage = new FakeStorage();
    storage.fail('put', failure);
    const metrics = new Metrics();
    await assert.rejects(archiver({}, { metrics: createWalMetrics(metrics) }).archive(request()), StoreError);
    assert.equal(storage.requests.filter((line) => line.startsWith('put')).length, 1);
    assert.deepEqual(samplesOf(metrics, 'cellar_wal_archive_failures_total'), [{ labels: [failure], value: 1 }]);
  }
});

test('the error at the limit tells the last failure', async () => {
  storage.fail('put', 'throttled', FOR_GOOD);
  const patience = { ...DEFAULT_PATIENCE, firstWaitMs: 60_000 };
  await assert.rejects(archiver({}, { limitMs: 30, patience }).archive(request()), (error) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.failure, 'throttled');
    return true;
  });
  storage = new FakeStorage();
  const subject = archiver({}, { stopMs: 1, patience: { ...patience, firstWaitMs: 50_000 } });
  storage.before = (verb, key) => {
    if (verb !== 'put') return;
    subject.hurry();
    throw new StoreError({ failure: 'broken', provider: 'fake', operation: verb, key, reason: 'injected failure' });
  };
  const waits = subject.archive(request());
  const alive = setInterval(() => undefined, 1000);
  await assert
    .rejects(waits, /told to stop; the last failure was: .*injected failure/)
    .finally(() => clearInterval(alive));
});

test('counts what was stored and what was there, and how many files wait', async () => {
  readyFiles(X, Y);
  const metrics = new Metrics();
  const subject = archiver({ wal: { compression: 'gzip' } }, { metrics: createWalMetrics(metrics) });
  await subject.archive(request());
  await subject.archive(request());
  const stored = storage.objects.get(`${KEY}.gz`)?.bytes.length;
  for (const [name, value] of [
    ['cellar_wal_archived_files_total', 1],
    ['cellar_wal_already_stored_files_total', 1],
    ['cellar_wal_archived_raw_bytes_total', content.length],
    ['cellar_wal_archived_stored_bytes_total', stored],
    ['cellar_wal_ready_files', 2],
    ['cellar_wal_fast_effort', 0],
  ] as const) {
    assert.deepEqual(samplesOf(metrics, name), [{ labels: [], value }], name);
  }
  const [seconds] = samplesOf(metrics, 'cellar_wal_archive_seconds_total');
  assert.ok((seconds?.value ?? 0) > 0);
  const [lsn] = samplesOf(metrics, 'cellar_wal_last_archived_start_lsn_bytes');
  assert.equal(lsn?.value, 4 * 2 ** 32 + 0xa7 * content.length);
});

test('that archiving fails is told on the Cluster, and that it goes on again; a caller that leaves is no failure', async () => {
  const { events, told } = recordedEvents();
  const subject = archiver({}, { events });
  await assert.rejects(subject.archive({ ...request(), signal: AbortSignal.abort() }));
  storage.fail('put', 'refused');
  await assert.rejects(subject.archive(request()), StoreError);
  await subject.archive(request());
  assert.deepEqual(
    told.map(({ reason }) => reason),
    ['ArchivingFailed', 'ArchivingResumed'],
  );
  assert.match(told[0]?.message ?? '', /^archiving has failed since 20\d\d-[-0-9T:]+Z: .*injected failure/);
});

test('a backlog makes gzip pack fast, an option fixes the level, and it is good again when the backlog is gone', async () => {
  // The byte of the header in which gzip notes its fastest level.
  const isFast = (key: string) => storage.objects.get(key)?.bytes[8] === 4;
  const names = Array.from({ length: 16 }, (_, index) => `00000001000000050000000${index.toString(16).toUpperCase()}`);
  readyFiles(...names);
  const subject = archiver({ wal: { compression: 'gzip' } });
  await subject.archive(request(X));
  assert.ok(isFast(`${KEY}.gz`));
  const fixed = { wal: { compression: 'gzip' as const, archiveAdditionalCommandArgs: ['--compression-level=6'] } };
  await archiver(fixed).archive(request(Y));
  assert.equal(isFast(`${KEY_Y}.gz`), false);
  rmSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  walFile(Y, Buffer.from('another content'));
  storage.objects.clear();
  await subject.archive(request(Y));
  assert.equal(isFast(`${KEY_Y}.gz`), false);
});

test('who loses the race of two writers compares: the same content is success, another is refused', async () => {
  for (const [theirs, ends] of [
    [content, undefined],
    [Buffer.from('another'), ConflictError],
  ] as const) {
    storage = new FakeStorage();
    storage.before = (verb) => {
      if (verb === 'put') storage.plant(KEY, theirs);
    };
    const archiving = archiver().archive(request());
    if (ends === undefined) await archiving;
    else await assert.rejects(archiving, ends);
    assert.ok(storage.objects.get(KEY)?.bytes.equals(theirs));
  }
});

test('a store that confirms another size than was sent has not archived', async () => {
  storage.put = async (key, _body, options = {}) => {
    storage.plant(key, content.subarray(1), options);
    return { key, sizeBytes: content.length - 1, etag: 'e', lastModified: new Date() };
  };
  await assert.rejects(archiver().archive(request()), /were sent but the store holds/);
});

test('the same segment requested twice at a time is stored once and both are answered', async () => {
  const subject = archiver();
  await Promise.all([subject.archive(request()), subject.archive(request())]);
  assert.deepEqual(storage.requests, [`list ${KEY}`, ...OWNER_LOOKS, `put ${KEY}`]);
});

test('tags of history files replace the general ones; an empty list does not', async () => {
  const tags = { team: 'db' };
  const historyTags = { kind: 'history' };
  const history = 'backups/pg/wals/00000002.history';
  const subject = archiver({ tags, historyTags });
  await subject.archive(request());
  await subject.archive(request('00000002.history'));
  assert.deepEqual(storage.objects.get(KEY)?.options.tags, tags);
  assert.deepEqual(storage.objects.get(history)?.options.tags, historyTags);
  storage.objects.clear();
  await archiver({ tags, historyTags: {} }).archive(request('00000002.history'));
  assert.deepEqual(storage.objects.get(history)?.options.tags, tags);
});

test('asks for the encryption of the ObjectStore', async () => {
  await archiver({ wal: { encryption: 'aws:kms' } }).archive(request());
  assert.deepEqual(storage.objects.get(KEY)?.options.encryption, { algorithm: 'aws:kms' });
});

test('additional arguments count where no field does, and those without effect are named once', async () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const archiveAdditionalCommandArgs = [
    ...['--gzip', '--compression-level=low', '--tags', 'team,db', 'env,test', '--history-tag=kind,history'],
    ...['-e', 'aws:kms', '--sse-kms-key-id=key', '--endpoint-url=elsewhere'],
  ];
  const subject = archiver({ wal: { archiveAdditionalCommandArgs } }, { log });
  await subject.archive(request());
  await subject.archive(request('00000002.history'));
  const stored = storage.objects.get(`${KEY}.gz`);
  assert.ok(stored);
  assert.ok(stored.bytes.equals(await compress(codecByName('gzip'), content, { level: 1 })));
  assert.ok(!stored.bytes.equals(await compress(codecByName('gzip'), content)));
  assert.deepEqual(stored.options.tags, { team: 'db', env: 'test' });
  assert.deepEqual(stored.options.encryption, { algorithm: 'aws:kms', kmsKeyId: 'key' });
  assert.deepEqual(storage.objects.get('backups/pg/wals/00000002.history.gz')?.options.tags, { kind: 'history' });
  assert.equal(lines.filter((line) => line.includes('--endpoint-url')).length, 1);
});

test('an argument that cannot be honoured is refused by name before anything is stored', async () => {
  for (const argument of ['--version', '--no-such-option', '--tag=aws:x,1']) {
    const subject = archiver({ wal: { archiveAdditionalCommandArgs: [argument] } });
    await assert.rejects(subject.archive(request()), (error) => {
      assert.ok(error instanceof PreconditionError);
      assert.ok(error.message.includes(argument.split('=')[0] ?? ''), error.message);
      return true;
    });
  }
  assert.deepEqual(storage.requests, []);
});

test('checks for an empty archive as asked: the request decides, then annotation and marker', async () => {
  const skip = { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' };
  for (const [field, annotations, marked, checked] of [
    [true, skip, false, true],
    [false, {}, true, false],
    [undefined, skip, true, false],
    [undefined, {}, true, true],
    [undefined, {}, false, false],
  ] as const) {
    storage = new FakeStorage();
    storage.plant('backups/pg/wals/00000001.history', 'of somebody else');
    rmSync(marker, { force: true });
    if (marked) writeFileSync(marker, '');
    const asked = { ...request(), cluster: cluster({}, annotations), checkEmptyArchive: field };
    const title = JSON.stringify([field, annotations, marked]);
    if (checked) await assert.rejects(archiver().archive(asked), ConflictError, title);
    else await archiver().archive(asked);
    assert.equal(storage.objects.has(KEY), !checked, title);
  }
});

test('writes nothing to the archive of another system, with the check for an empty archive off', async () => {
  systemFiles(7n);
  storage.plant('backups/pg/wals/0000000100000003/0000000100000003000000FF', segmentOf(8n));
  const asked = { ...request(), checkEmptyArchive: false };
  const { events, told } = recordedEvents();
  await assert.rejects(archiver({}, { events }).archive(asked), (error) => {
    assert.ok(error instanceof ConflictError);
    assert.match(error.message, /system identifier 8, this server 7/);
    assert.deepEqual(told[0], { reason: 'OwnershipConflict', message: error.message });
    return true;
  });
  assert.equal(storage.objects.size, 1);
});

test('the marker is gone right after the first confirmed put, so two segments at once pass', async () => {
  writeFileSync(marker, '');
  const subject = archiver();
  await Promise.all([
    subject.archive({ ...request(X), checkEmptyArchive: true }),
    subject.archive({ ...request(Y), checkEmptyArchive: true }),
  ]);
  assert.equal(existsSync(marker), false);
  assert.equal(storage.objects.size, 2);
});

test('a check asked for again after our own first file does not trip over it', async () => {
  const subject = archiver();
  await subject.archive({ ...request(X), checkEmptyArchive: true });
  await subject.archive({ ...request(Y), checkEmptyArchive: true });
  assert.equal(storage.objects.size, 2);
});

test('after a crash between put and answer the check does not trip over the file that is asked for', async () => {
  writeFileSync(marker, '');
  await archiver().archive({ ...request(X), checkEmptyArchive: true });
  writeFileSync(marker, '');
  const restarted = archiver();
  await restarted.archive({ ...request(X), checkEmptyArchive: true });
  assert.equal(existsSync(marker), false);
  await restarted.archive({ ...request(Y), checkEmptyArchive: true });
});

test('a store that stops answering ends in an error after the limit', async () => {
  const put = storage.put.bind(storage);
  storage.put = async (key, body, options = {}) => {
    if (options.signal && !options.signal.aborted) await once(options.signal, 'abort');
    return put(key, body, options);
  };
  await assert.rejects(archiver({}, { limitMs: 5 }).archive(request()), (error) => {
    assert.ok(error instanceof StoreError && error.retriable);
    assert.match(error.message, /no confirmation from the store within 0\.005 s/);
    return true;
  });
});

test('told to stop, it gives what runs a shorter limit', async () => {
  const subject = archiver({}, { stopMs: 5 });
  const put = storage.put.bind(storage);
  storage.put = async (key, body, options = {}) => {
    subject.hurry();
    if (options.signal && !options.signal.aborted) await once(options.signal, 'abort');
    return put(key, body, options);
  };
  // The limit's timer does not keep the process alive; a socket would.
  const alive = setInterval(() => undefined, 1000);
  try {
    await assert.rejects(subject.archive(request()), (error) => {
      assert.ok(error instanceof StoreError && error.retriable);
      assert.match(error.message, /within 0\.005 s after the sidecar was told to stop/);
      return true;
    });
  } finally {
    clearInterval(alive);
  }
});

test('a caller that gives up gets its own reason', async () => {
  const caller = new AbortController();
  storage.before = (verb) => {
    if (verb === 'put') caller.abort(new Error('gone'));
  };
  await assert.rejects(archiver().archive({ ...request(), signal: caller.signal }), /gone/);
  assert.equal(storage.objects.size, 0);
});

test('goes ahead only after the first confirmed put, and a call for what went ahead asks the store nothing', async () => {
  readyFiles(X, Y);
  const subject = archiver({ wal: { maxParallel: 2 } });
  storage.fail('put', 'refused');
  await assert.rejects(subject.archive(request(X)), StoreError);
  assert.equal(storage.requests.filter((line) => line.includes(Y)).length, 0);
  const went = putOf(Y);
  await subject.archive(request(X));
  await went;
  await subject.archive(request(Y));
  const asked = storage.requests.filter((line) => line.includes(Y));
  assert.deepEqual(asked, [`list ${KEY_Y}`, `put ${KEY_Y}`]);
});

test('a request that joins a look-ahead which fails tries for itself', async () => {
  readyFiles(X, Y);
  const subject = archiver({ wal: { maxParallel: 2 } });
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let puts = 0;
  storage.before = async (verb, key) => {
    if (verb !== 'put' || key !== KEY_Y) return;
    puts += 1;
    if (puts > 1) return;
    begin();
    await held;
    throw new StoreError({ failure: 'broken', provider: 'fake', operation: 'put', key, reason: 'reset' });
  };
  await subject.archive(request(X));
  await begun;
  const asking = subject.archive(request(Y));
  await new Promise(setImmediate);
  release();
  await asking;
  assert.equal(puts, 2);
  assert.ok(storage.objects.has(KEY_Y));
});

test('a look-ahead that fails does not fail the request, nor the reverse; after a restart the store decides', async () => {
  readyFiles(X, Y);
  writeFileSync(join(pgdata, 'pg_wal', Y), 'another content');
  storage.plant(KEY_Y, 'of somebody else');
  const subject = archiver({ wal: { maxParallel: 2 } });
  await subject.archive(request(X));
  await assert.rejects(subject.archive(request(Y)), ConflictError);
  await archiver({ wal: { maxParallel: 2 } }).archive(request(X));
});

test('says once that it archives although it is not declared the archiver', async () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const { events, told } = recordedEvents();
  const subject = archiver({}, { log, events });
  const plugins = [{ name: PLUGIN_NAME, isWALArchiver: false, parameters: { barmanObjectName: 'minio' } }];
  await subject.archive({ ...request(X), cluster: cluster({ plugins }) });
  await subject.archive({ ...request(Y), cluster: cluster({ plugins }) });
  assert.equal(lines.filter((line) => line.includes('isWALArchiver')).length, 1);
  assert.deepEqual(
    told.map(({ reason, message }) => [reason, /cnpg\.io\/skipWalArchiving=enabled/.test(message)]),
    [['NotDeclaredWalArchiver', true]],
  );
});

test('logs name, sizes and time of each archived file', async () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  await archiver({ wal: { compression: 'gzip' } }, { log }).archive(request());
  const line = JSON.parse(lines[0] ?? '{}');
  assert.deepEqual([line.level, line.msg, line.file, line.rawBytes], ['info', 'WAL file archived', X, content.length]);
  assert.equal(line.storedBytes, storage.objects.get(`${KEY}.gz`)?.bytes.length);
  assert.equal(typeof line.milliseconds, 'number');
});

/** Longer than patience lasts. */
const FOR_GOOD = 200;

/** The real waits, on a clock of its own. */
function virtualPatience(): Patience {
  let nowMs = 0;
  const sleep = async (ms: number) => {
    nowMs += ms;
  };
  return { ...DEFAULT_PATIENCE, now: () => nowMs, sleep };
}

function recordedEvents() {
  const told: { reason: string; message: string }[] = [];
  const warn: Events['warn'] = (_cluster, reason, message) => told.push({ reason, message }) > 0;
  return { told, events: { warn, inform: warn, settled: async () => undefined } };
}

function samplesOf(metrics: Metrics, name: string) {
  const samples = metrics.samples().filter((sample) => sample.name === name);
  return samples.map(({ labels, value }) => ({ labels, value }));
}

function archiver(
  configuration: Partial<ObjectStore['spec']['configuration']> = {},
  overrides: Partial<WalArchiverDeps> = {},
) {
  const archives = fakeArchives({ minio: storage }, configuration);
  return createWalArchiver({
    archives,
    pgdata,
    podName: 'pg-1',
    log: silentLog(),
    patience: virtualPatience(),
    ...overrides,
  });
}

function request(name: string = X): ArchiveRequest {
  return {
    cluster: cluster(),
    sourceFile: join(pgdata, 'pg_wal', name),
    checkEmptyArchive: undefined,
    signal: new AbortController().signal,
  };
}

function cluster(spec: Partial<Cluster['spec']> = {}, annotations: Record<string, string> = {}): Cluster {
  const plugins = [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'minio' } }];
  return { metadata: { name: 'pg', annotations }, spec: { plugins, ...spec }, status: { currentPrimary: 'pg-1' } };
}

function readyFiles(...names: string[]): void {
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  for (const name of names) writeFileSync(join(pgdata, 'pg_wal', 'archive_status', `${name}.ready`), '');
}

/** Resolves when the file has been stored. */
async function putOf(name: string): Promise<void> {
  const put = storage.put.bind(storage);
  await new Promise<void>((resolve) => {
    storage.put = async (key, ...rest) => {
      const info = await put(key, ...rest);
      if (key.includes(name)) resolve();
      return info;
    };
  });
}

function systemFiles(systemId: bigint): void {
  mkdirSync(join(pgdata, 'global'), { recursive: true });
  const control = Buffer.alloc(64);
  control.writeBigUInt64LE(systemId);
  writeFileSync(join(pgdata, 'global', 'pg_control'), control);
}

function segmentOf(systemId: bigint, rest = 'x'): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt16LE(0xd118, 0);
  header.writeUInt16LE(2, 2);
  header.writeBigUInt64LE(systemId, 24);
  header.writeUInt32LE(16 * 1024 * 1024, 32);
  return Buffer.concat([header, Buffer.from(rest.repeat(1000))]);
}

function walFile(name: string, bytes: Buffer): void {
  writeFileSync(join(pgdata, 'pg_wal', name), bytes);
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

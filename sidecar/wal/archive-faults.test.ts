// The archive side through the real adapter, with a proxy before the store that makes requests go wrong.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { status as grpc } from '@grpc/grpc-js';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { WalCompression } from '../../api/objectstore.ts';
import { statusOf } from '../../api/wire/grpc-status.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { md5Of, settingsFor } from '../../test/servers/answering-s3.ts';
import { type Fault, type FaultProxy, type Seen, s3Error, startFaultProxy } from '../../test/servers/fault-proxy.ts';
import { startS3, type TestS3 } from '../../test/servers/s3rver.ts';
import { read } from '../../test/store-suite.ts';
import { createS3Storage } from '../store/s3.ts';
import type { ObjectStorage } from '../store/store.ts';
import { createWalArchiver } from './archive.ts';
import { DEFAULT_PATIENCE } from './persist.ts';

const X = '0000000100000000000000A7';
const content = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => (index * index) % 251));
const cluster: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'minio' } }] },
  status: { currentPrimary: 'pg-1' },
};
/** Waiting costs no time here: trouble lasts for two tries, and then longer than the limit. */
const LIMIT_MS = 30_000;
const FIRST_WAIT_MS = 0.75 * LIMIT_MS;

const folder = mkdtempSync(join(tmpdir(), 'cellar-archive-faults-'));
const sourceFile = join(folder, 'pg_wal', X);
let server: TestS3;
let proxy: FaultProxy;
/** Straight to the server: what is really stored. */
let truth: ObjectStorage;
let storage: ObjectStorage | undefined;

before(async () => {
  mkdirSync(join(folder, 'pg_wal'));
  writeFileSync(sourceFile, content);
  server = await startS3();
  proxy = await startFaultProxy(server.endpoint);
  await server.createBucket('bucket');
  truth = openStorage(server.endpoint);
});

after(async () => {
  truth.close();
  await proxy.stop();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  proxy.decide(() => ({ kind: 'pass' }));
  await truth.delete([keyOf('gzip'), keyOf(undefined)]);
});

afterEach(() => storage?.close());

type Row = [title: string, hits: (seen: Seen) => boolean, fault: Fault, code: grpc];

// Packed bytes and what is streamed from disk are sent in two ways; there is one way to look.
const another = md5Of(Buffer.from('another content'));

const FAULTS: Row[] = [
  ['500 to the look', isList, s3Error(500, 'InternalError'), grpc.UNAVAILABLE],
  ['500 to the put', isPut, s3Error(500, 'InternalError'), grpc.UNAVAILABLE],
  ['503 SlowDown to the look', isList, s3Error(503, 'SlowDown'), grpc.UNAVAILABLE],
  ['503 SlowDown to the put', isPut, s3Error(503, 'SlowDown'), grpc.UNAVAILABLE],
  ['a reset before the look is answered', isList, { kind: 'reset' }, grpc.UNAVAILABLE],
  ['a reset before the put is answered', isPut, { kind: 'reset' }, grpc.UNAVAILABLE],
  ['a put that falls silent', isPut, { kind: 'hold' }, grpc.UNAVAILABLE],
  ['an upload cut in the middle', isPut, { kind: 'cut-request', afterBytes: 50 }, grpc.UNAVAILABLE],
  ['an upload that arrives as other bytes', isPut, { kind: 'corrupt-request' }, grpc.UNAVAILABLE],
  ['a success with the ETag of nothing stored', isPut, answered(another), grpc.UNAVAILABLE],
  ['expired keys', isPut, s3Error(403, 'ExpiredToken'), grpc.FAILED_PRECONDITION],
  ['expired keys at the look', isList, s3Error(403, 'ExpiredToken'), grpc.FAILED_PRECONDITION],
  ['a full store', isPut, s3Error(507, 'XMinioStorageFull'), grpc.FAILED_PRECONDITION],
  ['a bucket that has gone', () => true, s3Error(404, 'NoSuchBucket'), grpc.FAILED_PRECONDITION],
];

for (const compression of ['gzip', undefined] as const) {
  for (const [title, hits, fault, code] of FAULTS) {
    if (hits === isList && compression === undefined) continue;
    test(`${title} (${compression ?? 'no codec'}): PostgreSQL sees ${grpc[code]}, nothing is stored, and the next request succeeds`, async () => {
      proxy.decide((seen) => (hits(seen) ? fault : { kind: 'pass' }));
      // Only what must fall silent may take silence for trouble: other requests are slow on a busy machine.
      const archiver = makeArchiver(compression, fault.kind === 'hold' ? { silenceTimeoutMs: 500 } : {});
      assert.equal(await answer(archiver), code);
      assert.equal(await truth.head(keyOf(compression)), undefined);
      proxy.decide(() => ({ kind: 'pass' }));
      assert.equal(await answer(archiver), grpc.OK);
      await assertStored(compression);
    });
  }

  test(`an answer that is lost after the work was done (${compression ?? 'no codec'}) leaves the file whole, and the repeated request writes nothing`, async () => {
    proxy.decide((seen) => (isPut(seen) ? { kind: 'lose-answer' } : { kind: 'pass' }));
    const archiver = makeArchiver(compression);
    const first = await answer(archiver);
    // Who looks again within the limit finds it there.
    assert.ok(first === grpc.UNAVAILABLE || first === grpc.OK, grpc[first]);
    await assertStored(compression);
    const { etag, lastModified } = (await truth.head(keyOf(compression))) ?? {};
    proxy.decide(() => ({ kind: 'pass' }));
    proxy.seen.length = 0;
    assert.equal(await answer(archiver), grpc.OK);
    assert.deepEqual(proxy.seen.filter(isPut), []);
    const now = await truth.head(keyOf(compression));
    assert.deepEqual([now?.etag, now?.lastModified], [etag, lastModified]);
  });

  test(`a store that answers ETags of its own (${compression ?? 'no codec'}) is believed for what it holds`, async () => {
    const archiver = makeArchiver(compression);
    proxy.decide((seen) => (isPut(seen) ? { kind: 'change-answer', headers: { etag: another } } : { kind: 'pass' }));
    assert.equal(await answer(archiver), grpc.OK);
    await assertStored(compression);
  });
}

function isList({ query }: Seen): boolean {
  return query.has('list-type');
}

function isPut({ method }: Seen): boolean {
  return method === 'PUT';
}

/** The proxy says stored, and the server never sees it. */
function answered(etag: string): Fault {
  return { kind: 'answer', status: 200, headers: { etag } };
}

function keyOf(compression: WalCompression | undefined): string {
  return `backups/pg/wals/${X.slice(0, 16)}/${X}${compression === undefined ? '' : '.gz'}`;
}

function openStorage(endpoint: string, settings: Parameters<typeof settingsFor>[1] = {}): ObjectStorage {
  const { accessKeyId, secretAccessKey } = server;
  return createS3Storage(settingsFor(endpoint, { credentials: { accessKeyId, secretAccessKey }, ...settings }));
}

function makeArchiver(
  compression: WalCompression | undefined,
  settings: Parameters<typeof settingsFor>[1] = {},
): ReturnType<typeof createWalArchiver> {
  storage = openStorage(proxy.endpoint, settings);
  const configuration = compression === undefined ? {} : { wal: { compression } };
  const archive = { ...fakeArchive(new FakeStorage(), configuration), storage };
  const deps = { archives: { open: async () => archive }, pgdata: folder, podName: 'pg-1', log: silentLog() };
  let nowMs = 0;
  const patience = {
    ...DEFAULT_PATIENCE,
    ...{ firstWaitMs: FIRST_WAIT_MS, longestWaitMs: LIMIT_MS, now: () => nowMs },
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  return createWalArchiver({ ...deps, patience, limitMs: LIMIT_MS });
}

/** The code that the caller of PostgreSQL sees. */
async function answer(archiver: ReturnType<typeof createWalArchiver>): Promise<grpc> {
  const { signal } = new AbortController();
  return archiver.archive({ cluster, sourceFile, checkEmptyArchive: false, signal }).then(
    () => grpc.OK,
    (error: unknown) => statusOf(error).code,
  );
}

async function assertStored(compression: WalCompression | undefined): Promise<void> {
  const { bytes } = await read(truth, keyOf(compression));
  assert.ok((compression === undefined ? bytes : gunzipSync(bytes)).equals(content));
}

// The restore side through the real adapter, with a proxy before the store that makes requests go wrong.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { status as grpc } from '@grpc/grpc-js';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { statusOf } from '../../api/wire/grpc-status.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { type Fault, type FaultProxy, type Seen, s3Error, startFaultProxy } from '../../test/servers/fault-proxy.ts';
import { startS3, type TestS3 } from '../../test/servers/s3rver.ts';
import { createS3Storage } from '../store/s3.ts';
import { DEFAULT_LIMITS } from '../store/s3-settings.ts';
import type { ObjectStorage } from '../store/store.ts';
import { DEFAULT_PATIENCE } from './persist.ts';
import { createWalRestorer } from './restore.ts';

const X = '0000000100000000000000A7';
const KEY = `backups/pg/wals/0000000100000000/${X}`;
const content = Buffer.alloc(1 << 20, 'content of a segment;');
const folder = mkdtempSync(join(tmpdir(), 'cellar-faults-'));
const pgWal = join(folder, 'pg_wal');
const destination = join(pgWal, 'RECOVERYXLOG');
const plugin = (parameters: Record<string, string>) => ({ name: PLUGIN_NAME, parameters });
const standby: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [plugin({ barmanObjectName: 'minio' })] },
  status: { currentPrimary: 'pg-1' },
};
const recovery: Cluster = {
  metadata: { name: 'pg' },
  spec: {
    externalClusters: [{ name: 'origin', plugin: plugin({ barmanObjectName: 'minio' }) }],
    bootstrap: { recovery: { source: 'origin' } },
  },
};

let server: TestS3;
let proxy: FaultProxy;
let storage: ObjectStorage;

before(async () => {
  mkdirSync(pgWal);
  server = await startS3();
  proxy = await startFaultProxy(server.endpoint);
  await server.createBucket('bucket');
  storage = createS3Storage({
    ...DEFAULT_LIMITS,
    silenceTimeoutMs: 500,
    bucket: 'bucket',
    endpoint: proxy.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    trustedCertificates: undefined,
    conditionalPut: 'unknown',
    requestChecksums: 'WHEN_REQUIRED',
    responseChecksums: 'WHEN_REQUIRED',
  });
});

after(async () => {
  storage.close();
  await proxy.stop();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  proxy.decide(() => ({ kind: 'pass' }));
  await storage.delete([KEY, `${KEY}.gz`]);
});

test('a standby that polls for the next segment costs one small request per poll', async () => {
  proxy.seen.length = 0;
  for (const poll of [1, 2, 3, 4, 5]) {
    assert.equal(await answer(standby), grpc.NOT_FOUND);
    assert.equal(proxy.seen.length, poll);
  }
  assert.ok(proxy.seen.every(isList));
});

const raw = { suffix: '', bytes: content };
const packed = { suffix: '.gz', bytes: gzipSync(content) };
const other = 'content of a segment;';
const unsized: Fault = { kind: 'answer', status: 200, headers: { etag: '"x"' }, body: other };
const short: Fault = { ...unsized, headers: { etag: '"x"', 'content-length': String(other.length) } };

for (const [title, object, hits, fault, seenByStandby] of [
  ['500 to the look', raw, isList, s3Error(500, 'InternalError'), grpc.UNAVAILABLE],
  ['500 to the download', raw, isGet, s3Error(500, 'InternalError'), grpc.UNAVAILABLE],
  ['503 SlowDown', raw, isList, s3Error(503, 'SlowDown'), grpc.UNAVAILABLE],
  ['a reset before the answer', raw, isList, { kind: 'reset' }, grpc.UNAVAILABLE],
  ['a body cut in the middle', raw, isGet, { kind: 'cut', afterBytes: 300_000 }, grpc.UNAVAILABLE],
  ['a packed body cut in the middle', packed, isGet, { kind: 'cut', afterBytes: 500 }, grpc.UNAVAILABLE],
  ['a body that falls silent', raw, isGet, { kind: 'stall', afterBytes: 300_000 }, grpc.UNAVAILABLE],
  ['a body without a length', raw, isGet, unsized, grpc.UNAVAILABLE],
  ['a body of the wrong length', raw, isGet, short, grpc.DATA_LOSS],
  ['a body that is not packed', packed, isGet, short, grpc.DATA_LOSS],
  ['403 to the look', raw, isList, s3Error(403, 'AccessDenied'), grpc.FAILED_PRECONDITION],
  ['403 to the download', raw, isGet, s3Error(403, 'ExpiredToken'), grpc.FAILED_PRECONDITION],
  ['a bucket that has gone', raw, isList, s3Error(404, 'NoSuchBucket'), grpc.FAILED_PRECONDITION],
] as const) {
  test(`${title}: a standby sees ${grpc[seenByStandby]} and no file, a recovery waits and gets it whole`, async () => {
    await storage.put(KEY + object.suffix, object.bytes);
    proxy.decide((seen) => (hits(seen) ? fault : { kind: 'pass' }));
    assert.equal(await answer(standby), seenByStandby);
    let waits = 0;
    const lift = () => {
      waits += 1;
      if (waits === 2) proxy.decide(() => ({ kind: 'pass' }));
    };
    assert.equal(await answer(recovery, lift), grpc.OK);
    assert.equal(waits, 2);
  });
}

test('a replay with prefetch gets every segment whole while downloads are cut, refused and reset', async () => {
  const names = ['B0', 'B1', 'B2', 'B3', 'B4', 'B5'].map((end) => X.slice(0, -2) + end);
  for (const name of names) await storage.put(`${KEY.slice(0, -X.length)}${name}.gz`, packed.bytes);
  const faults: Fault[] = [{ kind: 'cut', afterBytes: 500 }, s3Error(403, 'AccessDenied'), { kind: 'reset' }];
  // The first download goes well, every other one of the next six goes wrong.
  let downloads = 0;
  proxy.decide((seen) => {
    if (isGet(seen)) downloads += 1;
    return isGet(seen) && downloads % 2 === 0 ? (faults.shift() ?? { kind: 'pass' }) : { kind: 'pass' };
  });
  const restorer = makeRestorer(() => undefined);
  const signal = new AbortController().signal;
  for (const walName of names) {
    rmSync(destination, { force: true });
    await restorer.restore({ cluster: recovery, walName, destination, rewind: false, signal });
    assert.ok(readFileSync(destination).equals(content));
  }
  await restorer.stop();
  assert.deepEqual(faults, []);
});

function isList({ query }: Seen): boolean {
  return query.has('list-type');
}

function isGet({ method, query }: Seen): boolean {
  return method === 'GET' && !query.has('list-type');
}

/** The code that is answered; at the destination there is the whole file or nothing, and nothing beside it. */
async function answer(cluster: Cluster, onWait: () => void = () => undefined): Promise<grpc> {
  rmSync(destination, { force: true });
  const restorer = makeRestorer(onWait);
  const signal = new AbortController().signal;
  const code = await restorer.restore({ cluster, walName: X, destination, rewind: false, signal }).then(
    () => grpc.OK,
    (error) => statusOf(error).code,
  );
  await restorer.stop();
  assert.deepEqual(readdirSync(pgWal), code === grpc.OK ? ['RECOVERYXLOG'] : []);
  if (existsSync(destination)) assert.ok(readFileSync(destination).equals(content));
  return code;
}

function makeRestorer(onWait: () => void) {
  let nowMs = 0;
  const patience = {
    ...DEFAULT_PATIENCE,
    limitMs: 500,
    now: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
      onWait();
    },
  };
  const configuration = { wal: { maxParallel: 3 } };
  return createWalRestorer({
    archives: { open: async () => ({ ...fakeArchive(new FakeStorage(), configuration), storage }) },
    podName: 'pg-2',
    spoolDirectory: join(folder, 'spool'),
    log: silentLog(),
    patience,
  });
}

// One server's place in a real S3 store, with an archiver and a restorer over it, for tests that other tools or other
// writers take part in.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Cluster } from '../api/kube.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import type { ObjectStoreConfiguration } from '../api/objectstore.ts';
import { silentLog } from '../api/wire/log.ts';
import { createS3Storage } from '../sidecar/store/s3.ts';
import { DEFAULT_LIMITS, type S3Settings } from '../sidecar/store/s3-settings.ts';
import type { ObjectInfo, ObjectStorage } from '../sidecar/store/store.ts';
import { createWalArchiver } from '../sidecar/wal/archive.ts';
import { createWalRestorer } from '../sidecar/wal/restore.ts';
import { FakeStorage, fakeArchive } from './fake-storage.ts';
import { read } from './store-suite.ts';

export const BUCKET = 'bucket';

export type S3Door = { endpoint: string; accessKeyId: string; secretAccessKey: string };

export type WalPlace = {
  storage: ObjectStorage;
  /** Objects that our archivers have asked the store to keep, in order. */
  puts: string[];
  /** Where a file of `pg_wal` is. */
  pathOf(name: string): string;
  archive(name: string): Promise<void>;
  /** What PostgreSQL would get. */
  restore(name: string): Promise<Buffer>;
  /** An object below `wals/`, as it is stored. */
  stored(key: string): Promise<Buffer>;
  /** The same place by an archiver and a restorer of its own, with other settings. */
  with(configuration: Partial<ObjectStoreConfiguration>): WalPlace;
};

/** An adapter of its own; closed when the test ends. */
export function openStorage(
  t: Pick<TestContext, 'after'>,
  door: S3Door,
  settings: Partial<S3Settings> = {},
): ObjectStorage {
  const { endpoint, accessKeyId, secretAccessKey } = door;
  const storage = createS3Storage({
    ...DEFAULT_LIMITS,
    bucket: BUCKET,
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    trustedCertificates: undefined,
    conditionalPut: 'unknown',
    requestChecksums: 'WHEN_REQUIRED',
    responseChecksums: 'WHEN_REQUIRED',
    ...settings,
  });
  t.after(() => storage.close());
  return storage;
}

/** A place `backups/<server>/` and a folder with the files of its `pg_wal`; both go when the test ends. */
export async function walPlace(
  t: TestContext,
  storage: ObjectStorage,
  server: string,
  files: Record<string, Buffer>,
  configuration: Partial<ObjectStoreConfiguration> = {},
): Promise<WalPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-place-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'pg_wal'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, 'pg_wal', name), content);
  const puts: string[] = [];
  const counted = beforePuts(storage, (key) => void puts.push(key));
  return openPlace(t, counted, folder, server, puts, configuration);
}

function openPlace(
  t: TestContext,
  storage: ObjectStorage,
  folder: string,
  server: string,
  puts: string[],
  configuration: Partial<ObjectStoreConfiguration>,
): WalPlace {
  const reference = { objectStore: 'store', serverName: server };
  const archive = { ...fakeArchive(new FakeStorage(), configuration, reference), storage };
  const deps = { archives: { open: async () => archive }, podName: 'pg-2', log: silentLog() };
  const archiver = createWalArchiver({ ...deps, pgdata: folder });
  const restorer = createWalRestorer({ ...deps, spoolDirectory: join(folder, 'spool') });
  t.after(() => restorer.stop());
  const { signal } = new AbortController();
  const pathOf = (name: string) => join(folder, 'pg_wal', name);
  return {
    ...{ storage, puts, pathOf },
    archive: (name) => archiver.archive({ cluster, sourceFile: pathOf(name), checkEmptyArchive: false, signal }),
    async restore(walName) {
      const destination = join(folder, 'RECOVERYXLOG');
      await restorer.restore({ cluster, walName, destination, rewind: false, signal });
      return readFile(destination);
    },
    stored: async (key) => (await read(storage, `backups/${server}/wals/${key}`)).bytes,
    with: (other) => openPlace(t, storage, folder, server, puts, { ...configuration, ...other }),
  };
}

/** All that a listing tells of a server's objects: equal before and after means that nothing was written. */
export async function listing(storage: ObjectStorage, server: string): Promise<Omit<ObjectInfo, 'metadata'>[]> {
  const found: ObjectInfo[] = [];
  for await (const info of storage.list(`backups/${server}/`)) found.push(info);
  assert.ok(found.length > 0, `nothing is stored for ${server}`);
  return found;
}

/** The same storage, with something to be done before each put. */
export function beforePuts(storage: ObjectStorage, before: (key: string) => Promise<void> | void): ObjectStorage {
  return new Proxy(storage, {
    get(target, name) {
      if (name === 'put') {
        return async (...request: Parameters<ObjectStorage['put']>) => {
          await before(request[0]);
          return target.put(...request);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const cluster: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'store' } }] },
  status: { currentPrimary: 'pg-1' },
};

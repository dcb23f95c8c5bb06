// The base backups that a stand's store really holds, looked at past any proxy; a listed one is restored to see what it
// brings back.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { silentLog } from '../../api/wire/log.ts';
import { type CatalogEntry, listBackups } from '../../sidecar/backup/catalog.ts';
import { createRestorer } from '../../sidecar/restore/run.ts';
import type { Archive } from '../../sidecar/store/archive.ts';
import { serverKeys } from '../../sidecar/store/keys.ts';
import { createS3Storage } from '../../sidecar/store/s3.ts';
import type { ObjectInfo } from '../../sidecar/store/store.ts';
import { settingsFor } from '../servers/answering-s3.ts';
import { BUCKET, objectStore, type Stand } from '../stand.ts';
import { restoringCluster } from './recovery-job.ts';

/** Path below PGDATA and SHA-256 of what PostgreSQL keeps in relations; of an idle server always the same. */
export type Content = ReadonlyMap<string, string>;

export type StoredBackups = {
  archive: Archive;
  list(): Promise<CatalogEntry[]>;
  /** All objects of one backup. */
  objects(id: string): Promise<ObjectInfo[]>;
  /** What a restore of it brings. Throws what the restore throws. */
  content(id: string): Promise<Content>;
};

const SERVER = 'pg-main';
const RELATION = /^(base\/\d+|global)\/\d+(_(vm|fsm|init))?(\.\d+)?$/;
const LIMIT_MS = 120_000;

/** Closed by the stand's cleanup. */
export function openStoredBackups(stand: Stand): StoredBackups {
  const { accessKeyId, secretAccessKey } = stand.s3;
  const storage = createS3Storage(
    settingsFor(stand.s3.endpoint, { bucket: BUCKET, credentials: { accessKeyId, secretAccessKey } }),
  );
  stand.cleanup.add(async () => storage.close());
  const archive: Archive = {
    ...{ objectStore: objectStore({}), serverName: SERVER, storage, keys: serverKeys('', SERVER) },
    location: 'the store, past the proxy',
  };
  const pgdata = join(stand.folder, 'looked-at');
  return {
    archive,
    list: () => listBackups(archive, AbortSignal.timeout(LIMIT_MS)),
    async objects(id) {
      const objects: ObjectInfo[] = [];
      for await (const object of storage.list(archive.keys.backup(id))) objects.push(object);
      return objects;
    },
    async content(id) {
      const restorer = createRestorer({ archives: { open: async () => archive }, pgdata, log: silentLog() });
      const signal = AbortSignal.timeout(LIMIT_MS);
      await rm(pgdata, { recursive: true, force: true });
      await restorer.restore({
        cluster: restoringCluster('looked-at', { backupID: id }),
        ...{ checkEmptyArchive: false, signal },
      });
      return contentOf(pgdata);
    },
  };
}

/** Relations of a data folder, digested. */
export async function contentOf(pgdata: string): Promise<Content> {
  const content = new Map<string, string>();
  const entries = await readdir(pgdata, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  for (const path of paths.sort()) {
    const name = relative(pgdata, path);
    if (!RELATION.test(name)) continue;
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    content.set(name, hash.digest('hex'));
  }
  return content;
}

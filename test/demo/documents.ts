// The documents of the usage page, with the address of the demo's own object store put in.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Backup, Cluster } from '../../api/kube.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import type { KubeObject } from '../kube/objects.ts';
import { NAMESPACE } from './parts.ts';
import type { StorePlace } from './place.ts';

const USAGE = join(dirname(import.meta.dirname), 'fixtures', 'usage');

export type DemoDocuments = {
  secret: KubeObject;
  store: ObjectStore;
  storeBis: ObjectStore;
  cluster: Cluster;
  backup: Backup;
  /** Restores from the first store and archives to the second; the recovery target is still to be added. */
  restore: Cluster;
};

/** Reads the fixtures and fits them to the demo's object store. */
export function readDocuments(place: StorePlace): DemoDocuments {
  const all = readdirSync(USAGE)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .flatMap((name) => parseAllDocuments(readFileSync(join(USAGE, name), 'utf8')).map((document) => document.toJS()));
  const page = find<ObjectStore>(
    all,
    'ObjectStore',
    'minio-store',
    (d) => d.spec.configuration?.s3Credentials !== undefined,
  );
  return {
    secret: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'minio', namespace: NAMESPACE },
      data: Object.fromEntries(Object.entries(place.secret).map(([key, value]) => [key, base64(value)])),
    },
    store: fitted(page, 'minio-store', place.bucket, place),
    storeBis: fitted(page, 'minio-store-bis', place.bucketBis, place),
    cluster: find<Cluster>(all, 'Cluster', 'cluster-example', () => true),
    backup: find<Backup>(all, 'Backup', 'backup-example', () => true),
    restore: find<Cluster>(all, 'Cluster', 'cluster-restore', (d) => d.spec.plugins !== undefined),
  };
}

/** A document as the API server takes it. */
export function asObject(document: ObjectStore | Cluster | Backup): KubeObject {
  return structuredClone({ ...document });
}

function fitted(page: ObjectStore, name: string, bucket: string, place: StorePlace): ObjectStore {
  const store = structuredClone(page);
  store.metadata.name = name;
  const { endpointURL: _, s3Credentials, ...configuration } = store.spec.configuration;
  store.spec.configuration = {
    ...configuration,
    ...(place.configuration.endpointURL === undefined ? {} : { s3Credentials }),
    ...place.configuration,
    destinationPath: place.url(bucket),
    // Without it a backup waits for PostgreSQL's next checkpoint, minutes that the demo does not have.
    data: { ...configuration.data, immediateCheckpoint: true },
  };
  if (place.env.length > 0) store.spec.instanceSidecarConfiguration = { env: place.env };
  return store;
}

type Document = { kind?: string; metadata: { name: string; namespace?: string } };

function find<T extends Document>(all: readonly T[], kind: string, name: string, fits: (document: T) => boolean): T {
  const found = all.find((document) => document?.kind === kind && document.metadata.name === name && fits(document));
  if (found === undefined) throw new Error(`no ${kind} ${name} among the fixtures of the usage page (${USAGE})`);
  return { ...found, metadata: { ...found.metadata, namespace: NAMESPACE } };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

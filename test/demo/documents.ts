// The documents of the usage page, with the address of the demo's own S3 server put in.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Backup, Cluster } from '../../api/kube.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import type { KubeObject } from '../kube/objects.ts';
import { NAMESPACE, type S3Place } from './parts.ts';

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

/** Reads the fixtures and fits them to the demo's S3 server. */
export function readDocuments(s3: S3Place): DemoDocuments {
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
      data: { ACCESS_KEY_ID: base64(s3.accessKeyId), ACCESS_SECRET_KEY: base64(s3.secretAccessKey) },
    },
    store: fitted(page, 'minio-store', s3.bucket, s3),
    storeBis: fitted(page, 'minio-store-bis', s3.bucketBis, s3),
    cluster: find<Cluster>(all, 'Cluster', 'cluster-example', () => true),
    backup: find<Backup>(all, 'Backup', 'backup-example', () => true),
    restore: find<Cluster>(all, 'Cluster', 'cluster-restore', (d) => d.spec.plugins !== undefined),
  };
}

/** A document as the API server takes it. */
export function asObject(document: ObjectStore | Cluster | Backup): KubeObject {
  return structuredClone({ ...document });
}

function fitted(page: ObjectStore, name: string, bucket: string, s3: S3Place): ObjectStore {
  const store = structuredClone(page);
  store.metadata.name = name;
  store.spec.configuration.destinationPath = `s3://${bucket}/`;
  store.spec.configuration.endpointURL = s3.endpoint;
  // Without it a backup waits for PostgreSQL's next checkpoint, minutes that the demo does not have.
  store.spec.configuration.data = { ...store.spec.configuration.data, immediateCheckpoint: true };
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

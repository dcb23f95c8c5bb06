// The demo's object store: one of three kinds, and what an ObjectStore must say to reach it.
import { randomBytes } from 'node:crypto';
import type { EnvVar } from '../../api/kube.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { startAzurite, type TestAzurite } from '../servers/azurite.ts';
import { startFakeGcs, type TestFakeGcs } from '../servers/fake-gcs.ts';
import { startS3 } from '../servers/s3rver.ts';
import { azureBuckets, type Buckets, gcsBuckets, s3Buckets } from './bucket.ts';
import type { Cleanup } from './cleanup.ts';
import type { DemoOptions } from './options.ts';

export type StorePlace = {
  /** `s3rver`, `Azurite` …: for the first line of the demo. */
  name: string;
  endpoint: string;
  /** Buckets of minio-store and minio-store-bis. */
  bucket: string;
  bucketBis: string;
  /** `destinationPath` of a bucket. */
  url(bucket: string): string;
  configuration: Partial<ObjectStoreConfiguration>;
  /** For `instanceSidecarConfiguration.env`. */
  env: EnvVar[];
  /** Of the Secret `minio`. */
  secret: Record<string, string>;
  /** A command that looks into the store. */
  access: string;
  buckets: Buckets;
};

const OWN_BUCKETS = { bucket: 'backups', bucketBis: 'backups-bis' };

/** Starts the kind that was asked for, or takes the S3 server that was named, and makes the two buckets. */
export async function startPlace(options: DemoOptions, parent: string, cleanup: Cleanup): Promise<StorePlace> {
  const place = await openPlace(options, parent, cleanup);
  cleanup.add(async () => place.buckets.close());
  for (const bucket of [place.bucket, place.bucketBis]) {
    await place.buckets.create(bucket);
    if (options.s3 !== undefined) cleanup.add(() => place.buckets.drop(bucket));
  }
  return place;
}

async function openPlace({ store, s3 }: DemoOptions, parent: string, cleanup: Cleanup): Promise<StorePlace> {
  if (s3 !== undefined) {
    const { url: endpoint, accessKeyId, secretAccessKey } = s3;
    const bucket = `cellar-demo-${randomBytes(4).toString('hex')}`;
    const server = { endpoint, accessKeyId, secretAccessKey };
    return s3Place('yours', server, { bucket, bucketBis: `${bucket}-bis` });
  }
  if (store === 'azure') {
    const azurite = await startAzurite();
    cleanup.add(azurite.stop);
    return azurePlace(azurite);
  }
  if (store === 'gcs') {
    const gcs = await startFakeGcs();
    cleanup.add(gcs.stop);
    return gcsPlace(gcs);
  }
  const { stop, ...server } = await startS3({ parent });
  cleanup.add(stop);
  return s3Place('s3rver', server, OWN_BUCKETS);
}

function s3Place(
  name: string,
  server: { endpoint: string; accessKeyId: string; secretAccessKey: string },
  buckets: { bucket: string; bucketBis: string },
): StorePlace {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const keys = `AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey}`;
  return {
    ...{ name, endpoint, ...buckets },
    url: (bucket) => `s3://${bucket}/`,
    configuration: { endpointURL: endpoint },
    env: [],
    secret: { ACCESS_KEY_ID: accessKeyId, ACCESS_SECRET_KEY: secretAccessKey },
    access: `${keys} aws --endpoint-url ${endpoint} s3 ls --recursive s3://${buckets.bucket}/`,
    buckets: s3Buckets({ endpoint, accessKeyId, secretAccessKey }),
  };
}

function azurePlace(azurite: TestAzurite): StorePlace {
  const { endpoint, connectionString } = azurite;
  return {
    ...{ name: 'Azurite', endpoint, ...OWN_BUCKETS },
    url: (bucket) => `${endpoint}/${bucket}/`,
    configuration: { azureCredentials: { connectionString: { name: 'minio', key: 'CONNECTION_STRING' } } },
    env: [],
    secret: { CONNECTION_STRING: connectionString },
    access: `az storage blob list --container-name backups --connection-string '${connectionString}'`,
    buckets: azureBuckets(azurite),
  };
}

function gcsPlace(gcs: TestFakeGcs): StorePlace {
  const { endpoint } = gcs;
  return {
    ...{ name: 'fake-gcs-server', endpoint, ...OWN_BUCKETS },
    url: (bucket) => `gs://${bucket}/`,
    configuration: { googleCredentials: { gkeEnvironment: true } },
    env: [{ name: 'STORAGE_EMULATOR_HOST', value: endpoint }],
    secret: {},
    access: `curl ${endpoint}/storage/v1/b/backups/o`,
    buckets: gcsBuckets(gcs),
  };
}

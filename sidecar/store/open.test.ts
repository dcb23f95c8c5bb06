import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Secret } from '../../api/kube.ts';
import type { ObjectStore, ObjectStoreConfiguration } from '../../api/objectstore.ts';
import type { KubeReads } from '../../api/wire/kube.ts';
import { createLog } from '../../api/wire/log.ts';
import { startS3 } from '../../test/servers/s3rver.ts';
import { read } from '../../test/store-suite.ts';
import { createArchives } from './open.ts';

const REFERENCE = { objectStore: 'store', serverName: 'pg' };
const KEYS = { accessKeyId: { name: 'creds', key: 'id' }, secretAccessKey: { name: 'creds', key: 'secret' } };

test('opens a place that stores and gives back', async (t) => {
  const world = await startWorld(t);
  const { storage, keys, location } = await world.archives.open(REFERENCE);
  await storage.put(keys.backupInfo('I'), Buffer.from('x'));
  assert.equal((await read(storage, 'p/pg/base/I/backup.info')).bytes.toString(), 'x');
  assert.equal(location, 'ObjectStore ns/store (s3://bucket/p/), server pg');
});

test('shares one adapter until a Secret changes, and then uses the new one', async (t) => {
  const world = await startWorld(t);
  const first = await world.archives.open(REFERENCE);
  assert.equal((await world.archives.open({ ...REFERENCE, serverName: 'other' })).storage, first.storage);
  world.secrets.creds = secretOf({ id: 'STRANGER', secret: 'S3RVER' });
  const second = await world.archives.open(REFERENCE);
  await assert.rejects(second.storage.head('k'), { failure: 'refused' });
  assert.equal(await first.storage.head('k'), undefined);
});

test('ignores white space around the values of a Secret', async (t) => {
  const world = await startWorld(t);
  world.secrets.creds = secretOf({ id: 'S3RVER\n', secret: 'S3RVER\n' });
  assert.equal(await (await world.archives.open(REFERENCE)).storage.head('k'), undefined);
});

test('takes the endpoint from the environment where the ObjectStore names none', async (t) => {
  const world = await startWorld(t);
  const { endpointURL = '', ...rest } = world.configuration();
  world.setConfiguration(rest);
  world.env.AWS_ENDPOINT_URL = endpointURL;
  assert.equal(await (await world.archives.open(REFERENCE)).storage.head('k'), undefined);
});

const REFUSED: [title: string, configuration: Partial<ObjectStoreConfiguration>, message: RegExp][] = [
  [
    'a missing key of a Secret',
    { s3Credentials: { ...KEYS, secretAccessKey: { name: 'creds', key: 'nope' } } },
    /spec\.configuration\.s3Credentials\.secretAccessKey: Secret creds has no key "nope"/,
  ],
  [
    'a missing reference',
    { s3Credentials: { accessKeyId: KEYS.accessKeyId } },
    /spec\.configuration\.s3Credentials\.secretAccessKey is missing.*inheritFromIAMRole/,
  ],
  ['a missing CA file', { endpointCA: { name: 'ca', key: 'ca.crt' } }, /spec\.configuration\.endpointCA: cannot read/],
];

for (const [title, configuration, message] of REFUSED) {
  test(`refuses ${title} and names it`, async (t) => {
    const world = await startWorld(t);
    world.setConfiguration({ ...world.configuration(), ...configuration });
    await assert.rejects(world.archives.open(REFERENCE), { name: 'PreconditionError', message });
  });
}

test('loads the adapter of each provider, and refuses a store without credentials', async (t) => {
  const world = await startWorld(t);
  const { s3Credentials: _, endpointURL: __, ...rest } = world.configuration();
  const azure = {
    destinationPath: 'https://a.blob.core.windows.net/c/p',
    azureCredentials: { inheritFromAzureAD: true },
  };
  world.setConfiguration({ ...rest, ...azure });
  assert.equal((await world.archives.open(REFERENCE)).storage.provider, 'azure');
  world.setConfiguration({ ...rest, destinationPath: 'gs://b/p', googleCredentials: { gkeEnvironment: true } });
  assert.equal((await world.archives.open(REFERENCE)).storage.provider, 'gcs');
  world.setConfiguration(rest);
  await assert.rejects(world.archives.open(REFERENCE), /has no credentials/);
});

test('announces ahead of time, and once, that a shared access signature ends', async (t) => {
  const world = await startWorld(t);
  const { s3Credentials: _, endpointURL: __, ...rest } = world.configuration();
  const selector = (key: string) => ({ name: 'azure', key });
  const azureCredentials = { storageAccount: selector('account'), storageSasToken: selector('sas') };
  world.setConfiguration({ ...rest, destinationPath: 'https://a.blob.core.windows.net/c', azureCredentials });
  const endsIn = (days: number) => {
    const end = new Date(Date.now() + days * 24 * 3_600_000).toISOString();
    world.secrets.azure = secretOf({ account: 'a', sas: `?sv=2024-11-04&se=${encodeURIComponent(end)}&sig=s%2Bx%3D` });
  };
  const said = () => world.lines.filter((line) => line.includes('expire'));
  endsIn(30);
  await world.archives.open(REFERENCE);
  assert.equal(said().length, 0);
  endsIn(5);
  for (const _ of [1, 2]) await world.archives.open(REFERENCE);
  assert.equal(said().length, 1);
  assert.match(said()[0] ?? '', /expire in 119 hours.*Secret|expiresAt/);
  endsIn(-1);
  await world.archives.open(REFERENCE);
  assert.match(said()[1] ?? '', /have expired/);
  assert.doesNotMatch(world.lines.join(), /s%2Bx/);
});

test('says once that a profile is without effect beside keys, and uses the keys', async (t) => {
  const world = await startWorld(t);
  const wal = { archiveAdditionalCommandArgs: ['--aws-profile=p'] };
  world.setConfiguration({ ...world.configuration(), wal });
  for (const _ of [1, 2]) assert.equal(await (await world.archives.open(REFERENCE)).storage.head('k'), undefined);
  const said = world.lines.filter((line) => line.includes('--aws-profile p'));
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /without effect: spec\.configuration\.wal\.archiveAdditionalCommandArgs/);
});

test('reads the CA again when its file changes', async (t) => {
  const world = await startWorld(t);
  world.setConfiguration({ ...world.configuration(), endpointCA: { name: 'ca', key: 'ca.crt' } });
  const folder = join(world.certificatesFolder, 'store');
  await mkdir(folder);
  await writeFile(join(folder, 'barman-ca.crt'), 'one');
  const first = await world.archives.open(REFERENCE);
  assert.equal((await world.archives.open(REFERENCE)).storage, first.storage);
  await writeFile(join(folder, 'barman-ca.crt'), 'two');
  assert.notEqual((await world.archives.open(REFERENCE)).storage, first.storage);
});

/** A server with a bucket, and Kubernetes objects that a test may change. */
async function startWorld(t: TestContext) {
  const server = await startS3();
  const certificatesFolder = await mkdtemp(join(tmpdir(), 'cellar-ca-'));
  t.after(async () => {
    await server.stop();
    await rm(certificatesFolder, { recursive: true });
  });
  await server.createBucket('bucket');
  const objectStore: ObjectStore = {
    metadata: { name: 'store' },
    spec: {
      configuration: { destinationPath: 's3://bucket/p/', endpointURL: server.endpoint, s3Credentials: KEYS },
    },
  };
  const secrets: Record<string, Secret> = { creds: secretOf({ id: 'S3RVER', secret: 'S3RVER' }) };
  const env: Record<string, string | undefined> = {};
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const kube: KubeReads = {
    objectStore: async () => structuredClone(objectStore),
    secret: async (_namespace, name) => secrets[name] ?? {},
    cluster: () => Promise.reject(new Error('not asked for')),
  };
  return {
    archives: createArchives({ namespace: 'ns', kube, env, certificatesFolder, log }),
    lines,
    secrets,
    env,
    certificatesFolder,
    configuration: () => objectStore.spec.configuration,
    setConfiguration: (configuration: ObjectStoreConfiguration) => {
      objectStore.spec.configuration = configuration;
    },
  };
}

function secretOf(values: Record<string, string>): Secret {
  const encoded = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return { data: Object.fromEntries(encoded) };
}

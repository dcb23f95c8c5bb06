// Logging in to Google in every way that an ObjectStore can say, with the settings that it is resolved to: the real
// names of Google, reached through a proxy, with certificates that only endpointCA vouches for.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import type { GoogleCredentials } from '../../api/objectstore.ts';
import { createGcsStorage } from '../../sidecar/store/gcs.ts';
import { MetadataServer } from '../../sidecar/store/gcs-metadata-server.ts';
import { readGcsSecrets } from '../../sidecar/store/gcs-secrets.ts';
import { type GcsSettings, resolveGcsSettings } from '../../sidecar/store/gcs-settings.ts';
import { prepareStore } from '../../sidecar/store/providers.ts';
import { gcsSettings } from '../gcs/settings.ts';
import { failureOf } from '../servers/answering-s3.ts';
import { startGcsDouble } from '../servers/gcs-double.ts';
import { startGoogleMetadata } from './google-metadata.ts';
import { type GoogleNetwork, startGoogleNetwork } from './google-network.ts';

const ACCOUNT = 'archiver@project.iam.gserviceaccount.com';
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PRIVATE_KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const KEY_FILE = { type: 'service_account', client_email: ACCOUNT, private_key_id: 'k1', private_key: PRIVATE_KEY };

test('a key file from the Secret logs in, over the proxy, trusting endpointCA, once for many requests', async (t) => {
  const network = await startGoogleNetwork(t);
  network.accounts.set(ACCOUNT, publicKey);
  const storage = open(t, await settingsFor(network, KEY_FILE));
  await storage.put('a', Buffer.from('x'));
  assert.equal((await storage.head('a'))?.sizeBytes, 1);
  assert.equal(network.forms.length, 1);
  assert.deepEqual(new Set(network.tunnels), new Set(['oauth2.googleapis.com:443', 'storage.googleapis.com:443']));
});

test('a host that NO_PROXY names is not asked for through the proxy', async (t) => {
  const { proxy: HTTP_PROXY } = await startGoogleNetwork(t);
  const { endpoint, stop } = await startGcsDouble();
  t.after(stop);
  const through = open(t, gcsSettings(endpoint, { proxies: { HTTP_PROXY } }));
  assert.equal((await failureOf(through.head('a'))).status, 405);
  const around = open(t, gcsSettings(endpoint, { proxies: { HTTP_PROXY, NO_PROXY: '127.0.0.1' } }));
  assert.equal(await around.head('a'), undefined);
});

test('without endpointCA a certificate of a private authority is not trusted, and the error says what to set', async (t) => {
  const network = await startGoogleNetwork(t);
  const settings = { ...(await settingsFor(network, KEY_FILE)), credentials: 'none' as const };
  const error = await failureOf(open(t, { ...settings, trustedCertificates: undefined }).head('a'));
  assert.equal(error.failure, 'misconfigured');
  assert.match(error.message, /endpointCA/);
});

test('a key that the issuer does not know is refused, with its words, and never shown', async (t) => {
  const network = await startGoogleNetwork(t);
  network.accounts.set(ACCOUNT, generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey);
  const error = await failureOf(open(t, await settingsFor(network, KEY_FILE)).put('a', Buffer.from('x')));
  assert.equal(error.failure, 'refused');
  assert.match(error.message, /^gcs login .*invalid_grant: Invalid JWT Signature.*revoked/);
  const [secret = ''] = PRIVATE_KEY.split('\n').slice(3);
  assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret));
});

test('a token is renewed before its end, and when the store does not accept it any more', async (t) => {
  const network = await startGoogleNetwork(t);
  network.accounts.set(ACCOUNT, publicKey);
  network.lifetimeSeconds = 200;
  const storage = open(t, await settingsFor(network, KEY_FILE));
  await storage.put('a', Buffer.from('x'));
  await storage.head('a');
  assert.equal(network.forms.length, 2, 'a token for 200 s is as good as ended');
  network.lifetimeSeconds = 3600;
  await storage.head('a');
  network.store.tokens?.clear();
  assert.equal((await storage.head('a'))?.sizeBytes, 1);
  assert.equal(network.forms.length, 4);
});

test('a token that ends in the middle of an upload does not end the upload', async (t) => {
  const network = await startGoogleNetwork(t);
  network.accounts.set(ACCOUNT, publicKey);
  const storage = open(t, await settingsFor(network, KEY_FILE));
  const upload = await storage.createMultipart('a');
  await upload.part(1, Buffer.alloc(600_000));
  network.store.tokens?.clear();
  await upload.part(2, Buffer.alloc(600_000));
  assert.equal((await upload.complete()).sizeBytes, 1_200_000);
  // The address of the session is a login of its own, and may be another host's.
  const sent = network.store.requests.filter(({ method }) => method === 'PUT');
  assert.ok(sent.length > 0 && sent.every(({ headers }) => headers.authorization === undefined));
});

test('an issuer that is down is broken, one that answers garbage too', async (t) => {
  const network = await startGoogleNetwork(t);
  network.accounts.set(ACCOUNT, publicKey);
  const storage = open(t, await settingsFor(network, KEY_FILE));
  for (const refusal of [
    { status: 503, body: 'busy' },
    { status: 200, body: '<html>' },
    { status: 200, body: '{}' },
  ]) {
    network.refusal = refusal;
    assert.equal((await failureOf(storage.head('a'))).failure, 'broken', refusal.body);
  }
  network.refusal = undefined;
  assert.equal(await storage.head('a'), undefined);
});

test('GOOGLE_APPLICATION_CREDENTIALS may name an external account: its token is exchanged', async (t) => {
  const network = await startGoogleNetwork(t);
  const folder = await mkdtemp(join(tmpdir(), 'cellar-google-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'token'), 'of-the-cluster');
  const external = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    credential_source: { file: join(folder, 'token') },
  };
  const file = join(folder, 'external.json');
  await writeFile(file, JSON.stringify(external));
  const storage = open(t, await settingsFor(network, undefined, { GOOGLE_APPLICATION_CREDENTIALS: file }));
  const error = await failureOf(storage.head('a'));
  assert.equal(error.failure, 'refused', error.message);
  network.subjects.add('of-the-cluster');
  assert.equal(await storage.head('a'), undefined);
});

test('a credential file that is not there, or holds none, is misconfigured', async (t) => {
  const network = await startGoogleNetwork(t);
  const missing = await settingsFor(network, undefined, { GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/key.json' });
  assert.equal((await failureOf(open(t, missing).head('a'))).failure, 'misconfigured');
  const garbled = await settingsFor(network, { ...KEY_FILE, private_key: 'no key at all' });
  const error = await failureOf(open(t, garbled).head('a'));
  assert.equal(error.failure, 'misconfigured');
  assert.doesNotMatch(error.message, /no key at all/);
});

test('a Secret that holds no credential file is named as such, and its content is not shown', async () => {
  const readSecret = async () => ({ metadata: { name: 's' }, data: { key: Buffer.from('hush').toString('base64') } });
  const text = await readGcsSecrets({ applicationCredentials: { name: 's', key: 'key' } }, readSecret);
  assert.throws(
    () => resolve(text, {}, undefined),
    (error) => {
      assert.match(String(error), /applicationCredentials: not a credential file/);
      return !String(error).includes('hush');
    },
  );
  const absent: GoogleCredentials = { applicationCredentials: { name: 's', key: 'other' } };
  await assert.rejects(readGcsSecrets(absent, readSecret), /Secret s has no key "other"/);
  await assert.rejects(readGcsSecrets({}, readSecret), /no login method/);
  assert.equal(await readGcsSecrets({ gkeEnvironment: true }, readSecret), undefined);
});

test('workload identity: the metadata server is asked with its header, once, over no proxy', async (t) => {
  const network = await startGoogleNetwork(t);
  const metadata = await startGoogleMetadata(t);
  const storage = open(t, await settingsFor(network, undefined, { GCE_METADATA_HOST: metadata.host }));
  network.store.tokens?.add('ya29.of-metadata-1');
  await storage.put('a', Buffer.from('x'));
  await storage.head('a');
  assert.equal(metadata.given.length, 1);
  network.store.tokens = new Set(['ya29.of-metadata-2']);
  assert.equal((await storage.head('a'))?.sizeBytes, 1);
});

test('a metadata server that refuses, is not one, talks garbage or is not there makes an error that says so', async (t) => {
  const metadata = await startGoogleMetadata(t);
  const settings = gcsSettings('http://127.0.0.1:1', { credentials: { metadataServer: `http://${metadata.host}` } });
  const storage = open(t, { ...settings, silenceTimeoutMs: 100 });
  const flavoured = { 'metadata-flavor': 'Google' };
  const cases: [answer: NonNullable<typeof metadata.instead>, failure: string, message: RegExp][] = [
    [
      (response) => response.writeHead(403, flavoured).end('no access'),
      'refused',
      /no access.*Kubernetes service account/,
    ],
    [(response) => response.writeHead(404, flavoured).end(), 'refused', /gives no token/],
    [(response) => response.writeHead(500, flavoured).end('busy'), 'broken', /busy/],
    [(response) => response.writeHead(200).end('{}'), 'broken', /not the metadata server/],
    [(response) => response.writeHead(200, flavoured).end('<html>'), 'broken', /JSON/],
    [(response) => response.writeHead(200, flavoured).end('{}'), 'broken', /no access token/],
    [() => undefined, 'broken', /nothing moved/],
  ];
  for (const [answer, failure, message] of cases) {
    metadata.instead = answer;
    const error = await failureOf(storage.head('a'));
    assert.equal(error.failure, failure);
    assert.match(error.message, message);
  }
});

test('a token of the metadata server is renewed before its end, and an old one serves while the server is away', async (t) => {
  const metadata = await startGoogleMetadata(t);
  let now = 1_000_000;
  const server = new MetadataServer(gcsSettings('http://127.0.0.1:1'), `http://${metadata.host}`, () => now);
  t.after(() => server.close());
  assert.deepEqual(await Promise.all([server.token(), server.token()]), Array(2).fill('ya29.of-metadata-1'));
  now += 3600_000 - 5 * 60_000;
  assert.equal(await server.token(), 'ya29.of-metadata-1');
  now += 2 * 60_000;
  metadata.instead = (response) => response.destroy();
  assert.equal(await server.token(), 'ya29.of-metadata-1');
  metadata.instead = undefined;
  assert.equal(await server.token(), 'ya29.of-metadata-2');
  now += 3700_000;
  metadata.instead = (response) => response.destroy();
  await failureOf(server.token());
});

test('STORAGE_EMULATOR_HOST names an emulator, with or without its scheme, and no login is sent there', async () => {
  for (const value of ['127.0.0.1:4443', 'http://127.0.0.1:4443', 'http://127.0.0.1:4443/']) {
    const { endpoint, credentials } = resolve(JSON.stringify(KEY_FILE), { STORAGE_EMULATOR_HOST: value }, undefined);
    assert.deepEqual([endpoint, credentials], ['http://127.0.0.1:4443', 'none']);
  }
  assert.throws(() => resolve(undefined, { STORAGE_EMULATOR_HOST: 'http://' }, undefined), /STORAGE_EMULATOR_HOST/);
});

test('an ObjectStore becomes a working adapter, and what cannot count in it is said', async (t) => {
  const { double, endpoint, stop } = await startGcsDouble();
  t.after(stop);
  const configuration = {
    destinationPath: 'gs://bucket/backups',
    googleCredentials: { gkeEnvironment: true },
    endpointURL: 'http://minio',
    wal: { encryption: 'AES256' },
  } as const;
  const readSecret = () => assert.fail('there is no Secret to read');
  const source = { readSecret, env: { STORAGE_EMULATOR_HOST: endpoint }, certificateAuthority: undefined };
  const { notes, create } = await prepareStore('gcs', { configuration, ...source });
  assert.deepEqual(notes, [
    'field without effect: spec.configuration.endpointURL: Google has one endpoint',
    'field without effect: spec.configuration.wal.encryption: Google encrypts all; name a key with --kms-key-name',
  ]);
  const storage = create(() => undefined);
  t.after(() => storage.close());
  await storage.put('a', Buffer.from('x'));
  assert.ok(double.object('bucket', 'a'));
});

test('one KMS key for all that is written, and two are refused', () => {
  const args = (name: string) => ({ additionalCommandArgs: [`--kms-key-name=${name}`] });
  const configuration = { destinationPath: 'gs://b', googleCredentials: { gkeEnvironment: true }, data: args('k1') };
  assert.equal(resolveGcsSettings(configuration, undefined, {}, undefined).kmsKeyName, 'k1');
  const wal = { archiveAdditionalCommandArgs: ['--kms-key-name=k2'] };
  assert.throws(() => resolveGcsSettings({ ...configuration, wal }, undefined, {}, undefined), /"k2" and "k1"/);
});

function resolve(key: string | undefined, env: Record<string, string>, authority: string | undefined): GcsSettings {
  const googleCredentials = key === undefined ? { gkeEnvironment: true } : {};
  return resolveGcsSettings({ destinationPath: 'gs://bucket/backups', googleCredentials }, key, env, authority);
}

async function settingsFor(network: GoogleNetwork, keyFile: object | undefined, env: Record<string, string> = {}) {
  const key = keyFile === undefined ? undefined : JSON.stringify(keyFile);
  return resolve(key, { HTTPS_PROXY: network.proxy, ...env }, network.authority);
}

function open(t: TestContext, settings: GcsSettings) {
  const storage = createGcsStorage(settings);
  t.after(() => storage.close());
  return storage;
}

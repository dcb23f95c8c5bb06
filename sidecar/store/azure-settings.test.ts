import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '../../api/kube.ts';
import type { AzureCredentials, ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { parseConnectionString } from './azure-connection-string.ts';
import { azureIdentity } from './azure-identity.ts';
import { readAzureSecrets } from './azure-secrets.ts';
import { type AzureSecretValues, expiryOf, resolveAzureSettings } from './azure-settings.ts';

const CLOUD = 'https://account.blob.core.windows.net/c/p';
const KEY = { storageAccount: 'account', storageKey: 'key' };

test('takes account, container and address from destinationPath, in the cloud by HTTPS', () => {
  const cases: [url: string, account: string, endpoint: string, container: string][] = [
    [CLOUD, 'account', 'https://account.blob.core.windows.net', 'c'],
    ['http://account.blob.core.windows.net/c', 'account', 'https://account.blob.core.windows.net', 'c'],
    ['https://a.blob.core.chinacloudapi.cn/c/p', 'a', 'https://a.blob.core.chinacloudapi.cn', 'c'],
    ['http://127.0.0.1:10000/dev/c/p', 'dev', 'http://127.0.0.1:10000/dev', 'c'],
  ];
  for (const [destinationPath, account, endpoint, container] of cases) {
    const settings = resolve({ destinationPath }, { storageAccount: account, storageKey: 'key' });
    assert.equal(settings.endpoint, endpoint);
    assert.equal(settings.container, container);
    assert.deepEqual(settings.credentials, { account, key: 'key' });
  }
});

test('refuses an account that is not the one of destinationPath, and names both', () => {
  const strange = () => resolve({}, { storageAccount: 'other', storageKey: 'key' });
  assert.throws(strange, /azureCredentials\.storageAccount: found "other": write account/);
});

test('understands the connection strings that Azure and its emulator give', () => {
  const account = 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5==;EndpointSuffix=core.chinacloudapi.cn';
  assert.deepEqual(parseConnectionString(account), {
    endpoint: 'https://a.blob.core.chinacloudapi.cn',
    credentials: { account: 'a', key: 'a2V5==' },
  });
  const signed = 'BlobEndpoint=https://a.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x%3D&se=2030';
  assert.deepEqual(parseConnectionString(signed), {
    endpoint: 'https://a.blob.core.windows.net',
    credentials: { sas: 'sv=1&sig=x%3D&se=2030' },
  });
  assert.equal(parseConnectionString('UseDevelopmentStorage=true').endpoint, 'http://127.0.0.1:10000/devstoreaccount1');
});

test('refuses what is no connection string without showing it', () => {
  for (const text of ['MARKER', 'AccountName=a;AccountKey', 'AccountKey=MARKER', 'BlobEndpoint=MARKER;AccountKey=x']) {
    assert.throws(
      () => parseConnectionString(text),
      (error: Error) =>
        /connectionString: not a connection string/.test(error.message) && !/MARKER/.test(error.message),
    );
  }
});

test('of several login methods one counts, in the order of the tools; an empty block is the default chain', async () => {
  const selector = (key: string) => ({ name: 'azure', key });
  const all: AzureCredentials = {
    ...{ useDefaultAzureCredentials: true, inheritFromAzureAD: true, connectionString: selector('string') },
    ...{ storageAccount: selector('account'), storageKey: selector('key'), storageSasToken: selector('sas') },
  };
  const { useDefaultAzureCredentials: _a, ...managed } = all;
  const { inheritFromAzureAD: _b, ...string } = managed;
  const { connectionString: _c, ...sas } = string;
  const { storageSasToken: _d, ...key } = sas;
  const expected: [AzureCredentials, AzureSecretValues][] = [
    [all, { identity: 'default' }],
    [managed, { identity: 'managed-identity' }],
    [string, { connectionString: 'string' }],
    [sas, { storageAccount: 'account', storageSasToken: 'sas' }],
    [key, { storageAccount: 'account', storageKey: 'key' }],
    [{}, { identity: 'default' }],
  ];
  for (const [credentials, values] of expected) assert.deepEqual(await readAzureSecrets(credentials, secret), values);
});

test('names the field that is missing', async () => {
  const selector = { name: 'azure', key: 'account' };
  await assert.rejects(readAzureSecrets({ storageKey: selector }, secret), /storageAccount is missing/);
  await assert.rejects(readAzureSecrets({ storageAccount: selector }, secret), /storageKey is missing/);
  const nope = { connectionString: { name: 'azure', key: 'nope' } };
  await assert.rejects(readAzureSecrets(nope, secret), /connectionString: Secret azure has no key "nope"/);
});

test('decides the identity from the environment', () => {
  const workload = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_FEDERATED_TOKEN_FILE: '/token' };
  assert.equal(azureIdentity({ ...workload, AZURE_CLIENT_SECRET: 's' }).kind, 'library');
  const authority = 'https://login.microsoftonline.com';
  const expected = { kind: 'workload', authority, tenantId: 't', clientId: 'c', tokenFile: '/token' };
  assert.deepEqual(azureIdentity(workload), expected);
  const china = { ...workload, AZURE_AUTHORITY_HOST: 'https://login.chinacloudapi.cn/' };
  assert.deepEqual(azureIdentity(china), { ...expected, authority: 'https://login.chinacloudapi.cn' });
  assert.deepEqual(azureIdentity({}), { kind: 'machine', endpoint: 'http://169.254.169.254', clientId: undefined });
});

test('honours the options for Azure of all tools, and refuses two encryption scopes', () => {
  const wal = { archiveAdditionalCommandArgs: ['--encryption-scope=s', '--max-block-size=1MB', '--max-concurrency=4'] };
  const data = { additionalCommandArgs: ['--max-single-put-size=8MB', '--max-concurrency=2'] };
  const { encryptionScope, maxBlockBytes, maxConcurrency, maxSinglePutBytes } = resolve({ wal, data }, KEY);
  assert.deepEqual(
    { encryptionScope, maxBlockBytes, maxConcurrency, maxSinglePutBytes },
    { encryptionScope: 's', maxBlockBytes: 1024 ** 2, maxConcurrency: 4, maxSinglePutBytes: 8 * 1024 ** 2 },
  );
  const other = { additionalCommandArgs: ['--encryption-scope=o'] };
  assert.throws(() => resolve({ wal, data: other }, KEY), /--encryption-scope: .* names "s", .* names "o"/);
});

test('tells when a shared access signature ends, and nothing of other credentials', () => {
  const sas = (storageSasToken: string) => resolve({}, { storageAccount: 'account', storageSasToken });
  assert.deepEqual(expiryOf(sas('?se=2030-01-02T03%3A04%3A05Z&sig=x')), new Date('2030-01-02T03:04:05Z'));
  assert.equal(expiryOf(sas('si=policy&sig=x')), undefined);
  assert.equal(expiryOf(resolve({}, KEY)), undefined);
});

function resolve(configuration: Partial<ObjectStoreConfiguration>, secrets: AzureSecretValues) {
  const whole = { destinationPath: CLOUD, azureCredentials: {}, ...configuration };
  return resolveAzureSettings(whole, secrets, {}, undefined);
}

async function secret(): Promise<Secret> {
  const values = ['string', 'account', 'key', 'sas'].map((key) => [key, Buffer.from(key).toString('base64')]);
  return { data: Object.fromEntries(values) };
}

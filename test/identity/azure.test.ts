// Logging in to Azure in every way that an ObjectStore can say, with the settings that it is resolved to: Azure's own names,
// reached through a proxy, with certificates that only endpointCA vouches for.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AzureCredentials } from '../../api/objectstore.ts';
import { createAzureStorage } from '../../sidecar/store/azure.ts';
import { readAzureSecrets } from '../../sidecar/store/azure-secrets.ts';
import { resolveAzureSettings } from '../../sidecar/store/azure-settings.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { failureOf } from '../servers/answering-s3.ts';
import { type AzureNetwork, startAzureNetwork } from './azure-network.ts';

const CLIENT = '11111111-2222-3333-4444-555555555555';
const MACHINE: AzureCredentials = { inheritFromAzureAD: true };

test('a managed identity asks the metadata server directly, and the store through the proxy', async (t) => {
  const network = await startAzureNetwork(t);
  const storage = await open(t, network, MACHINE, { AZURE_CLIENT_ID: CLIENT });
  assert.equal((await storage.head('a'))?.etag, '0x1');
  const [asked] = network.asked;
  assert.equal(asked?.path, '/metadata/identity/oauth2/token');
  assert.equal(asked.metadata, 'true');
  assert.deepEqual(Object.fromEntries(asked.fields), {
    ...{ 'api-version': '2018-02-01', resource: 'https://storage.azure.com/', client_id: CLIENT },
  });
  assert.deepEqual(network.tunnels, ['account.blob.core.windows.net:443']);
});

test('one token serves many requests, and a new one is there before the old one ends', async (t) => {
  const network = await startAzureNetwork(t);
  const storage = await open(t, network, MACHINE);
  for (const _ of [1, 2, 3]) await storage.head('a');
  assert.equal(network.given.length, 1);

  const short = await startAzureNetwork(t);
  // Two minutes before its end the client looks for the next one, without letting the request wait.
  short.lifetimeSeconds = 60;
  const renewing = await open(t, short, MACHINE);
  while (short.given.length < 3) await renewing.head('a');
  const used = new Set(short.stored.map(({ headers }) => headers.authorization));
  assert.ok(used.has('Bearer token-1') && used.has('Bearer token-2'));
});

test('workload identity exchanges the token that is in the file now', async (t) => {
  const network = await startAzureNetwork(t);
  const file = await tokenFile(t, 'the token of the service account\n');
  const env = { AZURE_CLIENT_ID: CLIENT, AZURE_TENANT_ID: 'tenant', AZURE_FEDERATED_TOKEN_FILE: file };
  for (const credentials of [MACHINE, { useDefaultAzureCredentials: true }, {}]) {
    assert.ok(await (await open(t, network, credentials, env)).head('a'));
  }
  const [asked] = network.asked;
  assert.equal(asked?.path, '/tenant/oauth2/v2.0/token');
  assert.deepEqual(Object.fromEntries(asked.fields), {
    grant_type: 'client_credentials',
    client_id: CLIENT,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'the token of the service account',
    scope: 'https://storage.azure.com/.default',
  });
  await writeFile(file, 'a later one');
  await (await open(t, network, MACHINE, env)).head('a');
  assert.equal(network.asked.at(-1)?.fields.get('client_assertion'), 'a later one');
  assert.ok(network.tunnels.includes('login.microsoftonline.com:443'));
});

test('a refusal names the identity and gives the words of the issuer', async (t) => {
  const network = await startAzureNetwork(t);
  const said = { error: 'invalid_client', error_description: 'AADSTS70021: No matching federated identity record' };
  network.instead = (response) => response.writeHead(401).end(JSON.stringify(said));
  const file = await tokenFile(t, 'MARKER');
  const env = { AZURE_CLIENT_ID: CLIENT, AZURE_TENANT_ID: 'tenant', AZURE_FEDERATED_TOKEN_FILE: file };
  const error = await failureOf((await open(t, network, MACHINE, env)).head('a'));
  assert.equal(error.failure, 'refused');
  assert.match(error.message, /^azure login workload identity 1111\S+: .*invalid_client: AADSTS70021: No matching/);
  assert.doesNotMatch(error.message, /MARKER/);
});

const NOT_TOKENS: [what: string, answer: (response: ServerResponse) => void, failure: string][] = [
  ['no identity on the node', (response) => response.writeHead(400).end('{"error":"invalid_request"}'), 'refused'],
  ['a metadata server in trouble', (response) => response.writeHead(500).end('oops'), 'broken'],
  ['one that asks for patience', (response) => response.writeHead(429).end(), 'throttled'],
  ['garbage', (response) => response.writeHead(200).end('<html>'), 'broken'],
  ['an answer without a token', (response) => response.writeHead(200).end('{"expires_in":"3600"}'), 'broken'],
  ['a connection that ends', (response) => response.destroy(), 'broken'],
];

for (const [what, answer, failure] of NOT_TOKENS) {
  test(`${what} in the place of a token is ${failure}, and nothing is sent to the store`, async (t) => {
    const network = await startAzureNetwork(t);
    network.instead = answer;
    const error = await failureOf((await open(t, network, MACHINE)).head('a'));
    assert.equal(error.failure, failure);
    assert.match(error.message, /^azure login managed identity/);
    assert.equal(network.stored.length, 0);
  });
}

test('a missing token file is told by name', async (t) => {
  const network = await startAzureNetwork(t);
  const env = { AZURE_CLIENT_ID: CLIENT, AZURE_TENANT_ID: 'tenant', AZURE_FEDERATED_TOKEN_FILE: '/nowhere/token' };
  const error = await failureOf((await open(t, network, MACHINE, env)).head('a'));
  assert.match(error.message, /\/nowhere\/token/);
});

async function open(
  t: TestContext,
  network: AzureNetwork,
  azureCredentials: AzureCredentials,
  env: Record<string, string> = {},
): Promise<ObjectStorage> {
  const configuration = { destinationPath: 'http://account.blob.core.windows.net/container', azureCredentials };
  const secrets = await readAzureSecrets(azureCredentials, () => assert.fail('no Secret is needed'));
  const around = { HTTPS_PROXY: network.proxy, HTTP_PROXY: network.proxy };
  const surroundings = { ...around, AZURE_POD_IDENTITY_AUTHORITY_HOST: network.metadata, ...env };
  const storage = createAzureStorage(resolveAzureSettings(configuration, secrets, surroundings, network.authority));
  t.after(() => storage.close());
  return storage;
}

async function tokenFile(t: TestContext, content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-azure-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'token');
  await writeFile(file, content);
  return file;
}

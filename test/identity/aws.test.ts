// Logging in to AWS without keys in the ObjectStore: the SDK's chain as the adapter uses it, with the variables that EKS and
// people set. They are those of this process, which the SDK reads itself.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createS3Storage } from '../../sidecar/store/s3.ts';
import { resolveS3Settings } from '../../sidecar/store/s3-settings.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { failureOf } from '../servers/answering-s3.ts';
import { type AwsNetwork, startAwsNetwork } from './aws-network.ts';

const ARN = 'arn:aws:iam::123456789012:role/archiver';
const NOWHERE = { AWS_CONFIG_FILE: '/nowhere/config', AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials' };

type Login = { name: string; variables(t: TestContext, network: AwsNetwork): Promise<Record<string, string>> };

const LOGINS: Login[] = [
  {
    name: 'web identity',
    variables: async (t, { endpoint }) => ({
      AWS_WEB_IDENTITY_TOKEN_FILE: await file(t, 'web token'),
      ...{ AWS_ROLE_ARN: ARN, AWS_ENDPOINT_URL_STS: endpoint, AWS_EC2_METADATA_DISABLED: 'true' },
    }),
  },
  {
    name: 'Pod identity',
    variables: async (t, { endpoint }) => ({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: await file(t, 'pod token'),
    }),
  },
  {
    name: 'the role of the instance',
    variables: async (_t, { endpoint }) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint }),
  },
];

for (const { name, variables } of LOGINS) {
  test(`${name}: one answer serves many requests, with its session token`, async (t) => {
    const network = await startAwsNetwork(t);
    const storage = open(t, network, await variables(t, network));
    for (const _ of [1, 2, 3]) await storage.head('k');
    assert.deepEqual(network.used, ['KEY1', 'KEY1', 'KEY1']);
    assert.deepEqual(new Set(network.tokens), new Set(['session of KEY1']));
    assert.deepEqual(network.given, ['KEY1']);
  });

  test(`${name}: keys are renewed before they end`, async (t) => {
    const network = await startAwsNetwork(t);
    network.lifetimeSeconds = 60;
    const storage = open(t, network, await variables(t, network));
    while (!network.used.includes('KEY2')) await storage.head('k');
    assert.equal(network.used[0], 'KEY1');
  });

  for (const [what, answer] of NOT_KEYS()) {
    test(`${name}: ${what} in the place of keys is an error, and nothing is sent to the store`, async (t) => {
      const network = await startAwsNetwork(t);
      network.instead = answer;
      const error = await failureOf(open(t, network, await variables(t, network)).head('k'));
      assert.notEqual(error.failure, 'absent');
      assert.deepEqual(network.used, []);
      assert.doesNotMatch(error.message, /web token|pod token/);
    });
  }
}

test('web identity sends the token of the file and the role to the endpoint of AWS_ENDPOINT_URL_STS', async (t) => {
  const network = await startAwsNetwork(t);
  const [login] = LOGINS;
  await open(t, network, (await login?.variables(t, network)) ?? {}).head('k');
  const [asked] = network.asked;
  assert.equal(asked?.fields.get('Action'), 'AssumeRoleWithWebIdentity');
  assert.equal(asked.fields.get('RoleArn'), ARN);
  assert.equal(asked.fields.get('WebIdentityToken'), 'web token');
});

test('Pod identity sends its token, and the instance role a session token, as a header', async (t) => {
  const network = await startAwsNetwork(t);
  for (const login of LOGINS.slice(1)) await open(t, network, await login.variables(t, network)).head('k');
  assert.equal(network.asked[0]?.headers.authorization, 'pod token');
  const [session] = network.asked.filter(({ path }) => path === '/latest/api/token');
  assert.equal(session?.method, 'PUT');
});

test('a role that may not be assumed is refused, with the words of AWS that name identity, action and resource', async (t) => {
  const network = await startAwsNetwork(t);
  const words = `User: system:serviceaccount:ns:pg is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: ${ARN}`;
  network.instead = (response) => {
    const error = `<Error><Code>AccessDenied</Code><Message>${words}</Message></Error>`;
    response.writeHead(403, { 'content-type': 'text/xml' }).end(`<ErrorResponse>${error}</ErrorResponse>`);
  };
  const [login] = LOGINS;
  const error = await failureOf(open(t, network, (await login?.variables(t, network)) ?? {}).head('k'));
  assert.equal(error.failure, 'refused');
  assert.ok(error.message.includes(words), error.message);
});

function NOT_KEYS(): [what: string, answer: (response: ServerResponse) => void][] {
  return [
    ['a refusal', (response) => response.writeHead(403).end()],
    ['garbage', (response) => response.writeHead(200).end('<html>')],
    ['a closed connection', (response) => response.destroy()],
  ];
}

function open(t: TestContext, { endpoint }: AwsNetwork, variables: Record<string, string>): ObjectStorage {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, NOWHERE, { AWS_REGION: 'eu-central-1' }, variables);
  const configuration = {
    destinationPath: 's3://bucket/',
    endpointURL: endpoint,
    s3Credentials: { inheritFromIAMRole: true },
  };
  const storage = createS3Storage(resolveS3Settings(configuration, undefined, process.env, undefined));
  t.after(() => storage.close());
  return storage;
}

async function file(t: TestContext, content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-aws-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'token');
  await writeFile(path, content);
  return path;
}

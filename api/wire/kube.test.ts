// Against a real HTTPS server on loopback that answers the way an API server does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PreconditionError } from '../errors.ts';
import { issue, makeAuthority } from './certificates.ts';
import { createKubeClient, type KubeClientOptions } from './kube.ts';
import { KubeError } from './kube-http.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;
type Seen = { method: string; path: string; authorization: string | undefined; type: string | undefined; body: string };

const validMs = 3_600_000;
const authority = await makeAuthority({ commonName: 'cluster', validMs });
const identity = await issue(authority, { commonName: 'api', ipAddresses: ['127.0.0.1'], usages: ['server'], validMs });

const reply = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

const failure = (code: number, reason: string, message: string) => ({
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message,
});

/** An API server that answers by a handler, and a client of it that retries without waiting. */
async function connect(t: TestContext, handler: Handler, options: Partial<KubeClientOptions> = {}) {
  const seen: Seen[] = [];
  const server = createServer({ cert: identity.cert, key: identity.key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const { method = '', url: path = '', headers } = request;
      seen.push({ method, path, authorization: headers.authorization, type: headers['content-type'], body });
      handler(request, response, body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = await mkdtemp(join(tmpdir(), 'cellar-kube-'));
  await writeFile(join(folder, 'ca.crt'), authority.cert);
  await writeFile(join(folder, 'token'), 'token-1\n');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = createKubeClient({
    host: '127.0.0.1',
    port: address.port,
    serviceAccountFolder: folder,
    cnpgGroup: 'postgresql.cnpg.io',
    cnpgVersion: 'v1',
    retryDelaysMs: [1, 1],
    ...options,
  });
  t.after(async () => {
    client.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { client, seen, folder, server };
}

const store = (destinationPath: string) => ({
  kind: 'ObjectStore',
  metadata: { name: 'store', namespace: 'db' },
  spec: { configuration: { destinationPath } },
});

test('reads each kind at its own path with the token of the service account', async (t) => {
  const { client, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')), {
    cnpgGroup: 'fork.example',
    cnpgVersion: 'v2',
  });
  await client.objectStore('db', 'store');
  await client.secret('db', 'keys');
  await client.cluster('db', 'pg');
  assert.deepEqual(
    seen.map(({ method, path, authorization }) => `${method} ${path} ${authorization}`),
    [
      'GET /apis/barmancloud.cnpg.io/v1/namespaces/db/objectstores/store Bearer token-1',
      'GET /api/v1/namespaces/db/secrets/keys Bearer token-1',
      'GET /apis/fork.example/v2/namespaces/db/clusters/pg Bearer token-1',
    ],
  );
});

test('gives copies, so that a caller cannot change what the next one gets', async (t) => {
  const { client, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')));
  const first = await client.objectStore('db', 'store');
  first.spec.configuration.destinationPath = 's3://changed/';
  const second = await client.objectStore('db', 'store');
  assert.equal(second.spec.configuration.destinationPath, 's3://b/');
  second.spec.configuration.destinationPath = 's3://changed/';
  assert.equal((await client.objectStore('db', 'store')).spec.configuration.destinationPath, 's3://b/');
  assert.equal(seen.length, 1);
});

test('keeps ObjectStores and Secrets for ten seconds, Clusters not at all', async (t) => {
  let now = 1_000_000;
  const { client, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')), {
    now: () => now,
  });
  const readAll = () =>
    Promise.all([client.objectStore('db', 'a'), client.secret('db', 'a'), client.cluster('db', 'a')]);
  await readAll();
  now += 10_000;
  await readAll();
  assert.equal(seen.length, 4, 'only the Cluster is read again');
  now += 1;
  await readAll();
  assert.equal(seen.length, 7);
});

test('readers at the same time share one request', async (t) => {
  const { client, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')));
  await Promise.all(Array.from({ length: 5 }, () => client.objectStore('db', 'store')));
  assert.equal(seen.length, 1);
});

test('a failed read is not kept', async (t) => {
  let missing = true;
  const { client } = await connect(t, (_request, response) =>
    missing ? reply(response, 404, failure(404, 'NotFound', 'not found')) : reply(response, 200, store('s3://b/')),
  );
  await assert.rejects(client.objectStore('db', 'store'), PreconditionError);
  missing = false;
  assert.equal((await client.objectStore('db', 'store')).metadata.name, 'store');
});

test('a missing object is a precondition with its name, the words of the API server and a hint', async (t) => {
  const { client } = await connect(t, (_request, response) =>
    reply(response, 404, failure(404, 'NotFound', 'objectstores.barmancloud.cnpg.io "store" not found')),
  );
  await assert.rejects(client.objectStore('db', 'store'), (error) => {
    assert.ok(error instanceof PreconditionError);
    assert.equal(
      error.message,
      'ObjectStore db/store does not exist (objectstores.barmancloud.cnpg.io "store" not found); ' +
        'create it, or correct the parameter barmanObjectName of the Cluster',
    );
    return true;
  });
  await assert.rejects(
    client.secret('db', 'keys'),
    /^PreconditionError: Secret db\/keys does not exist .*ObjectStore$/,
  );
  await assert.rejects(client.cluster('db', 'pg'), /^PreconditionError: Cluster db\/pg does not exist/);
});

test('a forbidden object is a precondition that says that the grants may still be on their way', async (t) => {
  const { client, seen } = await connect(t, (_request, response) =>
    reply(response, 403, failure(403, 'Forbidden', 'secrets "keys" is forbidden')),
  );
  await assert.rejects(client.secret('db', 'keys'), {
    name: 'PreconditionError',
    message: /^Secret db\/keys: cannot be read \(secrets "keys" is forbidden\); the grants may not have arrived yet/,
  });
  await assert.rejects(client.objectStore('db', 'store'), { message: /the grants may not have arrived yet/ });
  assert.equal(seen.length, 2, 'a refusal is not repeated');
});

test('other failures keep the message of the API server and its status', async (t) => {
  const { client } = await connect(t, (_request, response) =>
    reply(response, 401, failure(401, 'Unauthorized', 'Unauthorized')),
  );
  await assert.rejects(client.cluster('db', 'pg'), (error) => {
    assert.ok(error instanceof KubeError);
    assert.deepEqual([error.status, error.retriable], [401, false]);
    assert.match(error.message, /GET .*\/clusters\/pg: Unauthorized \(HTTP 401\)$/);
    return true;
  });
});

test('shows a piece of an answer that does not come from an API server', async (t) => {
  const { client } = await connect(t, (_request, response) => response.writeHead(418).end('<html>\n proxy </html>'));
  await assert.rejects(client.cluster('db', 'pg'), { message: /: <html> proxy <\/html> \(HTTP 418\)$/ });
});

test('an answer that is not JSON is a failure', async (t) => {
  const { client } = await connect(t, (_request, response) => response.writeHead(200).end('hello'));
  await assert.rejects(client.cluster('db', 'pg'), { name: 'KubeError', message: /the answer is not JSON/ });
});

test('repeats a read after a lost connection and after 503', async (t) => {
  const answers: Handler[] = [
    (request) => request.socket.destroy(),
    (_request, response) => reply(response, 503, failure(503, 'ServiceUnavailable', 'starting')),
    (_request, response) => reply(response, 200, store('s3://b/')),
  ];
  const { client, seen } = await connect(t, (request, response, body) => answers.shift()?.(request, response, body));
  assert.equal((await client.objectStore('db', 'store')).metadata.name, 'store');
  assert.equal(seen.length, 3);
});

test('a body that is cut is a lost connection', async (t) => {
  const { client, seen } = await connect(t, (request, response) => {
    response.writeHead(200, { 'content-length': '1000' }).write('{', () => request.socket.destroy());
  });
  await assert.rejects(client.cluster('db', 'pg'), { name: 'KubeError', retriable: true });
  assert.equal(seen.length, 3);
});

test('gives up after a few attempts when nobody listens, and says so', async (t) => {
  const { client, server } = await connect(t, () => {});
  server.close();
  await once(server, 'close');
  await assert.rejects(client.cluster('db', 'pg'), { name: 'KubeError', message: /ECONNREFUSED/ });
});

test('a server that does not answer is given up after the limit', async (t) => {
  const { client } = await connect(t, () => {}, { timeoutMs: 20, retryDelaysMs: [] });
  await assert.rejects(client.cluster('db', 'pg'), { name: 'KubeError', message: /no answer within 20 ms/ });
});

test('a caller that gives up gets its own reason', async (t) => {
  const abort = new AbortController();
  const reason = new Error('stopping');
  const { client } = await connect(t, () => abort.abort(reason));
  const request = client.request({ method: 'GET', path: '/api', signal: abort.signal });
  await assert.rejects(request, (error) => error === reason);
});

test('does not trust a server whose certificate another CA has signed', async (t) => {
  const { client, folder, seen } = await connect(t, (_request, response) => reply(response, 200, {}));
  await writeFile(join(folder, 'ca.crt'), (await makeAuthority({ commonName: 'other', validMs })).cert);
  await assert.rejects(client.cluster('db', 'pg'), { name: 'KubeError', message: /certificate/ });
  assert.deepEqual(seen, []);
});

test('a missing token is a precondition that names the file', async (t) => {
  const { client, folder } = await connect(t, () => {});
  await rm(join(folder, 'token'));
  await assert.rejects(client.cluster('db', 'pg'), {
    name: 'PreconditionError',
    message: /no access to the Kubernetes API: ENOENT.*token.*kube-api-access/,
  });
});

test('uses the new token after the kubelet has swapped it, looking once a second', async (t) => {
  let now = 5_000;
  const { client, folder, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')), {
    now: () => now,
  });
  await client.cluster('db', 'pg');
  await writeFile(join(folder, 'token-2'), 'token-2\n');
  await symlink('token-2', join(folder, 'fresh'));
  await rename(join(folder, 'fresh'), join(folder, 'token'));
  now += 999;
  await client.cluster('db', 'pg');
  now += 1;
  await client.cluster('db', 'pg');
  assert.deepEqual(
    seen.map(({ authorization }) => authorization),
    ['Bearer token-1', 'Bearer token-1', 'Bearer token-2'],
  );
});

test('writes the recovery window of one server as a merge patch on the status and forgets the cached store', async (t) => {
  const { client, seen } = await connect(t, (_request, response) => reply(response, 200, store('s3://b/')));
  await client.objectStore('db', 'store');
  await client.patchObjectStoreStatus('db', 'store', 'pg', {
    lastSuccessfulBackupTime: '2026-11-23T10:00:00Z',
    lastFailedBackupTime: null,
  });
  await client.objectStore('db', 'store');
  assert.deepEqual(
    seen.map(({ method }) => method),
    ['GET', 'PATCH', 'GET'],
  );
  const [, patch] = seen;
  assert.equal(patch?.path, '/apis/barmancloud.cnpg.io/v1/namespaces/db/objectstores/store/status');
  assert.equal(patch?.type, 'application/merge-patch+json');
  assert.deepEqual(JSON.parse(patch?.body ?? ''), {
    status: {
      serverRecoveryWindow: { pg: { lastSuccessfulBackupTime: '2026-11-23T10:00:00Z', lastFailedBackupTime: null } },
    },
  });
});

test('repeats a status write after a conflict, but not after a lost connection', async (t) => {
  const answers: Handler[] = [
    (_request, response) => reply(response, 409, failure(409, 'Conflict', 'the object has been modified')),
    (_request, response) => reply(response, 200, {}),
    (request) => request.socket.destroy(),
  ];
  const { client, seen } = await connect(t, (request, response, body) => answers.shift()?.(request, response, body));
  await client.patchObjectStoreStatus('db', 'store', 'pg', {});
  assert.equal(seen.length, 2);
  await assert.rejects(client.patchObjectStoreStatus('db', 'store', 'pg', {}), { name: 'KubeError' });
  assert.equal(seen.length, 3);
});

test('a forbidden status write says what is missing', async (t) => {
  const { client } = await connect(t, (_request, response) =>
    reply(response, 403, failure(403, 'Forbidden', 'cannot patch objectstores/status')),
  );
  await assert.rejects(client.patchObjectStoreStatus('db', 'store', 'pg', null), {
    name: 'PreconditionError',
    message: /^ObjectStore db\/store: status cannot be written \(cannot patch objectstores\/status\); the grants/,
  });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { PreconditionError } from '../api/errors.ts';
import { createOperatorKube } from './kube.ts';
import { MissingObjectError } from './reads.ts';

const { signal } = new AbortController();
const SECRET = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'minio' },
  data: { ID: 'Z2VoZWlt', KEY: 'Z2VoZWlt' },
};

test('of a Secret it gives the names of the keys alone', async (t) => {
  const { lookUps, asked } = await standing(t, 200, SECRET);
  assert.deepEqual(await lookUps.secretKeys('shop', 'minio', signal), ['ID', 'KEY']);
  assert.deepEqual(asked, ['GET /api/v1/namespaces/shop/secrets/minio']);
  const empty = await standing(t, 200, { ...SECRET, data: undefined });
  assert.deepEqual(await empty.lookUps.secretKeys('shop', 'minio', signal), []);
});

test('a Secret that cannot be understood is not repeated in the error', async (t) => {
  const { lookUps } = await standing(t, 200, 'geheim');
  await assert.rejects(lookUps.secretKeys('shop', 'minio', signal), (error) => {
    assert.match(String(error), /read secrets shop\/minio: the answer is not JSON/);
    assert.doesNotMatch(inspect(error), /geheim/);
    return true;
  });
});

test('reads a Backup by its name, in the group of the operator', async (t) => {
  const backup = { metadata: { name: 'nightly' }, spec: { method: 'plugin' } };
  const { lookUps, asked } = await standing(t, 200, backup);
  assert.deepEqual(await lookUps.backup('shop', 'nightly', signal), backup);
  assert.deepEqual(asked, ['GET /apis/postgresql.example.org/v1/namespaces/shop/backups/nightly']);
});

test('a namespace terminates once it has a time of deletion, and when it has gone', async (t) => {
  const namespace = (metadata: object) => ({ apiVersion: 'v1', kind: 'Namespace', metadata });
  const staying = await standing(t, 200, namespace({ name: 'shop' }));
  assert.equal(await staying.lookUps.isNamespaceTerminating('shop', signal), false);
  assert.deepEqual(staying.asked, ['GET /api/v1/namespaces/shop']);
  const going = await standing(t, 200, namespace({ name: 'shop', deletionTimestamp: '2026-11-25T08:00:00Z' }));
  assert.equal(await going.lookUps.isNamespaceTerminating('shop', signal), true);
  const gone = await standing(t, 404, { kind: 'Status', code: 404, message: 'not found' });
  assert.equal(await gone.lookUps.isNamespaceTerminating('shop', signal), true);
});

test('what is not there is an answer, what is forbidden an error, and a name that no object can have is not asked for', async (t) => {
  const gone = await standing(t, 404, { kind: 'Status', code: 404, message: 'not found' });
  assert.equal(await gone.lookUps.secretKeys('shop', 'minio', signal), undefined);
  assert.equal(await gone.lookUps.backup('shop', 'nightly', signal), undefined);
  const closed = await standing(t, 403, { kind: 'Status', code: 403, message: 'is forbidden' });
  for (const ask of [
    () => closed.lookUps.secretKeys('shop', 'minio', signal),
    () => closed.lookUps.backup('shop', 'nightly', signal),
    () => closed.lookUps.isNamespaceTerminating('shop', signal),
  ]) {
    await assert.rejects(ask, (error) => error instanceof PreconditionError && !(error instanceof MissingObjectError));
  }
  const { lookUps, asked } = await standing(t, 200, {});
  for (const name of ['.', '..', 'a/b', 'Minio', '']) {
    assert.equal(await lookUps.secretKeys('shop', name, signal), undefined, name);
    assert.equal(await lookUps.backup('shop', name, signal), undefined, name);
  }
  assert.deepEqual(asked, []);
});

test('every question ends with its signal', async (t) => {
  const arrived = Promise.withResolvers<void>();
  for (const kind of ['secretKeys', 'backup'] as const) {
    const { lookUps } = await serving(t, () => arrived.resolve());
    const end = new AbortController();
    const asking = lookUps[kind]('shop', 'any', end.signal);
    await arrived.promise;
    end.abort(new Error('late'));
    await assert.rejects(asking, /late|abort/);
  }
  const { lookUps } = await serving(t, () => arrived.resolve());
  await assert.rejects(lookUps.isNamespaceTerminating('shop', AbortSignal.abort(new Error('late'))), /late|abort/);
});

/** A port to a server that always answers the same, and what it was asked. */
async function standing(t: TestContext, status: number, body: object | string) {
  const asked: string[] = [];
  const { lookUps } = await serving(t, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  });
  return { lookUps, asked };
}

async function serving(t: TestContext, answer: RequestListener) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-look-ups-'));
  const server = createServer(answer).listen(0, '127.0.0.1');
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  });
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const kubeconfig = join(folder, 'config');
  const config = {
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    // Plain HTTP is allowed to those who say that they do not want TLS.
    clusters: [
      { name: 'test', cluster: { server: `http://127.0.0.1:${address.port}`, 'insecure-skip-tls-verify': true } },
    ],
    users: [{ name: 'test', user: { token: 'any' } }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  return createOperatorKube({
    ...{ kubeconfig, host: '127.0.0.1', port: 1, serviceAccountFolder: '/nowhere' },
    ...{ cnpgGroup: 'postgresql.example.org', cnpgVersion: 'v1' },
  });
}

// The command as people run it: a kubeconfig, an API server, a process.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type KubeApi, startKubeApi } from '../../test/kube-api.ts';
import { startS3 } from '../../test/servers/s3rver.ts';

const ROOT = join(import.meta.dirname, '../..');
const api = await startKubeApi({ namespace: 'prod' });
const folder = await mkdtemp(join(tmpdir(), 'cellar-doctor-test-'));
const s3 = await startS3();
after(async () => {
  await api.stop();
  await s3.stop();
  await rm(folder, { recursive: true });
});
await s3.createBucket('backups');
const kubeconfig = await writeKubeconfig(api, folder);
await fill(api, s3.endpoint);

test('tells what is wrong, for people and for programs, changes nothing and ends with 1', async () => {
  const writes = api.requests.filter((request) => !request.startsWith('GET')).length;
  const told = await doctor();
  assert.equal(told.status, 1, told.stderr);
  assert.match(told.stdout, /problem +plugin Service: no Service carries the label/);
  assert.match(told.stdout, /ready +prod\/app/);
  const { stdout } = await doctor('-o', 'json');
  const diagnosis = JSON.parse(stdout);
  assert.deepEqual(Object.keys(diagnosis), ['installation', 'clusters']);
  assert.equal(diagnosis.clusters[0].cluster, 'prod/app');
  assert.equal(api.requests.filter((request) => !request.startsWith('GET')).length, writes);
});

test('looks into the stores when asked', async () => {
  const { stdout } = await doctor('--stores', '--all');
  assert.match(stdout, /ok +ObjectStore prod\/backups: answers from here/);
});

test('asks for no Secret but those that are named', async () => {
  api.requests.length = 0;
  await doctor();
  const secrets = api.requests.filter((request) => request.includes('/secrets'));
  assert.deepEqual([...new Set(secrets)], ['GET /api/v1/namespaces/prod/secrets/keys']);
});

test('what the account may not read is told as unknown', async () => {
  api.forbid((_, path) => path.includes('/secrets'));
  try {
    const { stdout } = await doctor();
    assert.match(stdout, /unknown +Secrets: cannot be read: your account may not read them/);
  } finally {
    api.forbid(() => false);
  }
});

test('an unknown flag is refused by name, before anything is read', async () => {
  const { status, stderr } = await doctor('--fix');
  assert.notEqual(status, 0);
  assert.match(stderr, /--fix/);
});

async function doctor(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(ROOT, 'main.ts'), 'doctor', ...args], { env }, (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

async function writeKubeconfig(server: KubeApi, where: string): Promise<string> {
  await server.writeServiceAccount(where);
  const file = join(where, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      {
        name: 'test',
        cluster: {
          server: `https://${server.host}:${server.port}`,
          'certificate-authority-data': Buffer.from(server.ca).toString('base64'),
        },
      },
    ],
    users: [{ name: 'test', user: { token: await readFile(join(where, 'token'), 'utf8') } }],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

async function fill(server: KubeApi, endpointURL: string): Promise<void> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  await server.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys' },
    data: { id: base64(s3.accessKeyId), secret: base64(s3.secretAccessKey) },
  });
  await server.apply({
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name: 'backups' },
    spec: {
      retentionPolicy: '30d',
      configuration: {
        destinationPath: `s3://backups/pg`,
        endpointURL,
        s3Credentials: { accessKeyId: { name: 'keys', key: 'id' }, secretAccessKey: { name: 'keys', key: 'secret' } },
      },
    },
  });
  const plugin = { name: 'barman-cloud.cloudnative-pg.io', parameters: { barmanObjectName: 'backups' } };
  await server.apply({
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'app' },
    spec: { instances: 1, plugins: [{ ...plugin, isWALArchiver: true }] },
  });
}

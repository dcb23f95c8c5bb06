import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backup } from '../kube.ts';
import { createKubeBackups } from './kube-backups.ts';
import { KubeError, type KubeRequest } from './kube-http.ts';

const API = '/apis/fork.example/v2';

function stage(answer: (request: KubeRequest) => unknown) {
  const requests: KubeRequest[] = [];
  const request = async (asked: KubeRequest) => {
    requests.push(asked);
    return answer(asked);
  };
  return { backups: createKubeBackups({ request }, API), requests };
}

const backup = (name: string): Backup => ({ metadata: { name }, spec: { cluster: { name: 'pg' } } });

const failing = (status: number) => (request: KubeRequest) => {
  throw new KubeError({ ...request, status, reason: 'no' });
};

async function namesOf(list: AsyncIterable<Backup>): Promise<string[]> {
  const names: string[] = [];
  for await (const { metadata } of list) names.push(metadata.name);
  return names;
}

test('lists at the path of the operator’s group, page by page', async () => {
  const { backups, requests } = stage(({ path }) =>
    path.includes('continue=')
      ? { metadata: {}, items: [backup('b')] }
      : { metadata: { continue: 'a/b=' }, items: [backup('a')] },
  );
  assert.deepEqual(await namesOf(backups.list('db')), ['a', 'b']);
  assert.deepEqual(
    requests.map(({ path }) => path),
    [`${API}/namespaces/db/backups?limit=200`, `${API}/namespaces/db/backups?limit=200&continue=a%2Fb%3D`],
  );
});

test('a namespace without Backups is an empty list', async () => {
  assert.deepEqual(await namesOf(stage(() => ({ items: null })).backups.list('db')), []);
});

test('deletes the very object that was seen', async () => {
  const { backups, requests } = stage(() => ({}));
  assert.equal(await backups.remove('db', 'nightly', 'u-1'), true);
  const [{ method, path, body } = {}] = requests;
  assert.equal(`${method} ${path}`, `DELETE ${API}/namespaces/db/backups/nightly`);
  assert.deepEqual(body, { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'u-1' } });
});

test('one that is gone counts as deleted, one that has another uid now stays, a refusal is an error', async () => {
  assert.equal(await stage(failing(404)).backups.remove('db', 'b', 'u'), true);
  assert.equal(await stage(failing(409)).backups.remove('db', 'b', 'u'), false);
  await assert.rejects(stage(failing(403)).backups.remove('db', 'b', 'u'), { name: 'KubeError', status: 403 });
});

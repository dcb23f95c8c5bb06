// How paths of a container become folders of this machine, and what this kubelet refuses.
import assert from 'node:assert/strict';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Container, Pod } from '../api/kube.ts';
import { startKubeApi } from './kube-api.ts';
import { createKubelet, localPod, mapPath } from './kubelet.ts';
import { instancePod } from './operator-objects.ts';
import { makeShortFolder, unprivilegedAccount } from './unprivileged.ts';

const CLUSTER = { metadata: { name: 'orders', namespace: 'shop', uid: 'u' }, spec: {} };

async function setUp(t: TestContext) {
  const folder = await makeShortFolder('kubelet-');
  const kubeApi = await startKubeApi();
  t.after(async () => {
    await kubeApi.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const account = unprivilegedAccount();
  await account.own(folder);
  return { folder, kubelet: createKubelet({ folder, logFolder: folder, account, kubeApi }) };
}

function withSidecar(sidecar: Partial<Container>): Pod {
  const pod = instancePod(CLUSTER, { serial: 1, major: 18 });
  const volumeMounts = [{ name: 'plugins', mountPath: '/plugins' }];
  pod.spec.initContainers?.push({ name: 'plugin', image: 'x', restartPolicy: 'Always', volumeMounts, ...sidecar });
  pod.spec.volumes?.push({ name: 'plugins', emptyDir: {} });
  return pod;
}

test('the longest mount above a path wins, and a name that only begins alike is none', () => {
  const mounts = [
    { mountPath: '/controller', folder: '/local/c' },
    { mountPath: '/controller/run', folder: '/local/r' },
  ];
  assert.equal(mapPath('/controller/tmp/x', mounts), '/local/c/tmp/x');
  assert.equal(mapPath('/controller/run', mounts), '/local/r');
  assert.equal(mapPath('/controllers', mounts), undefined);
  assert.equal(mapPath('5432', mounts), undefined);
});

test('volumes become folders: claims by claim, the rest by Pod, the token where it is mounted', async (t) => {
  const { folder, kubelet } = await setUp(t);
  const pod = localPod(instancePod(CLUSTER, { serial: 1, major: 18 }));
  await kubelet.prepare(pod);
  const pgdata = kubelet.localPath(pod, 'postgres', '/var/lib/postgresql/data/pgdata');
  assert.equal(pgdata, join(folder, 'claims', 'orders-1', 'pgdata'));
  const run = kubelet.localPath(pod, 'postgres', '/controller/run');
  assert.equal(run, join(folder, 'pods', 'orders-1', 'scratch-data', 'run'));
  const token = kubelet.localPath(pod, 'postgres', '/var/run/secrets/kubernetes.io/serviceaccount/namespace');
  assert.equal(await readFile(token, 'utf8'), 'shop');

  await kubelet.remove(pod);
  await assert.rejects(stat(join(folder, 'pods', 'orders-1')));
  assert.ok((await stat(join(folder, 'claims', 'orders-1'))).isDirectory());
});

test('a path below no mount is refused', async (t) => {
  const { kubelet } = await setUp(t);
  const pod = localPod(instancePod(CLUSTER, { serial: 1, major: 18 }));
  assert.throws(() => kubelet.localPath(pod, 'postgres', '/plugins'), /below no mount of container postgres/);
});

test('what Kubernetes or the image would not run is refused', async (t) => {
  const { kubelet } = await setUp(t);
  const start = (sidecar: Partial<Container>) => kubelet.startSidecar(localPod(withSidecar(sidecar)), 'plugin');
  await assert.rejects(start({ command: ['/manager'] }), /names a command/);
  await assert.rejects(start({ restartPolicy: 'OnFailure' }), /no native sidecar/);
});

test('a sidecar that ends before its probe passes fails the start with its log', async (t) => {
  const { kubelet } = await setUp(t);
  const startupProbe = {
    exec: { command: ['/manager', 'healthcheck', 'unix'] },
    periodSeconds: 1,
    failureThreshold: 30,
  };
  const pod = localPod(withSidecar({ args: ['nonsense'], startupProbe }));
  await assert.rejects(kubelet.startSidecar(pod, 'plugin'), /ended with 2:\n[\s\S]*unknown command "nonsense"/);
});

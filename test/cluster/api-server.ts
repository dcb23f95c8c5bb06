// The real API server of one test file, on loopback: no root, no network of its own, no Pods that run. Its folder stays when
// a test fails, with every log.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach } from 'node:test';
import { clusterCrds } from './cnpg-crds.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { createKubectl, type Kubectl } from './kubectl.ts';

export type ApiServer = Pick<ControlPlane, 'address' | 'port' | 'caFile' | 'kubeconfig' | 'restartApiServer'> & {
  folder: string;
  kubectl: Kubectl;
  /** Makes a namespace with the accounts that it would have; repeats are fine. */
  makeNamespace(name: string, ...accounts: string[]): Promise<void>;
  /** Writes what the kubelet mounts for an account: `token`, `ca.crt`, `namespace`; again: with a new token. */
  mountAccount(namespace: string, account: string): Promise<string>;
};

const CRD_FILE = join(dirname(dirname(import.meta.dirname)), 'charts/cellar/files/objectstores.yaml');

/** Starts it for all tests of the calling file; `crds`: with our CRD and those of CloudNativePG. */
export async function useApiServer({ crds = true } = {}): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-api-'));
  let failed = true;
  const plane = await startControlPlane({ folder, address: '127.0.0.1' });
  after(async () => {
    await plane.stop();
    if (failed) console.error(`the API server's logs and data stay in ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  });
  const passed: boolean[] = [];
  afterEach((t) => {
    passed.push('passed' in t && t.passed);
    failed = passed.includes(false);
  });
  const kubectl = createKubectl({ KUBECONFIG: plane.kubeconfig, HOME: folder });
  if (crds) await installCrds(kubectl);
  return {
    ...plane,
    ...{ folder, kubectl },
    makeNamespace: (name, ...accounts) =>
      kubectl
        .apply(
          { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
          ...['default', ...accounts].map((account) => serviceAccount(name, account)),
        )
        .then(() => undefined),
    async mountAccount(namespace, account) {
      const mount = join(folder, 'accounts', namespace, account);
      await mkdir(mount, { recursive: true });
      const token = await kubectl.does(['create', 'token', account, '-n', namespace]);
      await writeFile(join(mount, 'ca.crt'), await readFile(plane.caFile));
      await writeFile(join(mount, 'namespace'), namespace);
      await writeFile(join(mount, 'token'), token.trim());
      return mount;
    },
  };
}

/** As a user does it: `kubectl apply -f`; the kinds are served when it resolves. */
export async function installCrds(kubectl: Kubectl): Promise<void> {
  await kubectl.does(['apply', '-f', CRD_FILE]);
  await kubectl.apply(...clusterCrds());
  await kubectl.does(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
}

function serviceAccount(namespace: string, name: string): object {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } };
}

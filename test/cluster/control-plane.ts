// etcd, kube-apiserver and, on wish, kube-controller-manager on one address: as child processes, with data that go with them.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { issue, makeAuthority } from '../../api/wire/certificates.ts';
import type { LocalProcess } from '../process.ts';
import { freePort } from '../servers/free-port.ts';
import { startChild, until } from './child.ts';
import { createKubectl } from './kubectl.ts';
import { tool } from './tools.ts';

export type ControlPlane = {
  /** Of the API server. */
  address: string;
  port: number;
  caFile: string;
  /** With every right. */
  kubeconfig: string;
  /** Kills the API server and starts it again, on the same port and with the same objects. */
  restartApiServer(options?: { downMs?: number }): Promise<void>;
  stop(): Promise<void>;
};

export type ControlPlaneOptions = {
  /** For certificates, logs and etcd's data. */
  folder: string;
  address: string;
  /** Without it no object follows from another: Jobs make no Pods, namespaces get no ServiceAccount. */
  controllers?: readonly string[];
  services?: string;
  /** Of the API server, after ours. */
  flags?: readonly string[];
};

const DAY_MS = 86_400_000;
const START_LIMIT_MS = 120_000;

/** Resolves when the API server says that it is ready. Throws with the end of a log when a program does not start. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folder, address } = options;
  const pki = await writePki(join(folder, 'pki'), address, options.services);
  const [etcdPort, peerPort, port] = [await freePort(address), await freePort(address), await freePort(address)];
  const url = `https://${address}:${port}`;
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigText(url, pki.caFile, pki.adminToken), { mode: 0o600 });
  const kubectl = createKubectl({ KUBECONFIG: kubeconfig, HOME: folder });

  const launch = (name: 'etcd' | 'kube-apiserver' | 'kube-controller-manager', args: string[]): Promise<LocalProcess> =>
    startChild({ name, program: tool(name), args, folder, logFile: join(folder, 'logs', `${name}.log`) });
  const launchApiServer = async (): Promise<LocalProcess> => {
    const server = await launch('kube-apiserver', apiServerFlags(options, pki, port, etcdPort));
    await until('the API server', async () => (await kubectl.does(['get', '--raw', '/readyz'])) === 'ok', {
      limitMs: START_LIMIT_MS,
      children: [server],
    });
    return server;
  };

  await mkdir(join(folder, 'logs'), { recursive: true });
  const started: LocalProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of started.reverse()) await child.stop('SIGKILL');
  };
  try {
    started.push(await launch('etcd', etcdFlags(join(folder, 'etcd'), address, etcdPort, peerPort)));
    let apiServer = await launchApiServer();
    started.push({ ...apiServer, stop: (...how) => apiServer.stop(...how) });
    if (options.controllers) {
      started.push(await launch('kube-controller-manager', controllerFlags(options.controllers, kubeconfig, pki)));
    }
    return {
      ...{ address, port, kubeconfig, caFile: pki.caFile, stop },
      async restartApiServer({ downMs = 0 } = {}) {
        await apiServer.stop('SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, downMs));
        apiServer = await launchApiServer();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Pki = { folder: string; caFile: string; tokenFile: string; adminToken: string };

async function writePki(folder: string, address: string, services = '10.96.0.0/16'): Promise<Pki> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const authority = await makeAuthority({ commonName: 'cluster-ca', validMs: DAY_MS });
  const kubernetes = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'];
  const server = await issue(authority, {
    commonName: 'kube-apiserver',
    dnsNames: kubernetes,
    ipAddresses: [address, services.replace(/\.0\/\d+$/, '.1')],
    usages: ['server'],
    validMs: DAY_MS,
  });
  const kubelet = await issue(authority, { commonName: 'apiserver-to-kubelet', usages: ['client'], validMs: DAY_MS });
  const pem = { type: 'sec1', format: 'pem' } as const;
  const accounts = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem);
  const adminToken = randomBytes(16).toString('hex');
  const files = {
    ...{ 'ca.crt': authority.cert, 'server.crt': server.cert, 'server.key': server.key },
    ...{ 'kubelet.crt': kubelet.cert, 'kubelet.key': kubelet.key, 'accounts.key': String(accounts) },
    'tokens.csv': `${adminToken},admin,admin,system:masters\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const caFile = join(folder, 'ca.crt');
  await chmod(caFile, 0o644);
  return { folder, caFile, tokenFile: join(folder, 'tokens.csv'), adminToken };
}

function etcdFlags(data: string, address: string, port: number, peerPort: number): string[] {
  const [client, peer] = [`http://${address}:${port}`, `http://${address}:${peerPort}`];
  return [
    ...[`--data-dir=${data}`, '--name=local', `--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=local=${peer}`],
    // What a killed etcd loses is lost with the folder anyway.
    '--unsafe-no-fsync',
  ];
}

function apiServerFlags(options: ControlPlaneOptions, pki: Pki, port: number, etcdPort: number): string[] {
  const { address, services = '10.96.0.0/16', flags = [] } = options;
  const file = (name: string): string => join(pki.folder, name);
  return [
    ...[`--etcd-servers=http://${address}:${etcdPort}`, `--bind-address=${address}`, `--secure-port=${port}`],
    ...[`--advertise-address=${address}`, `--service-cluster-ip-range=${services}`, '--authorization-mode=RBAC'],
    ...[`--tls-cert-file=${file('server.crt')}`, `--tls-private-key-file=${file('server.key')}`],
    ...[`--token-auth-file=${pki.tokenFile}`, '--service-account-issuer=https://kubernetes.default.svc'],
    ...[`--service-account-key-file=${file('accounts.key')}`, '--profiling=false'],
    ...[`--service-account-signing-key-file=${file('accounts.key')}`, '--allow-privileged=true'],
    ...[`--kubelet-client-certificate=${file('kubelet.crt')}`, `--kubelet-client-key=${file('kubelet.key')}`],
    // As OpenShift has it: who writes an owner reference that blocks deletion must be allowed to touch the owner's finalizers.
    '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
    // The taint and the finalizer of these two are lifted by controllers that do not run here.
    '--disable-admission-plugins=TaintNodesByCondition,StorageObjectInUseProtection',
    // The first: `kubectl exec` reaches the kubelet as the WebSocket that it was opened as. The second asks etcd for what
    // Debian's cannot answer.
    '--feature-gates=TranslateStreamCloseWebsocketRequests=false,SizeBasedListCostEstimate=false',
    ...flags,
  ];
}

function controllerFlags(controllers: readonly string[], kubeconfig: string, pki: Pki): string[] {
  const key = join(pki.folder, 'accounts.key');
  return [
    ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', `--controllers=${controllers.join(',')}`],
    ...[`--service-account-private-key-file=${key}`, `--root-ca-file=${pki.caFile}`, '--secure-port=0'],
    '--profiling=false',
  ];
}

function kubeconfigText(server: string, caFile: string, token: string): string {
  return JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'local' },
    contexts: [{ name: 'local', context: { cluster: 'local', user: 'admin' } }],
    clusters: [{ name: 'local', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: 'admin', user: { token } }],
  });
}

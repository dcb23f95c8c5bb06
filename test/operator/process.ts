// Our operator process as a child, deployed as people deploy the Go plugin: its flags and its environment, certificates in
// Secrets, a Service with the label and the annotations by which CloudNativePG finds it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PLUGIN_NAME } from '../../api/names.ts';
import { type KeyPair, makeSelfSigned } from '../../api/wire/certificates.ts';
import type { KubeApi } from '../kube-api.ts';
import type { Deployed, ServiceDocument, TlsSecret } from './discovery.ts';

export const OPERATOR_NAMESPACE = 'cnpg-system';
export const SIDECAR_IMAGE = 'cellar:test';

export type OperatorProcess = {
  pid: number;
  /** What its Deployment, Service and Secrets are to CloudNativePG. */
  deployed: Deployed;
  /** Where the Service's name and port lead on this machine. */
  address: string;
  /** Everything logged so far, a line of JSON each. */
  lines(): LogLine[];
  linesUntil(message: string): Promise<LogLine[]>;
  /** Writes other certificates to the files that it reads; the Secrets are the caller's. */
  writeCertificates(pairs: { server?: KeyPair; client?: KeyPair }): Promise<void>;
  stop(): Promise<unknown>;
};

export type LogLine = { level?: string; msg?: string; address?: string } & Record<string, unknown>;

const ENTRY = join(dirname(dirname(import.meta.dirname)), 'main.ts');
const DAY_MS = 24 * 3600_000;

/** Starts it and waits until its doors are open; throws what it said when it ends before. */
export async function startOperatorProcess(options: {
  kubeApi: Pick<KubeApi, 'host' | 'port' | 'writeServiceAccount'>;
  flags?: readonly string[];
  env?: Record<string, string>;
}): Promise<OperatorProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-operator-'));
  const serviceAccount = join(folder, 'account');
  await mkdir(join(folder, 'server'));
  await mkdir(join(folder, 'client'));
  await options.kubeApi.writeServiceAccount(serviceAccount, OPERATOR_NAMESPACE);
  const server = await makeServerPair();
  const client = await makeClientPair();
  const writeCertificates: OperatorProcess['writeCertificates'] = async (pairs) => {
    if (pairs.server !== undefined) await writeFile(join(folder, 'server', 'tls.key'), pairs.server.key);
    if (pairs.server !== undefined) await writeFile(join(folder, 'server', 'tls.crt'), pairs.server.cert);
    if (pairs.client !== undefined) await writeFile(join(folder, 'client', 'tls.crt'), pairs.client.cert);
  };
  await writeCertificates({ server, client });

  const args = [
    ...['operator', `--server-cert=${folder}/server/tls.crt`, `--server-key=${folder}/server/tls.key`],
    ...[`--client-cert=${folder}/client/tls.crt`, '--server-address=127.0.0.1:0', '--leader-elect'],
    ...['--health-probe-bind-address=0', ...(options.flags ?? [])],
  ];
  const env = {
    PATH: process.env.PATH ?? '',
    SIDECAR_IMAGE,
    // As the image's own ENV.
    MALLOC_ARENA_MAX: '2',
    // The image has JavaScript; here the compiler of TypeScript would count as the process's memory.
    NODE_COMPILE_CACHE: join(tmpdir(), 'cellar-compile-cache'),
    KUBERNETES_SERVICE_HOST: options.kubeApi.host,
    KUBERNETES_SERVICE_PORT: String(options.kubeApi.port),
    CELLAR_SERVICE_ACCOUNT_FOLDER: serviceAccount,
    ...options.env,
  };
  const child = spawn(process.execPath, [ENTRY, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  const log = logOf(child);
  const started = await log.linesUntil('operator process started');
  return {
    pid: child.pid ?? 0,
    deployed: { services: [serviceDocument()], secrets: [secretOf('server', server), secretOf('client', client)] },
    address: String(started.find(({ msg }) => msg === 'gRPC server listens')?.address),
    ...{ ...log, writeCertificates },
    async stop() {
      child.kill('SIGTERM');
      const status = await ended;
      await rm(folder, { recursive: true, force: true });
      return status;
    },
  };
}

/** As cert-manager makes it for the Service `barman-cloud`. */
export function makeServerPair(): Promise<KeyPair> {
  const dnsNames = ['barman-cloud'];
  return makeSelfSigned({ commonName: 'barman-cloud', dnsNames, usages: ['server'], validMs: DAY_MS });
}

export function makeClientPair(): Promise<KeyPair> {
  return makeSelfSigned({ commonName: 'barman-cloud-client', usages: ['client'], validMs: DAY_MS });
}

export function secretOf(side: 'server' | 'client', pair: KeyPair): TlsSecret {
  const name = `barman-cloud-${side}-tls`;
  return { namespace: OPERATOR_NAMESPACE, name, data: { 'tls.crt': pair.cert, 'tls.key': pair.key } };
}

/** The Service of the Go plugin's manifest. */
export function serviceDocument(): ServiceDocument {
  return {
    metadata: {
      namespace: OPERATOR_NAMESPACE,
      name: 'barman-cloud',
      labels: { 'cnpg.io/pluginName': PLUGIN_NAME },
      annotations: {
        'cnpg.io/pluginServerSecret': 'barman-cloud-server-tls',
        'cnpg.io/pluginClientSecret': 'barman-cloud-client-tls',
        'cnpg.io/pluginPort': '9090',
      },
    },
  };
}

function logOf(child: ChildProcess) {
  let output = '';
  let over = false;
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  child.once('close', () => {
    over = true;
  });
  const lines = (): LogLine[] =>
    output
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line): LogLine => JSON.parse(line));
  return {
    lines,
    async linesUntil(message: string): Promise<LogLine[]> {
      for (;;) {
        const found = lines();
        if (found.some(({ msg }) => msg === message)) return found;
        if (over) throw new Error(`the operator process ended: ${output}`);
        await delay(5);
      }
    },
  };
}

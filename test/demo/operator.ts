// Our operator process as the demo starts it: certificates made on the spot, free ports, the service account of a Pod.
import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type KeyPair, makeSelfSigned } from '../../api/wire/certificates.ts';
import type { KubeApi } from '../kube-api.ts';
import { connectOperator, type OperatorDouble } from '../operator-double.ts';
import { type LocalProcess, startProcess, tailOf } from '../process.ts';
import type { Account } from '../unprivileged.ts';

export type StartedOperator = {
  process: LocalProcess;
  operator: OperatorDouble;
  address: string;
  webhook: { url: string; serverName: string; ca: string };
  certificatesFolder: string;
};

const HOST = '127.0.0.1';
const VALID_MS = 24 * 3600_000;
/** Names of the Go plugin's Service, and of the admission Service beside it. */
const SERVICE = 'barman-cloud';
const WEBHOOK_SERVICE = 'barman-cloud-webhook.cnpg-system.svc';
const SIDECAR_IMAGE = 'cellar:demo';
const START_LIMIT_MS = 120_000;
const ENTRY_POINT = join(dirname(dirname(import.meta.dirname)), 'main.ts');

/** Starts it, waits for its readiness probe, and connects to it as the CloudNativePG operator does. */
export async function startOperator(options: {
  folder: string;
  logFile: string;
  account: Account;
  kubeApi: KubeApi;
}): Promise<StartedOperator> {
  const { folder, account, kubeApi } = options;
  const certificatesFolder = join(folder, 'certificates');
  const serviceAccountFolder = join(folder, 'service-account');
  await mkdir(certificatesFolder, { recursive: true });
  await kubeApi.writeServiceAccount(serviceAccountFolder, 'cnpg-system');
  const usages: ('server' | 'client')[] = ['client', 'server'];
  const server = await makeSelfSigned({ commonName: SERVICE, dnsNames: [SERVICE], usages, validMs: VALID_MS });
  const client = await makeSelfSigned({ commonName: `${SERVICE}-client`, usages, validMs: VALID_MS });
  const webhookName = { commonName: WEBHOOK_SERVICE, dnsNames: [WEBHOOK_SERVICE] };
  const webhook = await makeSelfSigned({ ...webhookName, usages: ['server'], validMs: VALID_MS });
  const serverFiles = await store(certificatesFolder, 'server', server);
  const clientFiles = await store(certificatesFolder, 'client', client);
  const webhookFiles = await store(certificatesFolder, 'webhook', webhook);
  await account.own(folder);

  const [grpcPort, webhookPort, healthPort] = await freePorts(3);
  const address = `${HOST}:${grpcPort}`;
  const operatorProcess = await startProcess({
    name: 'our operator process',
    account,
    program: process.execPath,
    args: [
      ...[ENTRY_POINT, 'operator', '--leader-elect', '--log-level=info', '--metrics-bind-address=0'],
      ...[`--server-address=${address}`, `--server-cert=${serverFiles.cert}`, `--server-key=${serverFiles.key}`],
      ...[`--client-cert=${clientFiles.cert}`, `--health-probe-bind-address=${HOST}:${healthPort}`],
      ...[`--webhook-address=${HOST}:${webhookPort}`, `--webhook-cert=${webhookFiles.cert}`],
      `--webhook-key=${webhookFiles.key}`,
    ],
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      SIDECAR_IMAGE,
      KUBERNETES_SERVICE_HOST: kubeApi.host,
      KUBERNETES_SERVICE_PORT: String(kubeApi.port),
      CELLAR_SERVICE_ACCOUNT_FOLDER: serviceAccountFolder,
    },
    folder,
    logFile: options.logFile,
  });
  try {
    await waitUntilReady(operatorProcess, `http://${HOST}:${healthPort}/readyz`);
    const operator = await connectOperator({ address, serverName: SERVICE, serverCertificate: server.cert, client });
    const url = `https://${HOST}:${webhookPort}`;
    const door = { url, serverName: WEBHOOK_SERVICE, ca: webhook.cert };
    return { process: operatorProcess, operator, address, webhook: door, certificatesFolder };
  } catch (error) {
    await operatorProcess.stop('SIGKILL');
    throw error;
  }
}

async function store(folder: string, name: string, pair: KeyPair): Promise<{ cert: string; key: string }> {
  const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  await writeFile(files.cert, pair.cert);
  await writeFile(files.key, pair.key, { mode: 0o600 });
  return files;
}

/** Ports that nobody listened on a moment ago; all are held at once so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, HOST, resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function waitUntilReady(started: LocalProcess, url: string): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS;
  while (!(await answers(url))) {
    const result = started.result();
    if (result !== undefined) {
      throw new Error(`${started.name} ended with ${result.signal ?? result.code}:\n${tailOf(started.logFile)}`);
    }
    if (performance.now() > deadline) {
      throw new Error(`${started.name} was not ready after ${START_LIMIT_MS / 1000} s:\n${tailOf(started.logFile)}`);
    }
    await delay(50);
  }
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('error', () => resolve(false));
  });
}

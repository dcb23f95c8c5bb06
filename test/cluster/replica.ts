// Replicas of the operator process on the real API server, each as a child process under the token of a ServiceAccount, and
// called as CloudNativePG calls them.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { type KeyPair, makeSelfSigned } from '../../api/wire/certificates.ts';
import { connectOperator, type OperatorDouble } from '../operator-double.ts';
import type { LocalProcess } from '../process.ts';
import type { ApiServer } from './api-server.ts';
import { startChild, until } from './child.ts';

export const SIDECAR_IMAGE = 'example.test/sidecar:1.0.0';
const SERVER_NAME = 'barman-cloud';
const HOUR_MS = 3_600_000;
const ENTRY = join(dirname(dirname(import.meta.dirname)), 'main.ts');

export type Line = { level?: string; msg?: string; address?: string; url?: string } & Record<string, unknown>;

export type Replica = {
  process: LocalProcess;
  /** The door of the CNPG-I services. */
  connect(): Promise<OperatorDouble>;
  /** What it has logged so far. */
  lines(): Line[];
  /** The first line of that message, as soon as there is one. */
  said(message: string, limitMs?: number): Promise<Line>;
};

export type DoorTls = { server: KeyPair; client: KeyPair; flags: string[] };

/** Makes the certificates of both doors; the API server reaches the admission door at 127.0.0.1. */
export async function makeDoorTls(folder: string): Promise<DoorTls> {
  const server = await makeSelfSigned({
    ...{ commonName: SERVER_NAME, dnsNames: [SERVER_NAME], ipAddresses: ['127.0.0.1'] },
    ...{ usages: ['server'], validMs: HOUR_MS },
  });
  const client = await makeSelfSigned({ commonName: 'barman-cloud-client', usages: ['client'], validMs: HOUR_MS });
  const file = (name: string): string => join(folder, name);
  await writeFile(file('server.crt'), server.cert);
  await writeFile(file('server.key'), server.key, { mode: 0o600 });
  await writeFile(file('client.crt'), client.cert);
  const [cert, key] = [`cert=${file('server.crt')}`, `key=${file('server.key')}`];
  const flags = [`--server-${cert}`, `--server-${key}`, `--client-cert=${file('client.crt')}`];
  return { server, client, flags: [...flags, `--webhook-${cert}`, `--webhook-${key}`] };
}

/** Starts one, for the calling test or for all of the file; it serves when this resolves. `mount` is the folder of its account, from `mountAccount`. */
export async function startReplica(
  api: ApiServer,
  options: { name: string; mount: string; tls: DoorTls; flags?: readonly string[] },
): Promise<Replica> {
  const { name, tls, flags = [] } = options;
  const logFile = join(api.folder, 'logs', `${name}.log`);
  const own = ['--server-address=127.0.0.1:0', '--health-probe-bind-address=0', '--leader-elect', '--log-level=debug'];
  const child = await startChild({
    ...{ name, program: process.execPath, args: [ENTRY, 'operator', ...own, ...tls.flags, ...flags] },
    ...{ logFile, folder: api.folder },
    env: {
      SIDECAR_IMAGE,
      KUBERNETES_SERVICE_HOST: api.address,
      KUBERNETES_SERVICE_PORT: String(api.port),
      CELLAR_SERVICE_ACCOUNT_FOLDER: options.mount,
    },
  });
  after(() => child.stop('SIGKILL'));
  const lines = (): Line[] =>
    readFileSync(logFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line));
  const said = (message: string, limitMs = 60_000): Promise<Line> =>
    until(`${name} to say: ${message}`, () => lines().find(({ msg }) => msg === message), {
      limitMs,
      children: [child],
    });
  await said('operator process started');
  const { address = '' } = await said('gRPC server listens');
  return {
    ...{ process: child, lines, said },
    connect: () =>
      connectOperator({ address, serverName: SERVER_NAME, serverCertificate: tls.server.cert, client: tls.client }),
  };
}

// What CloudNativePG does to a cluster in a box, played by the operator double: images of its Pods, the account of a Cluster,
// the plugin found by its Service, objects patched by it and then created.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Cluster, Job, Pod } from '../../api/kube.ts';
import { discover, type ServiceDocument } from '../operator/discovery.ts';
import type { Box } from './box/box.ts';
import { type Image, nodeProgram } from './box/images.ts';
import { HOME, ROOT } from './chart.ts';
import type { Kubectl } from './kubectl.ts';
import type { OperatorCall } from './operator-call.ts';

const POSTGRES_UID = 26;
/** One program for both images: the operator's copies itself to where PostgreSQL's container runs it. */
const MANAGER = `if [ "$1" = bootstrap ]; then exec cp "$0" "$2"; fi
export NODE_COMPILE_CACHE=/controller/compiled
exec /node/bin/node /app/test/cluster/manager/main.ts "$@"`;

/** What stands for the images of the operator and of PostgreSQL. */
export function cnpgImages(folder: string): Image[] {
  const files = { '/app': ROOT, ...nodeProgram(join(folder, 'instance-manager'), '/manager', MANAGER) };
  const image = { files, path: ['/node/bin'], user: POSTGRES_UID, workdir: '/' };
  const names = ['cloudnative-pg', 'postgresql'];
  return names.map((name) => ({ match: `ghcr.io/cloudnative-pg/${name}:`, ...image }));
}

/** The service account of a Cluster, and what the operator allows it (cnpg-i-contract.md §6.3). */
export function accountOf({ metadata: { name, namespace = '' } }: Cluster): object[] {
  const metadata = { namespace, name };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const apiGroups = ['postgresql.cnpg.io'];
  const rules = [
    { apiGroups, resources: ['clusters'], resourceNames: [name], verbs: ['get', 'list', 'watch'] },
    { apiGroups, resources: ['backups'], verbs: ['list', 'get', 'delete'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [{ kind: 'ServiceAccount', ...metadata }] },
  ];
}

/** The volume that keeps an instance's data. */
export function claimOf(namespace: string, name: string): object {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { namespace, name }, spec };
}

/** Runs the Pre hook, then asks the plugin for its patch of a Pod or a Job, and gives what the operator would create. */
export async function patched<T extends Pod | Job>(box: Box, cluster: Cluster, object: T): Promise<T> {
  const spec = 'template' in object.spec ? object.spec.template.spec : object.spec;
  const account = { runAsUser: POSTGRES_UID, runAsGroup: POSTGRES_UID, fsGroup: POSTGRES_UID, runAsNonRoot: true };
  Object.assign(spec, { securityContext: account });
  return callOperator(box, { plugin: await findPlugin(box), cluster, object });
}

/** The operator finds a plugin by its Service; the box has no DNS outside of Pods, so the address is the Service's own. */
async function findPlugin({ kubectl }: Box): Promise<OperatorCall['plugin']> {
  const services = await readAll<ServiceDocument & { spec: { clusterIP: string } }>(kubectl, 'services');
  const encoded = await readAll<{ metadata: { namespace: string; name: string }; data?: Encoded }>(kubectl, 'secrets');
  const secrets = encoded.map(({ metadata, data }) => ({ ...metadata, data: decode(data ?? {}) }));
  const [plugin, another] = discover({ services, secrets }, HOME).plugins.values();
  if (plugin === undefined || another !== undefined) throw new Error('there has to be one plugin');
  const [host = '', port] = plugin.address.split(':');
  const service = services.find(({ metadata }) => host.startsWith(`${metadata.name}.`));
  return { ...plugin, address: `${service?.spec.clusterIP}:${port}` };
}

type Encoded = Record<string, string>;

async function readAll<T>(kubectl: Kubectl, kind: string): Promise<T[]> {
  return JSON.parse(await kubectl.does(['get', kind, '-n', HOME, '-o', 'json'])).items;
}

function decode(data: Encoded): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

async function callOperator<T extends Pod | Job>(box: Box, call: OperatorCall & { object: T }): Promise<T> {
  const [program = '', ...args] = [...box.inside, process.execPath, join(import.meta.dirname, 'operator-call.ts')];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(JSON.stringify(call));
  const [made, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (made === '') throw new Error(`the operator double failed: ${said}`);
  return JSON.parse(made);
}

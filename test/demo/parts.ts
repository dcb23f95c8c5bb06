// The parts that the demo's steps share, and the words for them.
import { join } from 'node:path';
import type { Cluster, Pod } from '../../api/kube.ts';
import { PLUGINS_MOUNT, POSTGRES_CONTAINER } from '../../api/names.ts';
import type { KubeApi } from '../kube-api.ts';
import type { Kubelet, LocalPod } from '../kubelet.ts';
import { type InstalledManager, installManager } from '../manager/install.ts';
import type { OperatorDouble } from '../operator-double.ts';
import type { Postgres, PostgresPrograms } from '../postgres.ts';
import type { LocalProcess } from '../process.ts';
import type { Account } from '../unprivileged.ts';
import type { Buckets } from './bucket.ts';
import type { Cleanup } from './cleanup.ts';
import type { StorePlace } from './place.ts';

export const NAMESPACE = 'default';
/** The CONTAINER paths that the demo asks the kubelet for. */
export const PGDATA = '/var/lib/postgresql/data/pgdata';
export const CONTROLLER = '/controller';
export const SOCKET_FOLDER = '/controller/run';
/** Size of a WAL segment, as initdb makes it. */
export const SEGMENT_BYTES = 16 * 1024 * 1024;

/** Everything that lives from the first step to the last. */
export type Parts = {
  folder: string;
  logFolder: string;
  account: Account;
  programs: PostgresPrograms;
  kubeApi: KubeApi;
  kubelet: Kubelet;
  operator: OperatorDouble;
  operatorProcess: LocalProcess;
  webhookUrl: string;
  operatorAddress: string;
  store: StorePlace;
  buckets: Buckets;
  cleanup: Cleanup;
};

/** A running instance: its Pod as the operator would create it, PostgreSQL and the sidecar in it. */
export type Instance = {
  pod: LocalPod;
  pgdata: string;
  controllerFolder: string;
  postgres: Postgres;
};

/** Reads a Cluster afresh. */
export function clusterOf(parts: Parts, name: string): Cluster {
  // The test API server stores what was applied from the fixtures.
  return parts.kubeApi.get('Cluster', name) as unknown as Cluster;
}

/** Where a path of the main container is on this machine. */
export function pathIn(parts: Parts, pod: LocalPod, path: string, container: string = POSTGRES_CONTAINER): string {
  return parts.kubelet.localPath(pod, container, path);
}

/** Puts the double of the manager into a Pod that has the plugin's volume. */
export function manage(
  parts: Parts,
  pod: LocalPod,
  cluster: Cluster,
  container: string = POSTGRES_CONTAINER,
): Promise<InstalledManager> {
  return installManager({
    account: parts.account,
    podName: pod.name,
    pgdata: pathIn(parts, pod, PGDATA, container),
    controllerFolder: pathIn(parts, pod, CONTROLLER, container),
    pluginsFolder: pathIn(parts, pod, PLUGINS_MOUNT, container),
    cluster,
  });
}

export function logOf(parts: Parts, name: string): string {
  return join(parts.logFolder, `${name}.log`);
}

export type InjectedPod = { document: Pod; local: LocalPod };

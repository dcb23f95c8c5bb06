// The sidecar container (objectstore-and-injection.md §4.2).
import type { Cluster, Container, VolumeMount } from '../api/kube.ts';
import { CERTIFICATES_MOUNT, CERTIFICATES_VOLUME, SIDECAR_CONTAINER } from '../api/names.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import type { Mode } from './decide.ts';
import { argsDigest, mergeEnvironment, pluginEnvironment } from './environment.ts';

/** The stores of a Cluster by role; a role is undefined when no store is named for it. */
export type RoleStores = {
  archive: ObjectStore | undefined;
  recovery: ObjectStore | undefined;
  replicaSource: ObjectStore | undefined;
};

export type ContainerInput = {
  mode: Mode;
  cluster: Cluster;
  namespace: string;
  /** The container whose environment and mounts are copied, after its own edits. */
  main: Container;
  stores: RoleStores;
  sidecarImage: string;
  hasCertificates: boolean;
};

/** The kubelet starts the main container only after this has passed; figures of the Go plugin since 0.14.0. */
export const STARTUP_PROBE = {
  exec: { command: ['/manager', 'healthcheck', 'unix'] },
  periodSeconds: 1,
  timeoutSeconds: 5,
  failureThreshold: 30,
};

/** User and group come from the Pod, so that OpenShift's and the Cluster's own numbers apply. */
const SECURITY_CONTEXT = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Holds the spool, the manager and PostgreSQL's socket: the one mount that the sidecar cannot do without. */
const CONTROLLER_MOUNT = '/controller';

/** Builds the container. It names no command: the image's entry point is ours. */
export function sidecarContainer(input: ContainerInput): Container {
  const { mode, cluster, main, stores } = input;
  const args = sidecarArgs(mode, stores);
  const { imagePullPolicy } = cluster.spec;
  return {
    name: SIDECAR_CONTAINER,
    image: input.sidecarImage,
    ...(imagePullPolicy ? { imagePullPolicy } : {}),
    args,
    env: mergeEnvironment(
      main.env ?? [],
      // A Job is never compared for drift.
      [...pluginEnvironment(cluster, input.namespace), ...(mode === 'instance' ? [argsDigest(args)] : [])],
      [stores.archive, stores.recovery, stores.replicaSource].map((store) => settingsOf(store).env ?? []),
    ),
    resources: settingsOf(mode === 'restore' ? stores.recovery : preferred(stores)).resources ?? {},
    restartPolicy: 'Always',
    startupProbe: STARTUP_PROBE,
    securityContext: SECURITY_CONTEXT,
    volumeMounts: [
      ...(input.hasCertificates ? [{ name: CERTIFICATES_VOLUME, mountPath: CERTIFICATES_MOUNT }] : []),
      ...copiedMounts(main.volumeMounts ?? []),
    ],
  };
}

/** A recovery Job takes no arguments from a store (§5). */
function sidecarArgs(mode: Mode, stores: RoleStores): string[] {
  if (mode === 'restore') return ['restore'];
  const { additionalContainerArgs, logLevel } = settingsOf(preferred(stores));
  return ['instance', ...(additionalContainerArgs ?? []), ...(logLevel ? [`--log-level=${logLevel}`] : [])];
}

/** Settings that cannot be merged come from one store. */
function preferred(stores: RoleStores): ObjectStore | undefined {
  return stores.archive ?? stores.recovery ?? stores.replicaSource;
}

function settingsOf(store: ObjectStore | undefined) {
  return store?.spec.instanceSidecarConfiguration ?? {};
}

/**
 * The main container's mounts, one for each volume: the later one wins, as in the Go plugin, so that Pods do not differ
 * when the images are swapped, and because the operator compares mounts by volume name (cnpg-i-contract.md §3.3). CNPG
 * mounts `scratch-data` at `/run` and then at `/controller`: the sidecar has no `/run`, where it needs nothing. Beyond
 * the Go plugin, a further mount of that volume (people add `/tmp`) never takes `/controller` away.
 */
function copiedMounts(mounts: VolumeMount[]): VolumeMount[] {
  const byVolume = new Map<string, VolumeMount>();
  for (const mount of mounts) {
    if (mount.name === CERTIFICATES_VOLUME) continue;
    if (byVolume.get(mount.name)?.mountPath !== CONTROLLER_MOUNT) byVolume.set(mount.name, mount);
  }
  return [...byVolume.values()];
}

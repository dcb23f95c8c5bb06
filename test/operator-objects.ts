// The Pods and Jobs that the CloudNativePG operator builds (cnpg-i-contract.md §3.2, §3.4, §6.1, §6.2), before any plugin
// has touched them.
import type { Cluster, Container, Job, ObjectMeta, Pod, PodSpec, Volume } from '../api/kube.ts';

export const IMAGES = {
  operator: 'ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0',
  postgres: (major: number): string => `ghcr.io/cloudnative-pg/postgresql:${major}`,
};

/** The Pod of an instance, named `<cluster>-<serial>`. */
export function instancePod(cluster: Cluster, options: { serial: number; major: number }): Pod {
  const instance = `${cluster.metadata.name}-${options.serial}`;
  const spec = podSpec(cluster, instance, options.major, {
    name: 'postgres',
    command: ['/controller/manager', 'instance', 'run', '--status-port-tls', '--log-level=info'],
    podName: instance,
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...ownedMeta(cluster),
      name: instance,
      labels: { ...labels(cluster, instance, options.major), 'cnpg.io/podRole': 'instance' },
      annotations: { 'cnpg.io/nodeSerial': String(options.serial), 'cnpg.io/operatorVersion': '1.30.0' },
    },
    spec,
  };
}

/** Roles of Jobs, and what their container runs. */
const JOB_COMMANDS = {
  initdb: ['instance', 'init'],
  import: ['instance', 'init'],
  pgbasebackup: ['instance', 'pgbasebackup'],
  'full-recovery': ['instance', 'restore'],
  'snapshot-recovery': ['instance', 'restoresnapshot'],
  join: ['instance', 'join'],
  'major-upgrade': ['instance', 'upgrade', 'execute'],
};

/** The Job that restores the first instance through a plugin. */
export function recoveryJob(cluster: Cluster, options: { major: number }): Job {
  return jobOf(cluster, 'full-recovery', { serial: 1, ...options });
}

/** A Job of an instance; its container is named after its role. */
export function jobOf(
  cluster: Cluster,
  role: keyof typeof JOB_COMMANDS,
  options: { serial: number; major: number },
): Job {
  const instance = `${cluster.metadata.name}-${options.serial}`;
  const name = `${instance}-${role}`;
  const jobLabels = { ...labels(cluster, instance, options.major), 'cnpg.io/jobRole': role };
  const annotations = { 'cnpg.io/operatorVersion': '1.30.0' };
  const spec = podSpec(cluster, instance, options.major, {
    name: role,
    command: ['/controller/manager', ...JOB_COMMANDS[role], '--log-level=info'],
    podName: name,
  });
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { ...ownedMeta(cluster), name, labels: jobLabels, annotations },
    spec: {
      template: { metadata: { labels: jobLabels, annotations }, spec: { ...spec, restartPolicy: 'Never' } as PodSpec },
    },
  };
}

function podSpec(
  cluster: Cluster,
  instance: string,
  major: number,
  main: { name: string; command: string[]; podName: string },
): PodSpec {
  const bootstrap: Container = {
    name: 'bootstrap-controller',
    image: IMAGES.operator,
    command: ['/manager', 'bootstrap', '/controller/manager', '--log-level=info'],
    securityContext: securityContext(),
    volumeMounts: mounts(),
  };
  const container: Container = {
    name: main.name,
    image: IMAGES.postgres(major),
    ...(cluster.spec.imagePullPolicy === undefined ? {} : { imagePullPolicy: cluster.spec.imagePullPolicy }),
    command: main.command,
    env: environment(cluster, main.podName),
    resources: {},
    securityContext: securityContext(),
    volumeMounts: mounts(),
  };
  return {
    serviceAccountName: cluster.spec.serviceAccountName ?? cluster.metadata.name,
    ...{ automountServiceAccountToken: false, hostname: instance, terminationGracePeriodSeconds: 1800 },
    initContainers: [bootstrap],
    containers: [container],
    volumes: volumes(instance),
  };
}

function environment(cluster: Cluster, podName: string) {
  return [
    { name: 'PGDATA', value: '/var/lib/postgresql/data/pgdata' },
    { name: 'POD_NAME', value: podName },
    { name: 'NAMESPACE', value: cluster.metadata.namespace ?? 'default' },
    { name: 'CLUSTER_NAME', value: cluster.metadata.name },
    { name: 'PSQL_HISTORY', value: '/controller/tmp/.psql_history' },
    { name: 'PGPORT', value: '5432' },
    { name: 'PGHOST', value: '/controller/run' },
    { name: 'TMPDIR', value: '/controller/tmp' },
    ...(cluster.spec.env ?? []),
  ];
}

function mounts() {
  return [
    { name: 'pgdata', mountPath: '/var/lib/postgresql/data' },
    { name: 'scratch-data', mountPath: '/run' },
    { name: 'scratch-data', mountPath: '/controller' },
    { name: 'shm', mountPath: '/dev/shm' },
    { name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  ];
}

function volumes(instance: string): Volume[] {
  const token = { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } };
  const ca = { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } };
  return [
    { name: 'pgdata', persistentVolumeClaim: { claimName: instance } },
    { name: 'scratch-data', emptyDir: {} },
    { name: 'shm', emptyDir: { medium: 'Memory' } },
    { name: 'kube-api-access', projected: { defaultMode: 420, sources: [token, ca] } },
  ];
}

function securityContext() {
  return {
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

function labels(cluster: Cluster, instance: string, major: number): Record<string, string> {
  return {
    'cnpg.io/cluster': cluster.metadata.name,
    'cnpg.io/instanceName': instance,
    'app.kubernetes.io/name': 'postgresql',
    'app.kubernetes.io/instance': cluster.metadata.name,
    'app.kubernetes.io/version': String(major),
    'app.kubernetes.io/component': 'database',
    'app.kubernetes.io/managed-by': 'cloudnative-pg',
  };
}

function ownedMeta(cluster: Cluster): ObjectMeta {
  const { apiVersion = 'postgresql.cnpg.io/v1', kind = 'Cluster', metadata } = cluster;
  return {
    namespace: metadata.namespace ?? 'default',
    ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true }],
  };
}

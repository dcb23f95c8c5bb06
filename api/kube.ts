// The slice of Kubernetes objects that we read. Everything else survives untouched because changes are made as
// differences against the original JSON.

export type ObjectMeta = {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
};

export type EnvVar = { name: string; value?: string; valueFrom?: Record<string, unknown> };
export type VolumeMount = { name: string; mountPath: string; readOnly?: boolean; subPath?: string };
export type Volume = { name: string } & Record<string, unknown>;
export type ResourceRequirements = {
  requests?: Record<string, string | number>;
  limits?: Record<string, string | number>;
  claims?: { name: string; request?: string }[];
};

export type Container = {
  name: string;
  image?: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  env?: EnvVar[];
  envFrom?: Record<string, unknown>[];
  resources?: ResourceRequirements;
  restartPolicy?: string;
  startupProbe?: Record<string, unknown>;
  securityContext?: Record<string, unknown>;
  volumeMounts?: VolumeMount[];
};

export type PodSpec = {
  initContainers?: Container[];
  containers: Container[];
  volumes?: Volume[];
  serviceAccountName?: string;
};

export type Pod = { apiVersion?: string; kind?: string; metadata?: ObjectMeta; spec: PodSpec };
export type Job = {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  spec: { template: { metadata?: ObjectMeta; spec: PodSpec } };
};

export type PluginStanza = {
  name: string;
  enabled?: boolean;
  isWALArchiver?: boolean;
  parameters?: Record<string, string>;
};

export type ExternalCluster = {
  name: string;
  connectionParameters?: Record<string, string>;
  barmanObjectStore?: Record<string, unknown>;
  plugin?: PluginStanza;
};

export type RecoveryTarget = {
  backupID?: string;
  targetTLI?: string;
  targetXID?: string;
  targetName?: string;
  targetLSN?: string;
  targetTime?: string;
  targetImmediate?: boolean;
  exclusive?: boolean;
};

export type Cluster = {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & { name: string };
  spec: {
    imageName?: string;
    imageCatalogRef?: { major?: number };
    imagePullPolicy?: string;
    serviceAccountName?: string;
    plugins?: PluginStanza[];
    externalClusters?: ExternalCluster[];
    bootstrap?: { recovery?: { source?: string; backup?: { name?: string }; recoveryTarget?: RecoveryTarget } };
    replica?: { self?: string; primary?: string; source?: string; enabled?: boolean; promotionToken?: string };
    walStorage?: Record<string, unknown>;
    tablespaces?: { name: string }[];
    backup?: Record<string, unknown>;
    env?: EnvVar[];
  };
  status?: {
    currentPrimary?: string;
    targetPrimary?: string;
    timelineID?: number;
    systemID?: string;
    phase?: string;
    image?: string;
    pgDataImageInfo?: { image?: string; majorVersion?: number };
  };
};

export type Backup = {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & { name: string };
  spec: {
    cluster: { name: string };
    method?: string;
    target?: string;
    pluginConfiguration?: { name?: string; parameters?: Record<string, string> };
  };
  status?: { phase?: string; backupId?: string; method?: string; pluginMetadata?: Record<string, string> };
};

export type Secret = { metadata?: ObjectMeta; data?: Record<string, string> };

// The ObjectStore as stored in the API (objectstore-and-injection.md §1.2, §1.3).
import type { EnvVar, ObjectMeta, ResourceRequirements } from './kube.ts';

/** A key of a Secret in the namespace of the ObjectStore. */
export type SecretSelector = { name: string; key: string };

export const WAL_COMPRESSIONS = ['bzip2', 'gzip', 'lz4', 'snappy', 'xz', 'zstd'] as const;
export const DATA_COMPRESSIONS = ['bzip2', 'gzip', 'lz4', 'snappy'] as const;
export const ENCRYPTIONS = ['AES256', 'aws:kms'] as const;
export const LOG_LEVELS = ['error', 'warning', 'info', 'debug', 'trace'] as const;

export type WalCompression = (typeof WAL_COMPRESSIONS)[number];
export type DataCompression = (typeof DATA_COMPRESSIONS)[number];
export type Encryption = (typeof ENCRYPTIONS)[number];
export type LogLevel = (typeof LOG_LEVELS)[number];

export type S3Credentials = {
  accessKeyId?: SecretSelector;
  secretAccessKey?: SecretSelector;
  region?: SecretSelector;
  sessionToken?: SecretSelector;
  inheritFromIAMRole?: boolean;
};

export type AzureCredentials = {
  connectionString?: SecretSelector;
  storageAccount?: SecretSelector;
  storageKey?: SecretSelector;
  storageSasToken?: SecretSelector;
  inheritFromAzureAD?: boolean;
  useDefaultAzureCredentials?: boolean;
};

export type GoogleCredentials = { applicationCredentials?: SecretSelector; gkeEnvironment?: boolean };

export type ObjectStoreConfiguration = {
  destinationPath: string;
  endpointURL?: string;
  endpointCA?: SecretSelector;
  /** Kept for the API only: must stay empty, and is ignored everywhere. */
  serverName?: string;
  s3Credentials?: S3Credentials;
  azureCredentials?: AzureCredentials;
  googleCredentials?: GoogleCredentials;
  wal?: {
    compression?: WalCompression;
    encryption?: Encryption;
    maxParallel?: number;
    archiveAdditionalCommandArgs?: string[];
    restoreAdditionalCommandArgs?: string[];
  };
  data?: {
    compression?: DataCompression;
    encryption?: Encryption;
    jobs?: number;
    immediateCheckpoint?: boolean;
    additionalCommandArgs?: string[];
    restoreAdditionalCommandArgs?: string[];
  };
  tags?: Record<string, string>;
  historyTags?: Record<string, string>;
};

export type InstanceSidecarConfiguration = {
  env?: EnvVar[];
  resources?: ResourceRequirements;
  retentionPolicyIntervalSeconds?: number;
  additionalContainerArgs?: string[];
  logLevel?: LogLevel;
};

export type RecoveryWindow = {
  firstRecoverabilityPoint?: string;
  lastSuccessfulBackupTime?: string;
  lastFailedBackupTime?: string;
};

export type ObjectStore = {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & { name: string };
  spec: {
    configuration: ObjectStoreConfiguration;
    retentionPolicy?: string;
    instanceSidecarConfiguration?: InstanceSidecarConfiguration;
  };
  status?: { serverRecoveryWindow?: Record<string, RecoveryWindow> };
};

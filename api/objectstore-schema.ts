// The one schema of the ObjectStore: ajv compiles it, the CRD is made from it. Fields, defaults and rules are those of
// the Go plugin's CRD (objectstore-and-injection.md §1.2 to §1.4), so that either can replace the other under live
// objects. One rule is wider: an empty `serverName` passes.
import { ENV_VAR, RESOURCE_REQUIREMENTS } from './core-schema.ts';
import { DATA_COMPRESSIONS, ENCRYPTIONS, LOG_LEVELS, WAL_COMPRESSIONS } from './objectstore.ts';
import type { Schema } from './schema.ts';

/** Texts of the CEL rules: users search for them, and the Go plugin answers the same. */
export const SERVER_NAME_FORBIDDEN = "use the 'serverName' plugin parameter in the Cluster resource";
export const LOG_LEVEL_FORBIDDEN =
  'do not set --log-level in additionalContainerArgs; use spec.instanceSidecarConfiguration.logLevel';

/** Defaults that the API server stores when `instanceSidecarConfiguration` is present. */
export const DEFAULT_RETENTION_INTERVAL_SECONDS = 1800;
export const DEFAULT_LOG_LEVEL = 'info';

/** A recovery window: days, weeks or months. */
export const RETENTION_PATTERN = '^[1-9][0-9]*[dwm]$';

const flag = (description: string): Schema => ({ type: 'boolean', description });
const text = (description: string): Schema => ({ type: 'string', description });
const texts = (description: string): Schema => ({ type: 'array', items: { type: 'string' }, description });
const oneOf = (values: readonly string[], description: string): Schema => ({
  type: 'string',
  enum: [...values],
  description,
});
const textMap = (description: string): Schema => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  description,
});

/** A key of a Secret in the namespace of the ObjectStore; the empty string passes here and is refused by rule C3. */
const selector = (description: string): Schema => ({
  type: 'object',
  description,
  properties: { key: text('Key in the Secret.'), name: text('Name of the Secret.') },
  required: ['key', 'name'],
});

const S3_CREDENTIALS: Schema = {
  type: 'object',
  description: 'How to log in to S3 or a service that speaks it.',
  properties: {
    accessKeyId: selector('The access key id.'),
    inheritFromIAMRole: flag('Log in with the identity of the Pod (IAM role); the keys are left out then.'),
    region: selector('Name of the region.'),
    secretAccessKey: selector('The secret access key.'),
    sessionToken: selector('Token of a temporary login.'),
  },
};

const AZURE_CREDENTIALS: Schema = {
  type: 'object',
  description: 'How to log in to Azure Blob Storage: connectionString alone, or one of the other ways.',
  properties: {
    connectionString: selector('A complete connection string; stands alone.'),
    inheritFromAzureAD: flag('Log in with the managed identity of the Pod.'),
    storageAccount: selector('Name of the storage account; goes with storageKey or storageSasToken.'),
    storageKey: selector('Key of the storage account.'),
    storageSasToken: selector('Shared access signature (SAS) for the storage account.'),
    useDefaultAzureCredentials: flag("Log in with the first login that Azure's default chain finds."),
  },
};

const GOOGLE_CREDENTIALS: Schema = {
  type: 'object',
  description: 'How to log in to Google Cloud Storage.',
  properties: {
    applicationCredentials: selector('JSON document of a service account.'),
    gkeEnvironment: flag('Log in with the workload identity of the Pod.'),
  },
};

const WAL: Schema = {
  type: 'object',
  description: 'How WAL is stored; uncompressed, one segment at a time, when left out.',
  properties: {
    archiveAdditionalCommandArgs: texts('Further options of barman-cloud-wal-archive, each as --option=value.'),
    compression: oneOf(WAL_COMPRESSIONS, 'Compression of WAL segments; none when left out.'),
    encryption: oneOf(ENCRYPTIONS, "Server-side encryption on S3; the bucket's own policy when left out."),
    maxParallel: { type: 'integer', minimum: 1, description: 'Segments archived or fetched at once; 1 when left out.' },
    restoreAdditionalCommandArgs: texts('Further options of barman-cloud-wal-restore, each as --option=value.'),
  },
};

const DATA: Schema = {
  type: 'object',
  description: 'How base backups are stored; uncompressed when left out.',
  properties: {
    additionalCommandArgs: texts('Further options of barman-cloud-backup, each as --option=value.'),
    compression: oneOf(DATA_COMPRESSIONS, 'Compression of base backups; none when left out.'),
    encryption: oneOf(ENCRYPTIONS, "Server-side encryption on S3; the bucket's own policy when left out."),
    immediateCheckpoint: flag('Ask PostgreSQL for a fast checkpoint when a backup starts.'),
    jobs: { type: 'integer', format: 'int32', minimum: 1, description: 'Parallel uploads; 2 when left out.' },
    restoreAdditionalCommandArgs: texts('Further options of barman-cloud-restore, each as --option=value.'),
  },
};

const CONFIGURATION: Schema = {
  type: 'object',
  description: 'Where WAL and base backups are stored, and how.',
  properties: {
    azureCredentials: AZURE_CREDENTIALS,
    data: DATA,
    destinationPath: {
      ...text(
        'URL of the bucket and a folder in it, for example s3://bucket/folder; each server has its own below it.',
      ),
      minLength: 1,
    },
    endpointCA: selector('Certificates of the authority that signed the certificate of the endpoint.'),
    endpointURL: text('URL of the service when it is not the one that the provider publishes.'),
    googleCredentials: GOOGLE_CREDENTIALS,
    historyTags: textMap('Tags of timeline history files.'),
    s3Credentials: S3_CREDENTIALS,
    serverName: text('Leave out: the plugin parameter serverName of the Cluster takes its place.'),
    tags: textMap('Tags of base backups and WAL segments.'),
    wal: WAL,
  },
  required: ['destinationPath'],
  'x-kubernetes-validations': [
    {
      rule: "!has(self.serverName) || self.serverName == ''",
      message: SERVER_NAME_FORBIDDEN,
      reason: 'FieldValueForbidden',
      fieldPath: '.serverName',
    },
  ],
};

const INSTANCE_SIDECAR: Schema = {
  type: 'object',
  description: 'The sidecar in the Pods of every Cluster that archives to this store.',
  properties: {
    additionalContainerArgs: {
      ...texts('Further arguments of the sidecar process.'),
      'x-kubernetes-validations': [
        {
          rule: "!self.exists(a, a.startsWith('--log-level'))",
          message: LOG_LEVEL_FORBIDDEN,
          reason: 'FieldValueForbidden',
        },
      ],
    },
    env: { type: 'array', items: ENV_VAR, description: 'Environment variables of the sidecar.' },
    logLevel: { ...oneOf(LOG_LEVELS, 'How much the sidecar logs.'), default: DEFAULT_LOG_LEVEL },
    resources: RESOURCE_REQUIREMENTS,
    retentionPolicyIntervalSeconds: {
      type: 'integer',
      default: DEFAULT_RETENTION_INTERVAL_SECONDS,
      description: 'Seconds between two rounds of maintenance of the catalog.',
    },
  },
};

/** Schema of `spec`. */
export const OBJECTSTORE_SPEC_SCHEMA: Schema = {
  type: 'object',
  description: 'What is wanted.',
  properties: {
    configuration: CONFIGURATION,
    instanceSidecarConfiguration: INSTANCE_SIDECAR,
    retentionPolicy: {
      ...text(
        'How far back a recovery must be possible, for example 30d (d, w or m); nothing is deleted when left out.',
      ),
      pattern: RETENTION_PATTERN,
    },
  },
  required: ['configuration'],
};

const time = (description: string): Schema => ({ type: 'string', format: 'date-time', description });

const STATUS_SCHEMA: Schema = {
  type: 'object',
  description: 'What was seen last; written by the plugin.',
  properties: {
    serverRecoveryWindow: {
      type: 'object',
      description: 'For each server: from when to when it can be recovered.',
      additionalProperties: {
        type: 'object',
        properties: {
          firstRecoverabilityPoint: time('When the oldest base backup ended: the first moment to recover to.'),
          lastFailedBackupTime: time('When a base backup failed last.'),
          lastSuccessfulBackupTime: time('When the newest base backup ended.'),
        },
      },
    },
  },
};

/** Schema of the whole object, as the CRD carries it. */
export const OBJECTSTORE_SCHEMA: Schema = {
  type: 'object',
  description: 'A place in an object store where Clusters keep WAL and base backups.',
  properties: {
    apiVersion: text('Version of the schema of this object.'),
    kind: text('Kind of this object.'),
    metadata: { type: 'object' },
    spec: OBJECTSTORE_SPEC_SCHEMA,
    status: STATUS_SCHEMA,
  },
  required: ['metadata', 'spec'],
};

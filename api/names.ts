// Names that others rely on: each is declared once, here, with who relies on it.

/** Name of the plugin: `spec.plugins[].name` of every Cluster, the Service's label, the socket's file name. */
export const PLUGIN_NAME = 'barman-cloud.cloudnative-pg.io';

/** Name of the injected container. The operator compares containers by name; users read its logs by it. */
export const SIDECAR_CONTAINER = 'plugin-barman-cloud';

/** Main container of an instance Pod. In a Job it is named after the Job's role. */
export const POSTGRES_CONTAINER = 'postgres';

/** Volume and mount that both the manager and the sidecar use to reach the socket. */
export const PLUGINS_VOLUME = 'plugins';
export const PLUGINS_MOUNT = '/plugins';

/** Projected volume with one `<store>/barman-ca.crt` for each ObjectStore that names an `endpointCA`. */
export const CERTIFICATES_VOLUME = 'barman-certificates';
export const CERTIFICATES_MOUNT = '/barman-certificates';
export const CERTIFICATE_FILE = 'barman-ca.crt';

/** Value of SPOOL_DIRECTORY that the Go plugin injects; kept so that Pods do not differ. */
export const SPOOL_DIRECTORY = '/controller/wal-restore-spool';

/** ObjectStore API. */
export const OBJECTSTORE_GROUP = 'barmancloud.cnpg.io';
export const OBJECTSTORE_VERSION = 'v1';
export const OBJECTSTORE_KIND = 'ObjectStore';
export const OBJECTSTORE_PLURAL = 'objectstores';

/** Group and version of Cluster and Backup unless a fork says otherwise (CUSTOM_CNPG_GROUP, CUSTOM_CNPG_VERSION). */
export const CNPG_GROUP = 'postgresql.cnpg.io';
export const CNPG_VERSION = 'v1';

/** Plugin parameters of a Cluster (`spec.plugins[].parameters`, `spec.externalClusters[].plugin.parameters`). */
export const PARAMETER_OBJECT_STORE = 'barmanObjectName';
export const PARAMETER_SERVER_NAME = 'serverName';

/** Labels that the operator puts on Pods and Jobs. */
export const LABEL_CLUSTER = 'cnpg.io/cluster';
export const LABEL_POD_ROLE = 'cnpg.io/podRole';
/** Matched by ending, so that operators with a renamed label prefix work. */
export const LABEL_JOB_ROLE_SUFFIX = '/jobRole';
/** Roles of Jobs that restore from an object store: the only Jobs that get a sidecar. */
export const RECOVERY_JOB_ROLES: readonly string[] = ['full-recovery', 'snapshot-recovery'];

/** Cluster annotation: `enabled` switches the empty-archive check off. */
export const ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK = 'cnpg.io/skipEmptyWalArchiveCheck';
/** Cluster annotation: `enabled` makes the operator pause archiving; people read of it in our warnings. */
export const ANNOTATION_SKIP_WAL_ARCHIVING = 'cnpg.io/skipWalArchiving';
/**
 * Cluster annotation: names the one WAL file whose stored form may be replaced although its content differs. What was
 * stored is lost, and with it what the other writer had archived there.
 */
export const ANNOTATION_ALLOW_WAL_OVERWRITE = 'barmancloud.cnpg.io/allowWalOverwrite';
/**
 * Cluster annotation that we set when the sidecar settings of a store that it uses have changed: the operator reconciles a
 * Cluster that changes. A digest; nobody reads it.
 */
export const ANNOTATION_SIDECAR_SETTINGS = 'barmancloud.cnpg.io/sidecarSettings';
/** Annotation on all four kinds: `disabled` switches our admission rules off. */
export const ANNOTATION_VALIDATION = 'cnpg.io/validation';

/** File in PGDATA that asks for the empty-archive check; made by the manager, removed after the first archived file. */
export const EMPTY_ARCHIVE_MARKER = '.check-empty-wal-archive';

// CRDs for the kinds of CloudNativePG that we read, with the fields that we read (cnpg-i-contract.md §7); whatever else
// people write there is kept, unseen.

const GROUP = 'postgresql.cnpg.io';

/** CustomResourceDefinitions of Cluster, Backup and ScheduledBackup; `group` is another one where the operator is a fork. */
export function clusterCrds(group = GROUP): object[] {
  return [
    crd(group, 'Cluster', 'clusters', { spec: CLUSTER_SPEC, status: CLUSTER_STATUS }),
    crd(group, 'Backup', 'backups', { spec: BACKUP_SPEC, status: BACKUP_STATUS }),
    crd(group, 'ScheduledBackup', 'scheduledbackups', {
      spec: object({ ...BACKUP_SPEC.properties, schedule: text() }),
    }),
  ];
}

type Schema = { type: string } & Record<string, unknown>;

const text = (): Schema => ({ type: 'string' });
const flag = (byDefault?: boolean): Schema => ({
  type: 'boolean',
  ...(byDefault === undefined ? {} : { default: byDefault }),
});
const list = (items: Schema): Schema => ({ type: 'array', items });
const texts = (): Schema => ({ type: 'object', additionalProperties: text() });
const object = (properties: Record<string, Schema>, required: string[] = []) => ({
  ...{ type: 'object', properties, 'x-kubernetes-preserve-unknown-fields': true },
  ...(required.length === 0 ? {} : { required }),
});

const PLUGIN = object({ name: text(), enabled: flag(true), isWALArchiver: flag(false), parameters: texts() }, ['name']);

const CLUSTER_SPEC = object({
  ...{ imageName: text(), imagePullPolicy: text(), serviceAccountName: text(), instances: { type: 'integer' } },
  plugins: list(PLUGIN),
  externalClusters: list(object({ name: text(), connectionParameters: texts(), plugin: PLUGIN }, ['name'])),
  bootstrap: object({
    recovery: object({ source: text(), backup: object({ name: text() }), recoveryTarget: object({}) }),
  }),
  replica: object({ self: text(), primary: text(), source: text(), enabled: flag(), promotionToken: text() }),
  ...{ walStorage: object({}), tablespaces: list(object({ name: text() }, ['name'])), backup: object({}) },
});

const CLUSTER_STATUS = object({
  ...{ currentPrimary: text(), targetPrimary: text(), timelineID: { type: 'integer' }, systemID: text() },
  ...{ phase: text(), image: text() },
});

const BACKUP_SPEC = object(
  {
    cluster: object({ name: text() }, ['name']),
    ...{ method: text(), target: text(), pluginConfiguration: object({ name: text(), parameters: texts() }, ['name']) },
  },
  ['cluster'],
);

const BACKUP_STATUS = object({ phase: text(), backupId: text(), method: text(), pluginMetadata: texts() });

function crd(group: string, kind: string, plural: string, properties: Record<string, Schema>): object {
  const openAPIV3Schema = { type: 'object', properties, required: ['spec'] };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      ...{ group, scope: 'Namespaced', names: { kind, plural, singular: kind.toLowerCase() } },
      versions: [
        { name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } },
      ],
    },
  };
}

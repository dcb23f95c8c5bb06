// The Role and the RoleBinding that a Cluster's sidecars need, as documents (objectstore-and-injection.md §7.1, §8).
import { InvalidInputError } from '../api/errors.ts';
import type { Cluster, ObjectMeta } from '../api/kube.ts';
import { OBJECTSTORE_GROUP, OBJECTSTORE_PLURAL, SIDECAR_CONTAINER } from '../api/names.ts';
import type { ObjectStore } from '../api/objectstore.ts';

export type PolicyRule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };

type OwnerReference = NonNullable<ObjectMeta['ownerReferences']>[number] & { blockOwnerDeletion?: boolean };

export type AccessMeta = Omit<ObjectMeta, 'ownerReferences'> & {
  namespace: string;
  name: string;
  ownerReferences?: OwnerReference[];
};

export type Role = { apiVersion: string; kind: 'Role'; metadata: AccessMeta; rules: PolicyRule[] };

export type Subject = { kind: string; name: string; namespace?: string; apiGroup?: string };

export type RoleBinding = {
  apiVersion: string;
  kind: 'RoleBinding';
  metadata: AccessMeta;
  roleRef: { apiGroup: string; kind: string; name: string };
  subjects?: Subject[];
};

/** Label by which the ObjectStore controller finds the Roles that it keeps current. */
export const LABEL_ROLE_CLUSTER = 'barmancloud.cnpg.io/cluster';

const RBAC_GROUP = 'rbac.authorization.k8s.io';
const RBAC_VERSION = `${RBAC_GROUP}/v1`;

/** The Role of a Cluster. Throws InvalidInputError when the document lacks what its owner reference needs. */
export function roleOf(cluster: Cluster, stores: ObjectStore[], version: string): Role {
  return { apiVersion: RBAC_VERSION, kind: 'Role', metadata: metadataOf(cluster, version), rules: rulesOf(stores) };
}

/** The RoleBinding: to the account under which the Pods really run, which need not have the Cluster's name. */
export function roleBindingOf(cluster: Cluster, version: string): RoleBinding {
  const metadata = metadataOf(cluster, version);
  const account = cluster.spec.serviceAccountName || cluster.metadata.name;
  return {
    apiVersion: RBAC_VERSION,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name: metadata.name },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: metadata.namespace }],
  };
}

/**
 * Rights on the named stores and on the Secrets that they name. A rule without names is left out: to Kubernetes an empty
 * list means all objects (#892 of the Go plugin).
 */
export function rulesOf(stores: ObjectStore[]): PolicyRule[] {
  const names = sorted(stores.map(({ metadata }) => metadata.name));
  const secrets = sorted(stores.flatMap(secretNames));
  const reading = ['get', 'watch', 'list'];
  const rules = [
    { apiGroups: [OBJECTSTORE_GROUP], resources: [OBJECTSTORE_PLURAL], verbs: reading, resourceNames: names },
    {
      apiGroups: [OBJECTSTORE_GROUP],
      resources: [`${OBJECTSTORE_PLURAL}/status`],
      // `patch` beyond the Go plugin's rule: each server writes its own key only.
      verbs: ['update', 'patch'],
      resourceNames: names,
    },
    { apiGroups: [''], resources: ['secrets'], verbs: reading, resourceNames: secrets },
  ];
  return rules.filter(({ resourceNames }) => resourceNames.length > 0);
}

/** Secrets of all providers that a store names; the CA comes as a projected volume and needs no right. */
function secretNames(store: ObjectStore): string[] {
  const { s3Credentials: s3, azureCredentials: azure, googleCredentials: google } = store.spec.configuration;
  const byIdentity = azure?.inheritFromAzureAD || azure?.useDefaultAzureCredentials;
  const selectors = [
    s3?.accessKeyId,
    s3?.secretAccessKey,
    s3?.region,
    s3?.sessionToken,
    ...(byIdentity ? [] : [azure?.connectionString, azure?.storageAccount, azure?.storageKey, azure?.storageSasToken]),
    google?.applicationCredentials,
  ];
  return selectors.flatMap((selector) => (selector?.name ? [selector.name] : []));
}

function metadataOf(cluster: Cluster, version: string): AccessMeta {
  const name = cluster.metadata.name;
  const required = (field: string, value: string | undefined): string => {
    if (value) return value;
    throw new InvalidInputError(`${field} of the Cluster`, value, 'the document must have it: it owns its Role');
  };
  return {
    namespace: required('metadata.namespace', cluster.metadata.namespace),
    name: `${name}-barman-cloud`,
    labels: {
      [LABEL_ROLE_CLUSTER]: name,
      'app.kubernetes.io/name': 'barman-cloud-plugin',
      'app.kubernetes.io/instance': name,
      'app.kubernetes.io/version': version,
      'app.kubernetes.io/component': 'database',
      'app.kubernetes.io/managed-by': SIDECAR_CONTAINER,
    },
    ownerReferences: [
      {
        apiVersion: required('apiVersion', cluster.apiVersion),
        kind: required('kind', cluster.kind),
        name,
        uid: required('metadata.uid', cluster.metadata.uid),
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
}

function sorted(names: string[]): string[] {
  return [...new Set(names)].sort();
}

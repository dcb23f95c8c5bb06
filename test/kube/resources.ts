// The resources that the test API server knows: which path serves which kind.

export type Resource = {
  group: string;
  version: string;
  plural: string;
  kind: string;
  /** Has a status subresource: writes to the object leave the status alone and the other way round. */
  status: boolean;
};

const CNPG = { group: 'postgresql.cnpg.io', version: 'v1' };
/** Of no namespace: they are stored where objects without one are. */
const WEBHOOKS = { group: 'admissionregistration.k8s.io', version: 'v1', status: false };
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1', status: false };

export const RESOURCES: readonly Resource[] = [
  { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', status: false },
  { group: '', version: 'v1', plural: 'events', kind: 'Event', status: false },
  { group: '', version: 'v1', plural: 'pods', kind: 'Pod', status: true },
  { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', status: false },
  { group: '', version: 'v1', plural: 'services', kind: 'Service', status: true },
  { group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment', status: true },
  { group: 'batch', version: 'v1', plural: 'jobs', kind: 'Job', status: true },
  { group: 'barmancloud.cnpg.io', version: 'v1', plural: 'objectstores', kind: 'ObjectStore', status: true },
  { ...CNPG, plural: 'clusters', kind: 'Cluster', status: true },
  { ...CNPG, plural: 'backups', kind: 'Backup', status: true },
  { ...CNPG, plural: 'scheduledbackups', kind: 'ScheduledBackup', status: true },
  { ...RBAC, plural: 'roles', kind: 'Role' },
  { ...RBAC, plural: 'rolebindings', kind: 'RoleBinding' },
  { ...WEBHOOKS, plural: 'validatingwebhookconfigurations', kind: 'ValidatingWebhookConfiguration' },
  { ...WEBHOOKS, plural: 'mutatingwebhookconfigurations', kind: 'MutatingWebhookConfiguration' },
  { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', status: false },
];

export type Address = {
  resource: Resource;
  /** Undefined: all namespaces. */
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
};

const PATH = /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

/** Reads a request path; undefined when nothing is served there. */
export function addressOf(path: string): Address | undefined {
  const match = PATH.exec(path);
  if (match === null) return undefined;
  const [group = '', version, namespace, plural, name, subresource] = match
    .slice(1)
    .map((part) => (part === undefined ? undefined : decodeURIComponent(part)));
  const resource = RESOURCES.find((r) => r.group === group && r.version === version && r.plural === plural);
  if (resource === undefined || (subresource !== undefined && !(subresource === 'status' && resource.status))) {
    return undefined;
  }
  return { resource, namespace, name, subresource };
}

/** The resource of a kind; throws when it is unknown here. */
export function resourceOf(kind: string): Resource {
  const resource = RESOURCES.find((candidate) => candidate.kind === kind);
  if (resource === undefined) throw new Error(`the test API server knows no kind ${kind}`);
  return resource;
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

// What the Go plugin leaves in a cluster, in our words (objectstore-and-injection.md §10.1, §10.2): by its manifest, and by its
// chart as release `plugin-barman-cloud`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CHART } from './values.ts';

export const NAMESPACE = 'cnpg-system';
const RBAC = 'rbac.authorization.k8s.io';

type Names = {
  deployment: string;
  account: string;
  leader: string;
  leaderBinding: string;
  issuer: string;
  labels: Record<string, string>;
  selector: Record<string, string>;
};

/** Objects of `manifest.yaml`. */
export function manifestObjects(): object[] {
  const labels = { 'app.kubernetes.io/name': 'plugin-barman-cloud', 'app.kubernetes.io/managed-by': 'kustomize' };
  const names = {
    deployment: 'barman-cloud',
    account: 'plugin-barman-cloud',
    leader: 'barman-plugin-leader-election-role',
    leaderBinding: 'barman-plugin-leader-election-rolebinding',
    issuer: 'selfsigned-issuer',
    labels,
    selector: { app: 'barman-cloud' },
  };
  const review = [{ apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] }];
  return [
    crd({}),
    ...shared(names),
    ...clusterRole('barman-plugin-metrics-auth-role', 'barman-plugin-metrics-auth-rolebinding', review, names),
    ...clusterRole(
      'barman-plugin-metrics-reader',
      undefined,
      [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }],
      names,
    ),
    ...clusterRole('barman-plugin-objectstore-editor-role', undefined, storeRules(['create', 'get']), names),
    ...clusterRole('barman-plugin-objectstore-viewer-role', undefined, storeRules(['get']), names),
    object('v1', 'Secret', 'plugin-barman-cloud-7g28d9b42k', labels, { stringData: { SIDECAR_IMAGE: 'go:1' } }),
  ];
}

/** Files of a chart that renders the official one's objects, for helm to install as `plugin-barman-cloud`. */
export function officialObjects(): { templates: object[]; crd: object } {
  const labels = {
    'app.kubernetes.io/name': 'plugin-barman-cloud',
    'app.kubernetes.io/instance': 'plugin-barman-cloud',
  };
  const names = {
    deployment: 'plugin-barman-cloud',
    account: 'plugin-barman-cloud',
    leader: 'plugin-barman-cloud-leader-election-role',
    leaderBinding: 'plugin-barman-cloud-leader-election-rolebinding',
    issuer: 'plugin-barman-cloud-selfsigned-issuer',
    labels,
    selector: labels,
  };
  const settings = object('v1', 'ConfigMap', 'plugin-barman-cloud-config', labels, { data: { SIDECAR_IMAGE: 'go:1' } });
  return { templates: [...shared(names), settings], crd: crd({ 'helm.sh/resource-policy': 'keep' }) };
}

/** Secrets that cert-manager has filled; it, not the installation, made them, and they stay when Certificates go. */
export function leftSecrets(): object[] {
  return ['barman-cloud-client-tls', 'barman-cloud-server-tls'].map((name) => ({
    ...object('v1', 'Secret', name, {}, { type: 'kubernetes.io/tls', stringData: { 'tls.crt': 'x', 'tls.key': 'y' } }),
  }));
}

function shared(names: Names): object[] {
  const { labels, account, deployment, selector } = names;
  const metadata = {
    name: 'barman-cloud',
    namespace: NAMESPACE,
    labels: { ...labels, 'cnpg.io/pluginName': 'barman-cloud.cloudnative-pg.io' },
  };
  const annotations = {
    'cnpg.io/pluginClientSecret': 'barman-cloud-client-tls',
    'cnpg.io/pluginServerSecret': 'barman-cloud-server-tls',
    'cnpg.io/pluginPort': '9090',
  };
  const leases = [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] }];
  return [
    object('v1', 'ServiceAccount', account, labels, {}),
    object(`${RBAC}/v1`, 'Role', names.leader, labels, { rules: leases }),
    object(`${RBAC}/v1`, 'RoleBinding', names.leaderBinding, labels, binding('Role', names.leader, account)),
    ...clusterRole('plugin-barman-cloud', 'plugin-barman-cloud-binding', storeRules(['get', 'list', 'watch']), names),
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { ...metadata, annotations } },
      spec: { selector, ports: [{ port: 9090, targetPort: 9090, protocol: 'TCP' }] },
    },
    object('apps/v1', 'Deployment', deployment, labels, {
      spec: deploymentSpec(account, { ...selector, ...labels }, selector),
    }),
    certificate('barman-cloud-client', names),
    certificate('barman-cloud-server', names),
    object('cert-manager.io/v1', 'Issuer', names.issuer, labels, { spec: { selfSigned: {} } }),
  ];
}

function deploymentSpec(
  serviceAccountName: string,
  labels: Record<string, string>,
  matchLabels: Record<string, string>,
) {
  const args = [
    'operator --server-cert=/server/tls.crt --server-key=/server/tls.key --client-cert=/client/tls.crt',
    '--server-address=:9090 --leader-elect --log-level=debug',
  ];
  const container = { name: 'barman-cloud', image: 'go:1', args: args.flatMap((line) => line.split(' ')) };
  return {
    ...{ replicas: 1, strategy: { type: 'Recreate' }, selector: { matchLabels } },
    template: { metadata: { labels }, spec: { serviceAccountName, containers: [container] } },
  };
}

function certificate(name: string, { labels, issuer }: Names): object {
  const issuerRef = { group: 'cert-manager.io', kind: 'Issuer', name: issuer };
  return object('cert-manager.io/v1', 'Certificate', name, labels, {
    spec: { commonName: name, dnsNames: [name], secretName: `${name}-tls`, issuerRef },
  });
}

function clusterRole(
  name: string,
  bindingName: string | undefined,
  rules: object[],
  { labels, account }: Names,
): object[] {
  const role = { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name, labels }, rules };
  if (bindingName === undefined) return [role];
  const metadata = { name: bindingName, labels };
  return [
    role,
    { apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata, ...binding('ClusterRole', name, account) },
  ];
}

function storeRules(verbs: string[]): object[] {
  return [{ apiGroups: ['barmancloud.cnpg.io'], resources: ['objectstores'], verbs }];
}

function binding(kind: string, name: string, account: string): object {
  return {
    roleRef: { apiGroup: RBAC, kind, name },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: NAMESPACE }],
  };
}

function object(
  apiVersion: string,
  kind: string,
  name: string,
  labels: Record<string, string>,
  content: object,
): object {
  return { apiVersion, kind, metadata: { name, namespace: NAMESPACE, labels }, ...content };
}

/** Its CRD equals ours in all that matters here. */
function crd(annotations: Record<string, string>): object {
  const ours = parse(readFileSync(join(CHART, 'files/objectstores.yaml'), 'utf8')) as { metadata: { name: string } };
  return { ...ours, metadata: { name: ours.metadata.name, annotations } };
}

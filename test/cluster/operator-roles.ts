// What the operator process may do: exactly what the Go plugin's manifest allows (objectstore-and-injection.md §7.3, §10.1),
// or that with the cuts and the additions of ours.

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };

const RBAC = 'rbac.authorization.k8s.io';
const READ = ['get', 'list', 'watch'];
const rule = (group: string, resources: string[], verbs: string[]): Rule => ({ apiGroups: [group], resources, verbs });

export const GO_PLUGIN_RULES: readonly Rule[] = [
  rule('', ['secrets'], ['create', 'delete', ...READ]),
  rule('barmancloud.cnpg.io', ['objectstores'], ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']),
  rule('barmancloud.cnpg.io', ['objectstores/finalizers'], ['update']),
  rule('barmancloud.cnpg.io', ['objectstores/status'], ['get', 'patch', 'update']),
  rule('postgresql.cnpg.io', ['backups'], READ),
  rule('postgresql.cnpg.io', ['clusters/finalizers'], ['update']),
  rule(RBAC, ['rolebindings', 'roles'], ['create', 'get', 'list', 'patch', 'update', 'watch']),
];

export const OUR_RULES: readonly Rule[] = [
  rule('', ['secrets'], READ),
  rule('', ['namespaces'], ['get']),
  rule('', ['events'], ['create', 'patch']),
  rule('barmancloud.cnpg.io', ['objectstores'], READ),
  rule('barmancloud.cnpg.io', ['objectstores/status'], ['get', 'patch', 'update']),
  rule('postgresql.cnpg.io', ['clusters', 'backups', 'scheduledbackups'], READ),
  rule('postgresql.cnpg.io', ['clusters'], ['patch']),
  rule('postgresql.cnpg.io', ['clusters/finalizers'], ['update']),
  rule(RBAC, ['rolebindings', 'roles'], ['create', 'get', 'list', 'patch', 'update', 'watch']),
];

/** In the plugin's own namespace, for both. */
const LEADER_RULES: readonly Rule[] = [
  rule('', ['configmaps'], [...READ, 'create', 'update', 'patch', 'delete']),
  rule('coordination.k8s.io', ['leases'], [...READ, 'create', 'update', 'patch', 'delete']),
  rule('', ['events'], ['create', 'patch']),
];

/** ClusterRole and Role of an account with their bindings. */
export function operatorRoles(namespace: string, account: string, rules: readonly Rule[]): object[] {
  const name = `${namespace}-${account}`;
  const subjects = [{ kind: 'ServiceAccount', namespace, name: account }];
  const apiVersion = `${RBAC}/v1`;
  const refer = (kind: string) => ({ subjects, roleRef: { apiGroup: RBAC, kind, name } });
  return [
    { apiVersion, kind: 'ClusterRole', metadata: { name }, rules },
    { apiVersion, kind: 'ClusterRoleBinding', metadata: { name }, ...refer('ClusterRole') },
    { apiVersion, kind: 'Role', metadata: { namespace, name }, rules: LEADER_RULES },
    { apiVersion, kind: 'RoleBinding', metadata: { namespace, name }, ...refer('Role') },
  ];
}

// One Cluster: whether it can work with the plugin, and what a switch would meet (objectstore-and-injection.md §11, §12).
import { findClusterProblems } from '../../api/cluster-problems.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore, SecretSelector } from '../../api/objectstore.ts';
import { archiveStanza, referencedStores, resolveParameters, type StoreReference } from '../../api/parameters.ts';
import { findProblems, sentenceOf } from '../../api/problems.ts';
import { type ClusterFacts, type Facts, itemsOf, placeOf } from './facts.ts';
import { type Finding, ok, problem, unknown, warning } from './finding.ts';

/** Whether a Cluster has to do with Barman: by the plugin, as a source, or by the operator's own archiver. */
export function usesBarman(cluster: ClusterFacts): boolean {
  return usesPlugin(cluster) || hasInTree(cluster);
}

/** Judges a Cluster; an empty list says that nothing is to be done. */
export function examineCluster(cluster: ClusterFacts, facts: Facts): Finding[] {
  return [
    ...examineLeftovers(cluster, facts),
    ...examineRules(cluster),
    ...referencedStores(resolveParameters(cluster)).flatMap((name) => examineStore(cluster, name, facts)),
    ...examineCollisions(cluster, facts),
    ...examineCondition(cluster),
    ...examineVersion(cluster),
  ];
}

function usesPlugin(cluster: ClusterFacts): boolean {
  const sources = cluster.spec.externalClusters?.some(({ plugin }) => plugin?.name === PLUGIN_NAME);
  return sources === true || archiveStanza(cluster) !== undefined;
}

function hasInTree(cluster: ClusterFacts): boolean {
  const sources = cluster.spec.externalClusters?.some(({ barmanObjectStore }) => barmanObjectStore !== undefined);
  return sources === true || cluster.spec.backup?.barmanObjectStore !== undefined;
}

function examineLeftovers(cluster: ClusterFacts, facts: Facts): Finding[] {
  const findings: Finding[] = [];
  const cure = 'move it to an ObjectStore (docs/migrate.md); the operator’s own archiver goes with 1.31';
  if (cluster.spec.backup?.barmanObjectStore !== undefined) {
    const both = archiveStanza(cluster) !== undefined;
    const text = both ? 'stands beside the plugin' : 'archives without the plugin';
    findings.push((both ? problem : warning)('spec.backup.barmanObjectStore', text, cure));
  }
  cluster.spec.externalClusters?.forEach(({ name, barmanObjectStore }) => {
    if (barmanObjectStore !== undefined)
      findings.push(warning(`externalClusters ${name}`, 'is read by the operator’s own tools', cure));
  });
  for (const schedule of itemsOf(facts.scheduledBackups)) {
    const isOurs =
      schedule.metadata.namespace === cluster.metadata.namespace &&
      schedule.spec.cluster.name === cluster.metadata.name;
    if (
      !isOurs ||
      schedule.spec.method === 'plugin' ||
      schedule.spec.method === 'volumeSnapshot' ||
      !usesPlugin(cluster)
    )
      continue;
    const method = schedule.spec.method ?? 'barmanObjectStore';
    const advice = `write method: plugin and pluginConfiguration.name: ${PLUGIN_NAME}`;
    findings.push(problem(`ScheduledBackup ${schedule.metadata.name}`, `has the method ${method}`, advice));
  }
  return findings;
}

function examineRules(cluster: ClusterFacts): Finding[] {
  return findClusterProblems(cluster, { operation: 'UPDATE', old: cluster }).map((found) => {
    const make = found.severity === 'error' ? problem : warning;
    return make(found.path, sentenceOf(found), 'see docs/admission.md');
  });
}

function examineStore(cluster: ClusterFacts, name: string, facts: Facts): Finding[] {
  if ('unknown' in facts.stores) return [];
  const { namespace = 'default' } = cluster.metadata;
  const about = `ObjectStore ${namespace}/${name}`;
  const store = storeOf(facts, namespace, name);
  if (store === undefined) return [problem(about, 'does not exist', 'create it, or correct barmanObjectName')];
  const flaws = findProblems(store, { operation: 'CREATE' }).map((found) =>
    (found.severity === 'error' ? problem : warning)(about, sentenceOf(found), 'see docs/admission.md'),
  );
  return [
    ...flaws,
    ...examineSecrets(about, namespace, store, facts),
    ...examineLook(about, `${namespace}/${name}`, facts),
  ];
}

function examineSecrets(about: string, namespace: string, store: ObjectStore, facts: Facts): Finding[] {
  if ('unknown' in facts.secrets) return [];
  const secrets = facts.secrets.items;
  return selectorsOf(store).flatMap(([field, { name, key }]) => {
    const secret = secrets.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
    if (secret === undefined)
      return [problem(about, `${field} names the Secret ${name}, which does not exist`, 'create it')];
    if (secret.data?.[key]) return [];
    return [
      problem(
        about,
        `${field} names the key ${key} of the Secret ${name}, which is not there or empty`,
        `it has ${Object.keys(secret.data ?? {}).join(', ') || 'no keys'}`,
      ),
    ];
  });
}

/** Every reference to a Secret in the configuration, with its path, unless the identity of the Pod is used instead. */
function selectorsOf(store: ObjectStore): [string, SecretSelector][] {
  const { endpointCA, s3Credentials = {}, azureCredentials = {}, googleCredentials = {} } = store.spec.configuration;
  const s3 = s3Credentials.inheritFromIAMRole === true ? {} : s3Credentials;
  const fields = Object.entries({ endpointCA, ...s3, ...azureCredentials, ...googleCredentials });
  return fields.filter((entry): entry is [string, SecretSelector] => typeof entry[1] === 'object');
}

function examineLook(about: string, place: string, facts: Facts): Finding[] {
  const look = facts.looks.get(place);
  if (look === undefined) return [];
  if (look.reachable) return [ok(about, 'answers from here')];
  return [unknown(about, `did not answer from here: ${look.reason}`)];
}

function examineCollisions(cluster: ClusterFacts, facts: Facts): Finding[] {
  const mine = archivePlace(cluster, facts);
  if (mine === undefined) return [];
  return itemsOf(facts.clusters)
    .filter((other) => placeOf(other) !== placeOf(cluster) && archivePlace(other, facts) === mine)
    .map((other) =>
      problem(
        'serverName',
        `the Cluster ${placeOf(other)} archives to the same place, ${mine}`,
        'give one of them its own serverName',
      ),
    );
}

/** Where a Cluster archives, as one string: endpoint, destination without a trailing slash, server name. */
function archivePlace(cluster: ClusterFacts, facts: Facts): string | undefined {
  const archive: StoreReference | undefined = resolveParameters(cluster).archive;
  const { namespace = 'default' } = cluster.metadata;
  const store = archive && storeOf(facts, namespace, archive.objectStore);
  if (archive === undefined || store === undefined) return undefined;
  const { destinationPath, endpointURL } = store.spec.configuration;
  const place = `${destinationPath.replace(/\/+$/, '')}/${archive.serverName}`;
  return endpointURL ? `${place} at ${endpointURL.replace(/\/+$/, '')}` : place;
}

function storeOf(facts: Facts, namespace: string, name: string): ObjectStore | undefined {
  return itemsOf(facts.stores).find(
    ({ metadata }) => metadata.name === name && (metadata.namespace ?? 'default') === namespace,
  );
}

function examineCondition(cluster: ClusterFacts): Finding[] {
  const archiving = cluster.status?.conditions?.find(({ type }) => type === 'ContinuousArchiving');
  if (archiving === undefined) return [];
  const since = archiving.lastTransitionTime ? ` since ${archiving.lastTransitionTime}` : '';
  if (archiving.status === 'True') return [ok('WAL archiving', `works${since}`)];
  return [
    problem(
      'WAL archiving',
      `fails${since}: ${archiving.message ?? 'no message'}`,
      `kubectl -n ${cluster.metadata.namespace} logs ${cluster.status?.currentPrimary ?? cluster.metadata.name} -c plugin-barman-cloud`,
    ),
  ];
}

function examineVersion(cluster: ClusterFacts): Finding[] {
  if (archiveStanza(cluster) === undefined || cluster.status === undefined) return [];
  const known = cluster.status.pluginStatus?.find(({ name }) => name === PLUGIN_NAME);
  if (known === undefined)
    return [
      problem(
        'plugin',
        'the operator has not loaded it for this Cluster',
        'see the plugin Service above, then the operator’s log',
      ),
    ];
  return [ok('plugin', `is ${known.version ?? 'of unknown version'}`)];
}

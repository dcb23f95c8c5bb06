// The Clusters that use a store, and what a change of the store does to them (rules C7 to C10).
import { referencedStores } from '../parameters.ts';
import type { Draft } from './draft.ts';
import { locationOf } from './location.ts';
import type { ClusterFact } from './neighbours.ts';
import type { Finding, RuleContext } from './rule.ts';
import { joinNames, show, showUrl } from './show.ts';

type Context = RuleContext<Draft>;

const CONFIGURATION = 'spec.configuration';

export function movedStore(draft: Draft, context: Context): Finding[] {
  const [user] = archivers(draft, context);
  if (user === undefined || !moves(draft, context)) return [];
  const advice = `Cluster ${user.name} archives here; its backups stay behind, take a new one`;
  return [{ ...movedFinding(draft, context), advice }];
}

/** Only a change can bring two Clusters together here: what was together before is told on the Cluster. */
export function collidingMove(draft: Draft, context: Context): Finding[] {
  const { clusters, stores } = context.around;
  if (clusters === undefined || !moves(draft, context)) return [];
  const location = locationOf(draft.configuration);
  return archivers(draft, context).flatMap((mine): Finding[] => {
    const serverName = mine.parameters.archive?.serverName ?? '';
    const others = clusters.archivingAs(serverName).filter(({ deleting, namespace, parameters: { archive } }) => {
      if (deleting || archive === undefined) return false;
      if (namespace === draft.namespace && archive.objectStore === draft.name) return false;
      return location !== undefined && stores?.location(namespace, archive.objectStore) === location;
    });
    const near = others.find(({ namespace }) => namespace === draft.namespace);
    if (near !== undefined) {
      const advice = `location already used by Cluster ${near.name}: with Cluster ${mine.name} WAL would be mixed; use another`;
      return [{ ...movedFinding(draft, context), advice, offending: [near.name, mine.name, location] }];
    }
    if (others.length === 0) return [];
    const advice = `location already used by a Cluster of another namespace: with Cluster ${mine.name} WAL would be mixed`;
    return [{ ...movedFinding(draft, context), advice, warnOnly: true }];
  });
}

function moves(draft: Draft, { old }: Context): boolean {
  return old !== undefined && locationOf(draft.configuration) !== locationOf(old.configuration);
}

function movedFinding({ configuration }: Draft, { old }: Context): { path: string; found: string } {
  const field =
    configuration.destinationPath === old?.configuration.destinationPath ? 'endpointURL' : 'destinationPath';
  return { path: `${CONFIGURATION}.${field}`, found: showUrl(configuration[field] ?? '') };
}

/**
 * | namespace terminates | strictReferences | is an |
 * |---|---|---|
 * | yes | any | – (all goes) |
 * | no | yes | error |
 * | no | no | warning |
 * | not known | any | warning |
 */
export function deletedInUse(draft: Draft, { around }: Context): Finding[] {
  if (around.namespaceTerminates === true) return [];
  const users = usersOf(draft, around.clusters?.inNamespace(draft.namespace) ?? []);
  if (users.length === 0) return [];
  const names = users.slice(0, MAX_NAMES).map(({ name }) => name);
  const rest = users.length > names.length ? [`${users.length - names.length} more`] : [];
  const one = users.length === 1;
  const found = `${one ? 'Cluster' : 'Clusters'} ${joinNames([...names, ...rest])}`;
  const advice = `still ${one ? 'uses' : 'use'} this store; delete ${one ? 'it' : 'them'} first, or name another store there`;
  const known = around.namespaceTerminates === false;
  return [{ path: 'metadata.name', found, advice, reference: true, ...(known ? {} : { warnOnly: true }) }];
}

const MAX_NAMES = 3;

export function sharedRetention(draft: Draft, context: Context): Finding[] {
  const { retentionPolicy } = draft.spec;
  const users = archivers(draft, context);
  if (retentionPolicy === undefined || users.length < 2) return [];
  const advice = `applies to every server name in this store; ${users.length} Clusters archive here`;
  return [{ path: 'spec.retentionPolicy', found: show(retentionPolicy), advice }];
}

function archivers(draft: Draft, { around }: Context): ClusterFact[] {
  const clusters = around.clusters?.inNamespace(draft.namespace) ?? [];
  return clusters.filter(({ deleting, parameters }) => !deleting && parameters.archive?.objectStore === draft.name);
}

function usersOf({ name }: Draft, clusters: readonly ClusterFact[]): ClusterFact[] {
  return clusters.filter(({ deleting, parameters }) => !deleting && referencedStores(parameters).includes(name));
}

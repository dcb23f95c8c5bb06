// Which store serves this instance: pure (cnpg-i-contract.md §5.3 and rows 4, 13, 14 of §9.2; objectstore-and-injection.md §3).
import type { Cluster } from '../../api/kube.ts';
import { archiveStanza, resolveParameters, type StoreReference } from '../../api/parameters.ts';

/** Where a WAL file is read from. */
export type ReadPlan = {
  role: 'archive' | 'recovery' | 'replicaSource';
  /** Undefined when the Cluster names no store for the role: nothing can be there. */
  reference: StoreReference | undefined;
  /**
   * No primary is known yet: PostgreSQL replays to its end and promotes. There a failed restore ends the recovery early
   * and loses what follows, so trouble is never answered, only absence.
   */
  inRecovery: boolean;
};

/** Where WAL is written. */
export type WritePlan = {
  reference: StoreReference | undefined;
  /** `isWALArchiver: true`. The operator asks every enabled plugin to archive, declared or not (row 4 of §9.2). */
  declared: boolean;
};

/**
 * | currentPrimary | replica source named | replica cluster | recovery named | read from                             |
 * |----------------|----------------------|-----------------|----------------|---------------------------------------|
 * | this Pod       | yes                  | any             | any            | replica source, also under promotion  |
 * | this Pod       | no                   | any             | any            | archive                               |
 * | another Pod    | any                  | any             | any            | archive                               |
 * | empty          | any                  | any             | yes            | recovery                              |
 * | empty          | yes                  | yes             | no             | replica source (pg_basebackup, row 13) |
 * | empty          | otherwise            |                 | no             | recovery, which is not named: absent  |
 *
 * Tokens for promotion and demotion are not looked at (row 14): until it is promoted, a designated primary follows the
 * source.
 */
export function storeToRead(cluster: Cluster, podName: string): ReadPlan {
  const { archive, recovery, replicaSource } = resolveParameters(cluster);
  const currentPrimary = cluster.status?.currentPrimary;
  if (!currentPrimary) {
    if (recovery === undefined && replicaSource !== undefined && isReplicaCluster(cluster)) {
      return { role: 'replicaSource', reference: replicaSource, inRecovery: true };
    }
    return { role: 'recovery', reference: recovery, inRecovery: true };
  }
  if (currentPrimary === podName && replicaSource !== undefined) {
    return { role: 'replicaSource', reference: replicaSource, inRecovery: false };
  }
  return { role: 'archive', reference: archive, inRecovery: false };
}

/**
 * WAL always goes to the archive role's store, whatever this Pod is: a demoted primary archives what it has left while
 * the Cluster names another one. Not being declared the archiver does not stop it, as in the Go plugin: whoever left the
 * flag out would lose archiving without a sign.
 *
 * | enabled entry in spec.plugins | barmanObjectName | isWALArchiver | write to                    |
 * |-------------------------------|------------------|---------------|-----------------------------|
 * | yes                           | yes              | true          | that store                  |
 * | yes                           | yes              | not true      | that store, `declared` false |
 * | yes                           | no               | any           | nowhere: refused            |
 * | no                            |                  |               | nowhere: refused            |
 */
export function storeToWrite(cluster: Cluster): WritePlan {
  return {
    reference: resolveParameters(cluster).archive,
    declared: archiveStanza(cluster)?.isWALArchiver === true,
  };
}

/**
 * Whether the operator treats the Cluster as a replica:
 *
 * | replica.enabled | replica.primary | answer                                        |
 * |-----------------|-----------------|-----------------------------------------------|
 * | set             | any             | what it says                                  |
 * | unset           | set             | primary is not self (default: the Cluster)    |
 * | unset           | unset           | no                                            |
 */
export function isReplicaCluster(cluster: Cluster): boolean {
  const replica = cluster.spec.replica;
  if (replica?.enabled !== undefined) return replica.enabled;
  if (!replica?.primary) return false;
  return replica.primary !== (replica.self || cluster.metadata.name);
}

// The safety net behind the CNPG-I lifecycle hook: Pods and Jobs that come without their sidecar get it at admission
// (objectstore-and-injection.md §6.3). A door only: the decision and the edit are the injector's.
import { messageOf } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import { CNPG_GROUP, LABEL_CLUSTER } from '../api/names.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { childOf } from '../api/schema.ts';
import { isJob, type Workload } from '../injector/decide.ts';
import { parseWorkload } from '../injector/documents.ts';
import { type InjectionCode, inject, storesNeeded } from '../injector/inject.ts';
import { jsonPatch } from '../injector/patch.ts';
import { findSidecar } from '../injector/pod-spec.ts';
import { MissingObjectError, type StoreReads } from '../injector/reads.ts';
import type { Review, Verdict } from './review.ts';

export type WorkloadCode =
  | InjectionCode
  | 'not-a-creation'
  | 'no-cluster-label'
  | 'not-understood'
  | 'owner-mismatch'
  | 'cluster-missing'
  | 'store-missing'
  | 'look-up-failed'
  | 'injection-failed';

/** Why an object left as it did: not injecting is an outcome, too. */
export type WorkloadOutcome = {
  verdict: Verdict;
  outcome: 'injected' | 'skipped' | 'failed';
  code: WorkloadCode;
  sentence: string;
};

export type WorkloadDeps = { reads: StoreReads; settings: { sidecarImage: string }; lookUpLimitMs: number };

/** Injects into a new Pod or Job. Never refuses and never throws: trouble admits the object unchanged, with a warning. */
export async function injectWorkload(review: Review, deps: WorkloadDeps): Promise<WorkloadOutcome> {
  if (review.operation !== 'CREATE' || review.subResource !== '') {
    return skipped('not-a-creation', `${review.operation} of an object leaves it as it is`);
  }
  const clusterName = childOf(childOf(childOf(review.object, 'metadata'), 'labels'), LABEL_CLUSTER);
  if (typeof clusterName !== 'string' || clusterName === '') {
    return skipped('no-cluster-label', `there is no label ${LABEL_CLUSTER}`);
  }
  let workload: Workload;
  try {
    workload = parseWorkload(Buffer.from(JSON.stringify(review.object)));
  } catch (error) {
    return failed('not-understood', messageOf(error));
  }
  const found = await lookUp(review, clusterName, workload, deps);
  if ('code' in found) return found;
  try {
    const settings = { ...deps.settings, whenPresent: 'keep' as const };
    const { outcome, code, sentence, object } = inject(workload, found.cluster, found.stores, settings);
    return { verdict: { allowed: true, warnings: [], patch: jsonPatch(workload, object) }, outcome, code, sentence };
  } catch (error) {
    return failed('injection-failed', messageOf(error));
  }
}

type Found = { cluster: Cluster; stores: Map<string, ObjectStore> };

/** The Cluster that owns the object, and the stores that an injection needs: none when the sidecar is there already. */
async function lookUp(
  review: Review,
  clusterName: string,
  workload: Workload,
  deps: WorkloadDeps,
): Promise<Found | WorkloadOutcome> {
  const read = async (): Promise<Found | WorkloadOutcome> => {
    const cluster = await deps.reads.cluster(review.namespace, clusterName);
    const stranger = ownerMismatch(review.object, cluster);
    if (stranger !== undefined) return failed('owner-mismatch', stranger);
    const spec = isJob(workload) ? workload.spec.template.spec : workload.spec;
    const names = findSidecar(spec) === undefined ? storesNeeded(workload, cluster) : [];
    const entries = names.map(async (name) => [name, await deps.reads.objectStore(review.namespace, name)] as const);
    return { cluster, stores: new Map(await Promise.all(entries)) };
  };
  try {
    return await withinLimit(read(), deps.lookUpLimitMs);
  } catch (error) {
    if (!(error instanceof MissingObjectError)) return failed('look-up-failed', messageOf(error));
    return failed(error.kind === 'Cluster' ? 'cluster-missing' : 'store-missing', messageOf(error));
  }
}

/**
 * Why the object is not the Cluster's, though its label says so; undefined when it is. The controller must be that very
 * Cluster: of its API group (forks have their own), its name and its UID.
 */
function ownerMismatch(object: unknown, cluster: Cluster): string | undefined {
  const owners = childOf(childOf(object, 'metadata'), 'ownerReferences');
  const owner = Array.isArray(owners)
    ? owners.find((reference) => childOf(reference, 'controller') === true)
    : undefined;
  const label = `label ${LABEL_CLUSTER} names Cluster ${cluster.metadata.name}`;
  if (owner === undefined) return `${label}, but no controller owns the object`;
  const [kind, name, uid] = ['kind', 'name', 'uid'].map((field) => childOf(owner, field));
  if (
    kind !== 'Cluster' ||
    groupOf(childOf(owner, 'apiVersion')) !== groupOf(cluster.apiVersion ?? `${CNPG_GROUP}/v1`)
  ) {
    return `${label}, but the controller is not a Cluster`;
  }
  if (name !== cluster.metadata.name) return `${label}, but the controller is another Cluster`;
  return uid === cluster.metadata.uid ? undefined : `${label}, but the controller is an earlier Cluster of that name`;
}

function groupOf(apiVersion: unknown): string | undefined {
  return typeof apiVersion === 'string' ? apiVersion.split('/')[0] : undefined;
}

/** The API server gives a webhook few seconds; a late answer is no answer. */
async function withinLimit<T>(work: Promise<T>, limitMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`the API server has not answered within ${limitMs} ms`)),
    limitMs,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function skipped(code: WorkloadCode, sentence: string): WorkloadOutcome {
  return { verdict: { allowed: true, warnings: [] }, outcome: 'skipped', code, sentence };
}

function failed(code: WorkloadCode, sentence: string): WorkloadOutcome {
  return {
    verdict: { allowed: true, warnings: [`no backup sidecar: ${sentence}`] },
    outcome: 'failed',
    code,
    sentence,
  };
}

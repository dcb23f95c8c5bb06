// The one pure function behind both doors: from an object, its Cluster and the stores to the object with a sidecar.
import { InvalidInputError, PreconditionError } from '../api/errors.ts';
import type { Cluster, Container, PodSpec, Volume } from '../api/kube.ts';
import { CERTIFICATE_FILE, CERTIFICATES_VOLUME } from '../api/names.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { referencedStores, resolveParameters, type StoreReference } from '../api/parameters.ts';
import { type RoleStores, STARTUP_PROBE, sidecarContainer } from './container.ts';
import { type Decision, decide, isJob, type SkipCode, type Workload } from './decide.ts';
import { editPodSpec, findSidecar, placeSidecar } from './pod-spec.ts';

export type InjectionSettings = {
  /** Image of the sidecar, one for all Clusters. */
  sidecarImage: string;
  /**
   * What happens to a sidecar that is there already. `rebuild` (the lifecycle hook): it is made equal to what would be
   * injected now. `keep` (the admission door, §6.3.4): it is left alone but for a `restartPolicy` that somebody dropped.
   */
  whenPresent?: 'rebuild' | 'keep';
};

export type InjectionCode = SkipCode | 'already-injected' | 'instance' | 'recovery-job' | 'repaired';

export type Injection = {
  outcome: 'injected' | 'skipped';
  code: InjectionCode;
  /** For logs and warnings: why. */
  sentence: string;
  /** The input itself when nothing changes; otherwise a copy that shares what did not change. */
  object: Workload;
};

/**
 * Injects the sidecar into an instance Pod or a recovery Job, or says why not. Deterministic; on its own output it
 * changes nothing. Stores that no role refers to are ignored.
 *
 * Throws PreconditionError for a referenced store that is not among the given ones, InvalidInputError when the object
 * lacks its main container or a namespace cannot be told.
 */
export function inject(
  object: Workload,
  cluster: Cluster,
  stores: ReadonlyMap<string, ObjectStore>,
  settings: InjectionSettings,
): Injection {
  const decision = decide(object, cluster);
  if (!decision.inject) return { outcome: 'skipped', code: decision.code, sentence: decision.sentence, object };
  const present = findSidecar(podSpecOf(object));
  if (present !== undefined && settings.whenPresent === 'keep') return keep(object, present);
  return {
    outcome: 'injected',
    code: decision.code,
    sentence: decision.sentence,
    object: withPodSpec(object, editedSpec(object, decision, cluster, stores, settings)),
  };
}

/** Names of the stores that must be read before `inject` can do its work: none for an object that is skipped. */
export function storesNeeded(object: Workload, cluster: Cluster): string[] {
  return decide(object, cluster).inject ? referencedStores(resolveParameters(cluster)) : [];
}

function editedSpec(
  object: Workload,
  decision: Decision & { inject: true },
  cluster: Cluster,
  stores: ReadonlyMap<string, ObjectStore>,
  settings: InjectionSettings,
): PodSpec {
  const parameters = resolveParameters(cluster);
  const roles: RoleStores = {
    archive: find(parameters.archive),
    recovery: find(parameters.recovery),
    replicaSource: find(parameters.replicaSource),
  };
  const certificates = certificatesVolume(referencedStores(parameters), stores);
  const namespace = namespaceOf(cluster, object);
  return editPodSpec(podSpecOf(object), {
    mainContainer: decision.mainContainer,
    certificates,
    sidecar: (main) =>
      sidecarContainer({
        mode: decision.mode,
        cluster,
        namespace,
        main,
        stores: roles,
        sidecarImage: settings.sidecarImage,
        hasCertificates: certificates !== undefined,
      }),
  });

  function find(reference: StoreReference | undefined): ObjectStore | undefined {
    if (reference === undefined) return undefined;
    const store = stores.get(reference.objectStore);
    if (store !== undefined) return store;
    throw new PreconditionError(
      `ObjectStore ${reference.objectStore} of Cluster ${cluster.metadata.name} was not read`,
    );
  }
}

/** One source for each store with an `endpointCA`, sorted by store (§4.3); undefined when no store has one. */
function certificatesVolume(names: string[], stores: ReadonlyMap<string, ObjectStore>): Volume | undefined {
  const sources = names.flatMap((store) => {
    const authority = stores.get(store)?.spec.configuration.endpointCA;
    if (!authority) return [];
    const items = [{ key: authority.key, path: `${store}/${CERTIFICATE_FILE}` }];
    return [{ secret: { name: authority.name, items } }];
  });
  return sources.length === 0 ? undefined : { name: CERTIFICATES_VOLUME, projected: { sources } };
}

function keep(object: Workload, sidecar: Container): Injection {
  if (sidecar.restartPolicy === 'Always') {
    return { outcome: 'skipped', code: 'already-injected', sentence: 'the sidecar is there already', object };
  }
  const repaired = { ...sidecar, restartPolicy: 'Always', startupProbe: sidecar.startupProbe ?? STARTUP_PROBE };
  return {
    outcome: 'injected',
    code: 'repaired',
    sentence: 'the sidecar had lost its restartPolicy: an older API server or another webhook drops it',
    object: withPodSpec(object, placeSidecar(podSpecOf(object), repaired)),
  };
}

function podSpecOf(object: Workload): PodSpec {
  return isJob(object) ? object.spec.template.spec : object.spec;
}

function withPodSpec(object: Workload, spec: PodSpec): Workload {
  if (spec === podSpecOf(object)) return object;
  if (!isJob(object)) return { ...object, spec };
  return { ...object, spec: { ...object.spec, template: { ...object.spec.template, spec } } };
}

function namespaceOf(cluster: Cluster, object: Workload): string {
  const namespace = cluster.metadata.namespace || object.metadata?.namespace;
  if (namespace) return namespace;
  throw new InvalidInputError('metadata.namespace of the Cluster', namespace, 'the document must name its namespace');
}

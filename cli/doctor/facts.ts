// What `cellar doctor` looks at: a snapshot of a cluster. A part that could not be read says why instead.
import type { Cluster, ObjectMeta } from '../../api/kube.ts';
import type { ObjectStore } from '../../api/objectstore.ts';

/** A list, or the reason why it is not known. */
export type Known<T> = { items: T[] } | { unknown: string };

export type Named = { metadata: ObjectMeta & { name: string } };

/** The operator's own record on a Cluster, beside what the rest of Cellar reads. */
export type ClusterFacts = Cluster & {
  status?: {
    conditions?: { type: string; status: string; message?: string; lastTransitionTime?: string }[];
    pluginStatus?: { name: string; version?: string }[];
  };
};

export type ScheduledBackup = Named & {
  spec: { cluster: { name: string }; method?: string; pluginConfiguration?: { name?: string } };
};

export type Deployment = Named & {
  spec: {
    replicas?: number;
    template: { metadata?: ObjectMeta; spec: { containers: { image?: string; args?: string[] }[] } };
  };
  status?: { readyReplicas?: number };
};

export type Service = Named & { spec: { selector?: Record<string, string>; ports?: { port: number }[] } };

export type Secret = Named & { data?: Record<string, string> };

export type Definition = Named & { spec: { versions: { name: string; schema?: { openAPIV3Schema?: unknown } }[] } };

export type WebhookConfiguration = Named & {
  kind?: string;
  webhooks?: {
    name: string;
    failurePolicy?: string;
    clientConfig: { caBundle?: string; service?: { namespace: string; name: string } };
    rules?: { apiGroups?: string[]; resources?: string[] }[];
  }[];
};

export type Facts = {
  /** `v1.34.4` */
  kubernetesVersion: string;
  clusters: Known<ClusterFacts>;
  stores: Known<ObjectStore>;
  scheduledBackups: Known<ScheduledBackup>;
  deployments: Known<Deployment>;
  /** Those that carry the plugin's label. */
  services: Known<Service>;
  secrets: Known<Secret>;
  /** The ObjectStore's; empty where it is not installed. */
  definitions: Known<Definition>;
  webhooks: Known<WebhookConfiguration>;
  /** What a look into a store has given, by `namespace/name`; absent where nobody looked. */
  looks: Map<string, Look>;
};

export type Look = { reachable: true } | { reachable: false; reason: string };

/** The items, or nothing when they are not known. */
export function itemsOf<T>(known: Known<T>): T[] {
  return 'items' in known ? known.items : [];
}

/** `namespace/name` */
export function placeOf({ metadata }: Named): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}

// A Cluster as somebody wrote it, made well-typed, so that every rule can look at what is understood. What is of a wrong
// type is left out, flags are read as they were meant: refusing such documents is the business of the Cluster's own CRD.
import type { Cluster, EnvVar, ExternalCluster, PluginStanza } from '../kube.ts';
import { childOf, isFields } from '../schema.ts';

/** `stray` are fields that no plugin entry has: the API server prunes them, files still show them. */
export type StanzaDraft = PluginStanza & { stray: string[] };

export type ClusterDraft = Omit<Cluster, 'spec'> & {
  spec: Pick<Cluster['spec'], 'bootstrap' | 'replica'> & {
    plugins: StanzaDraft[];
    externalClusters: (Omit<ExternalCluster, 'plugin'> & { plugin?: StanzaDraft })[];
    env: EnvVar[];
    /** `spec.backup.barmanObjectStore`: the operator's own archiver. */
    inTreeStore?: { destinationPath?: string; endpointURL?: string; serverName?: string };
    inTreeRetention?: string;
  };
};

/** Reads any JSON value, never throws. Only fields that a rule looks at are in the answer; lists keep their length. */
export function readClusterDraft(document: unknown): ClusterDraft {
  const [metadata, spec] = [childOf(document, 'metadata'), childOf(document, 'spec')];
  const namespace = readText(childOf(metadata, 'namespace'));
  return {
    metadata: {
      name: readText(childOf(metadata, 'name')) ?? '',
      ...(namespace === undefined ? {} : { namespace }),
      annotations: readTexts(childOf(metadata, 'annotations')),
    },
    spec: {
      plugins: listOf(childOf(spec, 'plugins')).map(readStanza),
      externalClusters: listOf(childOf(spec, 'externalClusters')).map(readExternal),
      env: listOf(childOf(spec, 'env')).map((item) => ({ name: readText(childOf(item, 'name')) ?? '' })),
      ...readBootstrap(childOf(childOf(spec, 'bootstrap'), 'recovery')),
      ...readReplica(childOf(spec, 'replica')),
      ...readInTree(childOf(spec, 'backup')),
    },
  };
}

function readStanza(written: unknown): StanzaDraft {
  const [enabled, isWALArchiver] = [readFlag(childOf(written, 'enabled')), readFlag(childOf(written, 'isWALArchiver'))];
  return {
    name: readText(childOf(written, 'name')) ?? '',
    ...(enabled === undefined ? {} : { enabled }),
    ...(isWALArchiver === undefined ? {} : { isWALArchiver }),
    parameters: readTexts(childOf(written, 'parameters')),
    stray: isFields(written) ? Object.keys(written).filter((key) => !STANZA_FIELDS.has(key)) : [],
  };
}

const STANZA_FIELDS = new Set(['name', 'enabled', 'isWALArchiver', 'parameters']);

function readExternal(written: unknown) {
  const plugin = childOf(written, 'plugin');
  return {
    name: readText(childOf(written, 'name')) ?? '',
    ...(isFields(plugin) ? { plugin: readStanza(plugin) } : {}),
  };
}

function readBootstrap(recovery: unknown): Pick<ClusterDraft['spec'], 'bootstrap'> {
  if (!isFields(recovery)) return {};
  const source = readText(recovery.source);
  const backup = readText(childOf(recovery.backup, 'name'));
  const targetTime = readText(childOf(recovery.recoveryTarget, 'targetTime'));
  return {
    bootstrap: {
      recovery: {
        ...(source ? { source } : {}),
        ...(backup ? { backup: { name: backup } } : {}),
        ...(targetTime ? { recoveryTarget: { targetTime } } : {}),
      },
    },
  };
}

function readReplica(replica: unknown): Pick<ClusterDraft['spec'], 'replica'> {
  if (!isFields(replica)) return {};
  const texts = ['self', 'primary', 'source'].flatMap((key) => (readText(replica[key]) ? [[key, replica[key]]] : []));
  const enabled = readFlag(replica.enabled);
  return { replica: { ...Object.fromEntries(texts), ...(enabled === undefined ? {} : { enabled }) } };
}

function readInTree(backup: unknown): Pick<ClusterDraft['spec'], 'inTreeStore' | 'inTreeRetention'> {
  const store = childOf(backup, 'barmanObjectStore');
  const retention = readText(childOf(backup, 'retentionPolicy'));
  return {
    ...(isFields(store) ? { inTreeStore: readTexts(store) } : {}),
    ...(retention ? { inTreeRetention: retention } : {}),
  };
}

function listOf(written: unknown): unknown[] {
  return Array.isArray(written) ? written : [];
}

function readText(written: unknown): string | undefined {
  return typeof written === 'string' ? written : undefined;
}

function readTexts(written: unknown): Record<string, string> {
  if (!isFields(written)) return {};
  return Object.fromEntries(
    Object.entries(written).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** The API server drops nulls. */
function readFlag(written: unknown): boolean | undefined {
  if (written === undefined || written === null) return undefined;
  return written === true || (typeof written === 'string' && written.toLowerCase() === 'true');
}

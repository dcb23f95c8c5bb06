// The look around before an object is judged: what else there is, within a limit of time.
import { messageOf } from '../api/errors.ts';
import type { JudgedKind } from '../api/judged-kinds.ts';
import type { Operation } from '../api/problems.ts';
import { readClusterDraft } from '../api/rules/cluster-draft.ts';
import { externalEntries, pluginEntries } from '../api/rules/cluster-entries.ts';
import { readDraft } from '../api/rules/draft.ts';
import { indexClusters, indexStores } from '../api/rules/neighbours.ts';
import { secretNames } from '../api/rules/secrets.ts';
import type { Surroundings } from '../api/rules/surroundings.ts';

/**
 * What the judges may ask; each is optional, and rules that would need it are silent without. Everything answers from a
 * cache where it can, and ends when the signal says so.
 */
export type LookUps = {
  /** Clusters of all namespaces, as JSON: the same list as long as nothing has changed, because an index hangs on it. */
  clusters?(signal: AbortSignal): Promise<readonly unknown[]>;
  /** ObjectStores of all namespaces, likewise. */
  objectStores?(signal: AbortSignal): Promise<readonly unknown[]>;
  /** Names of the keys of a Secret; undefined for one that is positively not there. Only where Secrets may be read. */
  secretKeys?(namespace: string, name: string, signal: AbortSignal): Promise<readonly string[] | undefined>;
  /** A Backup; undefined for one that is positively not there. */
  backup?(namespace: string, name: string, signal: AbortSignal): Promise<unknown>;
  isNamespaceTerminating?(namespace: string, signal: AbortSignal): Promise<boolean>;
};

export type Subject = { kind: JudgedKind; operation: Operation; object: unknown; namespace: string };

/**
 * Asks side by side for what the rules of the kind need. A look-up that fails or is late becomes a sentence in `failures`;
 * never throws.
 */
export async function lookAround(
  subject: Subject,
  lookUps: LookUps,
  { strictReferences, limitMs }: { strictReferences: boolean; limitMs: number },
): Promise<{ around: Surroundings; failures: string[] }> {
  const around: Surroundings = { complete: true, strictReferences };
  const failures: string[] = [];
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${limitMs} ms`)), limitMs);
  const look = async (what: string, ask: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    try {
      await orAborted(ask(limit.signal), limit.signal);
    } catch (error) {
      failures.push(`not compared with ${what}, which could not be read: ${messageOf(error).slice(0, 100)}`);
    }
  };
  try {
    await Promise.all(asksOf(subject, lookUps, around).map(([what, ask]) => look(what, ask)));
  } finally {
    clearTimeout(timer);
  }
  return { around: { ...around }, failures: failures.sort() };
}

type Ask = [what: string, ask: (signal: AbortSignal) => Promise<void>];

/** Each writes one answer into `around`. */
function asksOf({ kind, operation, object, namespace }: Subject, lookUps: LookUps, around: Surroundings): Ask[] {
  const asks: Ask[] = [];
  const { clusters, objectStores, secretKeys, backup, isNamespaceTerminating } = lookUps;
  if (kind === 'Cluster' && !namesPlugin(object)) {
    return backup === undefined ? [] : asksForBackup(object, namespace, backup, around);
  }
  if (clusters !== undefined) {
    asks.push([
      'other Clusters',
      async (signal) => {
        around.clusters = indexClusters(await clusters(signal));
      },
    ]);
  }
  if (operation === 'DELETE') {
    if (isNamespaceTerminating === undefined || !around.strictReferences) return asks;
    const ask = async (signal: AbortSignal) => {
      around.namespaceTerminates = await isNamespaceTerminating(namespace, signal);
    };
    return [...asks, ['the Namespace', ask]];
  }
  if (objectStores !== undefined) {
    asks.push([
      'ObjectStores',
      async (signal) => {
        around.stores = indexStores(await objectStores(signal));
      },
    ]);
  }
  if (kind === 'Cluster' && backup !== undefined) asks.push(...asksForBackup(object, namespace, backup, around));
  if (kind === 'ObjectStore' && secretKeys !== undefined) {
    asks.push([
      'Secrets',
      async (signal) => {
        const names = secretNames(readDraft(object));
        const keys = await Promise.all(names.map((name) => secretKeys(namespace, name, signal)));
        around.secretKeys = new Map(names.map((name, index) => [name, keys[index] ?? null]));
      },
    ]);
  }
  return asks;
}

function asksForBackup(
  cluster: unknown,
  namespace: string,
  backup: NonNullable<LookUps['backup']>,
  around: Surroundings,
): Ask[] {
  const name = readClusterDraft(cluster).spec.bootstrap?.recovery?.backup?.name;
  if (name === undefined) return [];
  const ask = async (signal: AbortSignal) => {
    around.recoveryBackup = await backup(namespace, name, signal);
  };
  return [['the Backup', ask]];
}

/** Most Clusters have nothing to do with us, and nothing is asked for them. */
function namesPlugin(object: unknown): boolean {
  const cluster = readClusterDraft(object);
  return pluginEntries(cluster).length > 0 || externalEntries(cluster).length > 0;
}

/** Ends with the signal even when what was asked does not heed it. */
function orAborted(asked: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([asked, aborted]).finally(() => signal.removeEventListener('abort', abort));
}

// `cellar doctor --stores`: whether each store answers from where the command runs, with the credentials of its Secrets.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, PreconditionError } from '../../api/errors.ts';
import { CERTIFICATE_FILE } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import type { KubeReads } from '../../api/wire/kube.ts';
import { type Facts, itemsOf, type Look } from './facts.ts';

/** Opens a store of a namespace as the sidecar does, and lists its first folder. */
export type OpenStore = (
  reads: KubeReads,
  place: { namespace: string; objectStore: string; certificatesFolder: string },
) => Promise<{ list(signal: AbortSignal): Promise<void>; close(): void }>;

const LIMIT_MS = 10_000;

/** Looks into every ObjectStore, one after the other; each has 10 s. Never throws: what fails is a reason. */
export async function lookIntoStores(facts: Facts, openStore: OpenStore): Promise<Map<string, Look>> {
  const looks = new Map<string, Look>();
  const certificatesFolder = await mkdtemp(join(tmpdir(), 'cellar-doctor-'));
  try {
    for (const store of itemsOf(facts.stores)) {
      const { namespace = 'default', name = '' } = store.metadata ?? {};
      looks.set(`${namespace}/${name}`, await lookInto(store, facts, { certificatesFolder, openStore }));
    }
  } finally {
    await rm(certificatesFolder, { recursive: true, force: true });
  }
  return looks;
}

async function lookInto(
  store: ObjectStore,
  facts: Facts,
  { certificatesFolder, openStore }: { certificatesFolder: string; openStore: OpenStore },
): Promise<Look> {
  const { namespace = 'default', name = '' } = store.metadata ?? {};
  try {
    await writeAuthority(store, facts, join(certificatesFolder, name));
    const opened = await openStore(readsOf(store, facts), { namespace, objectStore: name, certificatesFolder });
    try {
      await opened.list(AbortSignal.timeout(LIMIT_MS));
    } finally {
      opened.close();
    }
    return { reachable: true };
  } catch (error) {
    return { reachable: false, reason: messageOf(error) };
  }
}

/** In a Pod this file is projected from the Secret. */
async function writeAuthority(store: ObjectStore, facts: Facts, folder: string): Promise<void> {
  const selector = store.spec.configuration.endpointCA;
  if (selector === undefined) return;
  await mkdir(folder, { recursive: true });
  const value = secretOf(store, facts, selector.name).data?.[selector.key] ?? '';
  await writeFile(join(folder, CERTIFICATE_FILE), Buffer.from(value, 'base64'));
}

function readsOf(store: ObjectStore, facts: Facts): KubeReads {
  return {
    objectStore: async () => structuredClone(store),
    secret: async (_, name) => secretOf(store, facts, name),
    cluster: async (namespace, name) => {
      throw new PreconditionError(`Cluster ${namespace}/${name} is not looked at here`);
    },
  };
}

function secretOf(store: ObjectStore, facts: Facts, name: string) {
  const { namespace = 'default' } = store.metadata ?? {};
  if ('unknown' in facts.secrets) throw new PreconditionError(`Secret ${namespace}/${name}: ${facts.secrets.unknown}`);
  const found = facts.secrets.items.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  if (found === undefined) throw new PreconditionError(`Secret ${namespace}/${name} does not exist`);
  return structuredClone(found);
}

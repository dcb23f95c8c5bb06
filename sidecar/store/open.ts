// From a reference to a working place in a store: ObjectStore, Secrets and environment in, adapter out.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PreconditionError } from '../../api/errors.ts';
import { CERTIFICATE_FILE } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import type { KubeReads } from '../../api/wire/kube.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archives } from './archive.ts';
import { namedProfiles } from './client-options.ts';
import { parseDestination, serverKeys } from './keys.ts';
import { readS3Secrets } from './s3-secrets.ts';
import { resolveS3Settings, type S3Settings } from './s3-settings.ts';
import type { ObjectStorage } from './store.ts';

export type ArchivesDependencies = {
  /** Namespace of the Cluster, its ObjectStores and their Secrets. */
  namespace: string;
  kube: KubeReads;
  env: Record<string, string | undefined>;
  /** Holds `<store>/barman-ca.crt` for each ObjectStore that names an `endpointCA`. */
  certificatesFolder: string;
  log: Log;
  /** Clock, milliseconds; for tests. */
  now?: () => number;
};

/** A replaced adapter is closed so much later: work that started with it has ended by then. */
const RETIREMENT_MS = 10 * 60_000;

type Opened = { digest: string; storage: ObjectStorage };

/**
 * Opens stores. Everything is looked at anew in each `open` (ObjectStores and Secrets through the 10 s cache of
 * `kube`, certificates from their files), and a new adapter replaces the old one when anything has changed.
 */
export function createArchives(deps: ArchivesDependencies): Archives {
  const adapters = new Adapters(deps.now ?? performance.now.bind(performance), deps.log);
  return {
    async open({ objectStore: name, serverName }) {
      const objectStore = await deps.kube.objectStore(deps.namespace, name);
      const { destinationPath } = objectStore.spec.configuration;
      const { prefix } = parseDestination(providerOf(objectStore), destinationPath);
      const settings = await readSettings(deps, objectStore);
      return {
        objectStore,
        serverName,
        storage: await adapters.use(name, settings, () => notesOn(objectStore, settings)),
        keys: serverKeys(prefix, serverName),
        location: `ObjectStore ${deps.namespace}/${name} (${destinationPath}), server ${serverName}`,
      };
    },
  };
}

/** The last adapter of each store, and the replaced ones until nobody can be using them. */
class Adapters {
  readonly #now: () => number;
  readonly #log: Log;
  readonly #current = new Map<string, Opened>();
  #retired: { storage: ObjectStorage; at: number }[] = [];

  constructor(now: () => number, log: Log) {
    this.#now = now;
    this.#log = log;
  }

  /** `notes` are said when an adapter is made, not at each use. */
  async use(name: string, settings: S3Settings, notes: () => string[]): Promise<ObjectStorage> {
    // Only the adapter that a store needs is loaded: the others cost memory.
    const { createS3Storage } = await import('./s3.ts');
    this.#closeRetired();
    const digest = createHash('sha256').update(JSON.stringify(settings)).digest('hex');
    const current = this.#current.get(name);
    if (current?.digest === digest) return current.storage;
    if (current !== undefined) {
      this.#retired.push({ storage: current.storage, at: this.#now() });
      this.#log.info({ objectStore: name }, 'settings or secrets of the object store changed: using the new ones');
    }
    for (const note of notes()) this.#log.warn({ objectStore: name }, note);
    const storage = createS3Storage(settings);
    this.#current.set(name, { digest, storage });
    return storage;
  }

  #closeRetired(): void {
    const due = this.#retired.filter(({ at }) => this.#now() - at >= RETIREMENT_MS);
    for (const { storage } of due) storage.close();
    this.#retired = this.#retired.filter((retired) => !due.includes(retired));
  }
}

async function readSettings(deps: ArchivesDependencies, objectStore: ObjectStore): Promise<S3Settings> {
  const { configuration } = objectStore.spec;
  const readSecret = (name: string) => deps.kube.secret(deps.namespace, name);
  const secrets = await readS3Secrets(configuration.s3Credentials ?? {}, readSecret);
  return resolveS3Settings(configuration, secrets, deps.env, await readCertificates(deps, objectStore));
}

/** Arguments of the tools that cannot count for this store. */
function notesOn({ spec }: ObjectStore, { credentials }: S3Settings): string[] {
  if (credentials === 'chain' || 'profile' in credentials) return [];
  return namedProfiles(spec.configuration).map(
    ({ field, profile }) => `argument without effect: ${field}: --aws-profile ${profile}: s3Credentials holds keys`,
  );
}

/** The provider of the credentials block; barman's order when there are several. */
function providerOf(objectStore: ObjectStore): 's3' {
  const { s3Credentials, azureCredentials, googleCredentials } = objectStore.spec.configuration;
  if (s3Credentials !== undefined) return 's3';
  const field = azureCredentials ? 'azureCredentials' : googleCredentials ? 'googleCredentials' : undefined;
  const store = `ObjectStore ${objectStore.metadata.name}`;
  if (field === undefined) {
    throw new PreconditionError(`${store}: spec.configuration has no credentials`, { hint: 'add s3Credentials' });
  }
  throw new PreconditionError(`${store}: spec.configuration.${field}: provider not yet supported by this version`, {
    hint: 'use an S3 store with s3Credentials',
  });
}

/** The CA to trust besides the system's: the projected file of `endpointCA`, else the file that AWS_CA_BUNDLE names. */
async function readCertificates(deps: ArchivesDependencies, objectStore: ObjectStore): Promise<string | undefined> {
  const { endpointCA } = objectStore.spec.configuration;
  const projected = join(deps.certificatesFolder, objectStore.metadata.name, CERTIFICATE_FILE);
  const path = endpointCA === undefined ? deps.env.AWS_CA_BUNDLE || undefined : projected;
  if (path === undefined) return undefined;
  const source = endpointCA === undefined ? 'AWS_CA_BUNDLE' : 'spec.configuration.endpointCA';
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new PreconditionError(`${source}: cannot read ${path}: ${messageOf(cause)}`, {
      cause,
      hint: 'check that the Secret and its key exist; a new endpointCA reaches a Pod when it is created anew',
    });
  }
}

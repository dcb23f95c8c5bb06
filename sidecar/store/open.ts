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
import type { Provider } from './destination.ts';
import { ExpiryWatch } from './expiry.ts';
import { parseDestination, serverKeys } from './keys.ts';
import { type PreparedStore, prepareStore } from './providers.ts';
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
  /** Hears at each `open` when the credentials of an ObjectStore end; undefined where they do not tell. */
  onExpiry?: (objectStore: string, expiresAt: Date | undefined) => void;
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
  const expiry = new ExpiryWatch(deps.log);
  return {
    async open({ objectStore: name, serverName }) {
      const objectStore = await deps.kube.objectStore(deps.namespace, name);
      const { destinationPath } = objectStore.spec.configuration;
      const provider = providerOf(objectStore);
      const { prefix } = parseDestination(provider, destinationPath);
      const prepared = await prepareStore(provider, {
        configuration: objectStore.spec.configuration,
        readSecret: (secret) => deps.kube.secret(deps.namespace, secret),
        env: deps.env,
        certificateAuthority: await readCertificates(deps, objectStore, provider),
      });
      expiry.check(name, prepared.expiresAt);
      deps.onExpiry?.(name, prepared.expiresAt);
      return {
        objectStore,
        serverName,
        storage: adapters.use(name, prepared),
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

  use(name: string, { settings, notes, create }: PreparedStore): ObjectStorage {
    this.#closeRetired();
    const digest = createHash('sha256').update(JSON.stringify(settings)).digest('hex');
    const current = this.#current.get(name);
    if (current?.digest === digest) return current.storage;
    if (current !== undefined) {
      this.#retired.push({ storage: current.storage, at: this.#now() });
      this.#log.info({ objectStore: name }, 'settings or secrets of the object store changed: using the new ones');
    }
    for (const note of notes) this.#log.warn({ objectStore: name }, note);
    const storage = create((note) => this.#log.info({ objectStore: name }, note));
    this.#current.set(name, { digest, storage });
    return storage;
  }

  #closeRetired(): void {
    const due = this.#retired.filter(({ at }) => this.#now() - at >= RETIREMENT_MS);
    for (const { storage } of due) storage.close();
    this.#retired = this.#retired.filter((retired) => !due.includes(retired));
  }
}

/** The provider of the credentials block; barman's order when there are several. */
function providerOf({ metadata, spec }: ObjectStore): Provider {
  const { s3Credentials, azureCredentials, googleCredentials } = spec.configuration;
  if (s3Credentials !== undefined) return 's3';
  if (azureCredentials !== undefined) return 'azure';
  if (googleCredentials !== undefined) return 'gcs';
  throw new PreconditionError(`ObjectStore ${metadata.name}: spec.configuration has no credentials`, {
    hint: 'add s3Credentials, azureCredentials or googleCredentials',
  });
}

/** The variable of each provider's own clients that names a file of CAs. */
const CA_VARIABLES: Record<Provider, string | undefined> = {
  s3: 'AWS_CA_BUNDLE',
  azure: 'REQUESTS_CA_BUNDLE',
  gcs: undefined,
};

/** The CA to trust besides the system's: the projected file of `endpointCA`, else the file that a variable names. */
async function readCertificates(
  deps: ArchivesDependencies,
  { metadata, spec }: ObjectStore,
  provider: Provider,
): Promise<string | undefined> {
  const isGiven = spec.configuration.endpointCA !== undefined;
  const variable = CA_VARIABLES[provider];
  const named = variable === undefined ? undefined : deps.env[variable] || undefined;
  const path = isGiven ? join(deps.certificatesFolder, metadata.name, CERTIFICATE_FILE) : named;
  if (path === undefined) return undefined;
  const source = isGiven ? 'spec.configuration.endpointCA' : variable;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new PreconditionError(`${source}: cannot read ${path}: ${messageOf(cause)}`, {
      cause,
      hint: 'check that the Secret and its key exist; a new endpointCA reaches a Pod when it is created anew',
    });
  }
}

// From an ObjectStore, the values of its Secrets and the environment to complete settings for Google Cloud Storage
// (object-store-layout.md §1.1, §10.1). Pure.
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { type Tool, toolOptions } from '../../api/options.ts';
import { connectionTrust, HTTP_LIMITS, type HttpConnections } from './connections.ts';
import { parseDestination } from './destination.ts';

/** Everything decided: nothing is looked up later but what `credentials` points to. */
export type GcsSettings = HttpConnections & {
  bucket: string;
  /** Scheme, host and port. */
  endpoint: string;
  /**
   * A credential file of Google's: parsed, or where it is; the identity that the metadata server at an address gives
   * (workload identity); or nothing at all, for emulators.
   */
  credentials: { json: Record<string, unknown> } | { file: string } | { metadataServer: string } | 'none';
  /** Key of Cloud KMS for everything that is written; undefined for the bucket's default. */
  kmsKeyName: string | undefined;
};

const ENDPOINT = 'https://storage.googleapis.com';
/** An address, so that no name must be resolved. */
const METADATA_HOST = '169.254.169.254';
const WRITERS: readonly Tool[] = ['wal-archive', 'backup'];

/**
 * Decides the settings. `key` is the text of the Secret that `applicationCredentials` names, undefined with
 * `gkeEnvironment`, where GOOGLE_APPLICATION_CREDENTIALS may name a file and the metadata server is asked else. STORAGE_EMULATOR_HOST names an emulator, which gets no credentials, as Google's own clients do it.
 * `endpointURL` does not count, as in the tools. `endpointCA` is added to the system's CAs. Throws InvalidInputError for
 * a field or variable, PreconditionError for a Secret that holds no credentials and for two KMS keys.
 */
export function resolveGcsSettings(
  configuration: ObjectStoreConfiguration,
  key: string | undefined,
  env: Record<string, string | undefined>,
  certificateAuthority: string | undefined,
): GcsSettings {
  const emulator = readEmulator(env);
  return {
    bucket: parseDestination('gcs', configuration.destinationPath).bucket,
    endpoint: emulator ?? ENDPOINT,
    credentials: emulator === undefined ? credentialsOf(key, env) : 'none',
    kmsKeyName: readKmsKeyName(configuration),
    ...connectionTrust(env, certificateAuthority),
    ...HTTP_LIMITS,
  };
}

function readEmulator({ STORAGE_EMULATOR_HOST: value }: Record<string, string | undefined>): string | undefined {
  if (!value) return undefined;
  const url = /^https?:\/\//.test(value) ? value : `http://${value}`;
  if (URL.canParse(url)) return new URL(url).origin;
  throw new InvalidInputError('STORAGE_EMULATOR_HOST', value, 'write HOST:PORT or http://HOST:PORT');
}

function credentialsOf(
  key: string | undefined,
  { GOOGLE_APPLICATION_CREDENTIALS: file, GCE_METADATA_HOST: host }: Record<string, string | undefined>,
): GcsSettings['credentials'] {
  if (key === undefined && file) return { file };
  if (key === undefined) return { metadataServer: `http://${host || METADATA_HOST}` };
  const json = parsed(key);
  if (json !== undefined && typeof json.type === 'string') return { json };
  // What was found is a secret, whatever it is.
  throw new PreconditionError('spec.configuration.googleCredentials.applicationCredentials: not a credential file', {
    hint: 'put the JSON file that Google gives for the service account, with its "type", into the Secret unchanged',
  });
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** The `--kms-key-name` of all tools that write: one store has one client. */
function readKmsKeyName(configuration: ObjectStoreConfiguration): string | undefined {
  const names = new Set(WRITERS.flatMap((tool) => kmsKeyNameOf(tool, configuration) ?? []));
  const [first, other] = names;
  if (other === undefined) return first;
  throw new PreconditionError(`--kms-key-name: ${JSON.stringify(first)} and ${JSON.stringify(other)} are both given`, {
    hint: 'name the same key everywhere, or use two ObjectStores',
  });
}

/** A list with a mistake fails the tool that it is for, not all that use the store: it counts as empty here. */
function kmsKeyNameOf(tool: Tool, configuration: ObjectStoreConfiguration): string | undefined {
  try {
    return toolOptions(tool, configuration).honoured.kmsKeyName;
  } catch (error) {
    if (error instanceof InvalidInputError) return undefined;
    throw error;
  }
}

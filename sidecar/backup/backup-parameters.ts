// Parameters of a Backup (`spec.pluginConfiguration.parameters`) choose nothing, as with the Go plugin, but people write
// some and believe in them (field-use.md). Pure.
import { PARAMETER_OBJECT_STORE, PARAMETER_SERVER_NAME } from '../../api/names.ts';
import type { Archive } from '../store/archive.ts';

export type UnusedParameters = {
  /** The Backup names another place than its Cluster's: one sentence that says where it goes. */
  elsewhere: string | undefined;
  /** Parameters without effect, one sentence each; values are not repeated. */
  unknown: string[];
};

const WHAT_DOES_IT: Record<string, string> = {
  compression: 'spec.configuration.data.compression of the ObjectStore sets it',
  encryption: 'spec.configuration.data.encryption of the ObjectStore sets it',
  immediateCheckpoint: 'spec.configuration.data.immediateCheckpoint of the ObjectStore sets it',
  jobs: 'spec.configuration.data.jobs of the ObjectStore sets it',
  retentionPolicy: 'spec.retentionPolicy of the ObjectStore sets it',
  waitForArchive: 'a backup always waits for the WAL that it needs',
  objectStore: `${PARAMETER_OBJECT_STORE} of the Cluster's entry in spec.plugins sets it`,
  barmanObjectStore: `${PARAMETER_OBJECT_STORE} of the Cluster's entry in spec.plugins sets it`,
};

/** What the parameters of a Backup that goes to `archive` ask for in vain. */
export function unusedParameters(parameters: Record<string, string>, archive: Archive): UnusedParameters {
  const store = archive.objectStore.metadata.name;
  const { [PARAMETER_OBJECT_STORE]: askedStore = store, [PARAMETER_SERVER_NAME]: askedServer = '' } = parameters;
  const elsewhere = askedStore !== store || (askedServer !== '' && askedServer !== archive.serverName);
  const asked = askedServer === '' ? `ObjectStore ${askedStore}` : `ObjectStore ${askedStore}, server ${askedServer}`;
  return {
    elsewhere: elsewhere
      ? `the Backup asks for ${asked}, but a Backup cannot choose its store: it goes to its Cluster's, ${archive.location}`
      : undefined,
    unknown: Object.keys(parameters)
      .filter((name) => name !== PARAMETER_OBJECT_STORE && name !== PARAMETER_SERVER_NAME)
      .sort()
      .map((name) => `${name}: ${WHAT_DOES_IT[name] ?? 'a Backup has no such parameter'}`),
  };
}

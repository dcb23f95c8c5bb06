// Connection strings of Azure Storage (Microsoft's page on configuring connection strings). Pure.
import { PreconditionError } from '../../api/errors.ts';

export type AccountAccess = {
  endpoint: string;
  /** A shared key, or a shared access signature without its question mark. */
  credentials: { account: string; key: string } | { sas: string };
};

const FIELD = 'spec.configuration.azureCredentials.connectionString';

/** What `UseDevelopmentStorage=true` stands for; the key is that of every emulator. */
const EMULATOR: AccountAccess = {
  endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
  credentials: {
    account: 'devstoreaccount1',
    key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  },
};

/** Address and credentials in a connection string. Throws PreconditionError, without what was found: it is a secret. */
export function parseConnectionString(text: string): AccountAccess {
  const parts = new Map(
    text.split(';').flatMap((part): [string, string][] => {
      const [, name, value] = /^\s*(\w+)=(.*?)\s*$/s.exec(part) ?? [];
      return name === undefined || value === undefined ? [] : [[name.toLowerCase(), value]];
    }),
  );
  if (parts.get('usedevelopmentstorage')?.toLowerCase() === 'true') return EMULATOR;
  const account = parts.get('accountname');
  const endpoint = readEndpoint(parts, account);
  const key = parts.get('accountkey');
  if (key !== undefined && account !== undefined) return { endpoint, credentials: { account, key } };
  const sas = parts.get('sharedaccesssignature')?.replace(/^\?/, '');
  if (sas !== undefined && sas !== '') return { endpoint, credentials: { sas } };
  throw unusable('neither AccountName with AccountKey nor SharedAccessSignature is in it');
}

function readEndpoint(parts: Map<string, string>, account: string | undefined): string {
  const explicit = parts.get('blobendpoint')?.replace(/\/+$/, '');
  const protocol = parts.get('defaultendpointsprotocol') || 'https';
  const suffix = parts.get('endpointsuffix') || 'core.windows.net';
  if (!explicit && !account) throw unusable('neither BlobEndpoint nor AccountName is in it');
  const endpoint = explicit || `${protocol}://${account}.blob.${suffix}`;
  if (URL.canParse(endpoint) && /^https?:/.test(endpoint)) return endpoint;
  throw unusable('BlobEndpoint is not a URL');
}

function unusable(reason: string): PreconditionError {
  return new PreconditionError(`${FIELD}: not a connection string: ${reason}`, {
    hint: 'copy the whole connection string that Azure shows for the storage account into the Secret',
  });
}

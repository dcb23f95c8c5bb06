// Which identity of Microsoft Entra a Pod has, decided from its environment. Pure.

/** Where tokens come from. */
export type AzureIdentity =
  /** Workload identity: the token of the Kubernetes service account is exchanged (AKS webhook's variables). */
  | { kind: 'workload'; authority: string; tenantId: string; clientId: string; tokenFile: string }
  /** Managed identity of the machine; `clientId` picks one of several. */
  | { kind: 'machine'; endpoint: string; clientId: string | undefined }
  /** What only Microsoft's own library knows: a client secret or certificate, App Service, Arc. */
  | { kind: 'library' };

const AUTHORITY = 'https://login.microsoftonline.com';
const METADATA_SERVER = 'http://169.254.169.254';

/** Variables that name a login which needs the library. */
const LIBRARY_VARIABLES = ['AZURE_CLIENT_SECRET', 'AZURE_CLIENT_CERTIFICATE_PATH', 'IDENTITY_ENDPOINT', 'MSI_ENDPOINT'];

/**
 * The identity, in the order of Microsoft's default chain as far as it can exist in a Pod: client secret or certificate,
 * workload identity, managed identity. A managed identity that is asked for is a workload identity where its variables
 * are, as in the tools.
 */
export function azureIdentity(env: Record<string, string | undefined>): AzureIdentity {
  if (LIBRARY_VARIABLES.some((name) => env[name])) return { kind: 'library' };
  const { AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: clientId, AZURE_FEDERATED_TOKEN_FILE: tokenFile } = env;
  if (tenantId && clientId && tokenFile) {
    const authority = (env.AZURE_AUTHORITY_HOST || AUTHORITY).replace(/\/+$/, '');
    return { kind: 'workload', authority, tenantId, clientId, tokenFile };
  }
  const endpoint = (env.AZURE_POD_IDENTITY_AUTHORITY_HOST || METADATA_SERVER).replace(/\/+$/, '');
  return { kind: 'machine', endpoint, clientId: clientId || undefined };
}

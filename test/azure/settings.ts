// Settings of the adapter for tests.

import type { AzureSettings } from '../../sidecar/store/azure-settings.ts';
import { HTTP_LIMITS } from '../../sidecar/store/connections.ts';

/** For the account of an emulator, or of a double that looks at no key. */
export function azureSettings(
  { endpoint, account, key }: { endpoint: string; account: string; key: string },
  overrides: Partial<AzureSettings> = {},
): AzureSettings {
  return {
    container: 'container',
    endpoint,
    credentials: { account, key },
    encryptionScope: undefined,
    maxSinglePutBytes: 64 * 1024 ** 2,
    maxBlockBytes: 4 * 1024 ** 2,
    maxConcurrency: 1,
    trustedCertificates: undefined,
    proxies: {},
    ...HTTP_LIMITS,
    ...overrides,
  };
}

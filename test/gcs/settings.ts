// Settings of the adapter for tests.
import { HTTP_LIMITS } from '../../sidecar/store/connections.ts';
import type { GcsSettings } from '../../sidecar/store/gcs-settings.ts';

/** For a server on loopback that asks for no login. */
export function gcsSettings(endpoint: string, overrides: Partial<GcsSettings> = {}): GcsSettings {
  return {
    bucket: 'bucket',
    endpoint,
    credentials: 'none',
    kmsKeyName: undefined,
    trustedCertificates: undefined,
    proxies: {},
    ...HTTP_LIMITS,
    ...overrides,
  };
}

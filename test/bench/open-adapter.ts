// The product's adapter for a place, as the sidecar makes it; loads no other.
import { prepareStore } from '../../sidecar/store/providers.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import type { ProviderPlace } from './provider-place.ts';

/** The caller closes it. */
export async function openAdapter({ provider, configuration, secret, env }: ProviderPlace): Promise<ObjectStorage> {
  const prepared = await prepareStore(provider, {
    configuration,
    readSecret: async () => secret,
    env: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    certificateAuthority: undefined,
  });
  return prepared.create(() => {});
}

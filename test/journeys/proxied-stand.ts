// A stand whose processes reach the store through a proxy that can make requests go wrong.
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Stand, type StandS3, startStand } from '../stand.ts';

export type ProxiedStand = Stand & { proxy: FaultProxy };

/** Undo with `cleanup.run`. */
export async function startProxiedStand(
  options: { postgresMajor?: number; startStore?: () => Promise<StandS3> } = {},
): Promise<ProxiedStand> {
  const started = Promise.withResolvers<FaultProxy>();
  const stand = await startStand({
    ...options,
    endpoint: async (s3, cleanup) => {
      const proxy = await startFaultProxy(s3);
      cleanup.add(() => proxy.stop());
      started.resolve(proxy);
      return proxy.endpoint;
    },
  });
  return { ...stand, proxy: await started.promise };
}

// A backup that failed is told on its Cluster: the Backup object says so too, but nobody looks at each of them.
import { ConflictError, messageOf } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';
import type { Events } from '../telemetry/events.ts';

/** The same `take`, which tells of failures. A request that was turned away because another backup runs is none. */
export function tellingFailures<Request extends { cluster: Cluster; backup: Backup }, Taken>(
  events: Pick<Events, 'warn'>,
  take: (request: Request) => Promise<Taken>,
): (request: Request) => Promise<Taken> {
  return async (request) => {
    try {
      return await take(request);
    } catch (error) {
      if (!(error instanceof ConflictError)) {
        const { name } = request.backup.metadata;
        events.warn(request.cluster, 'BackupFailed', `backup ${name} failed: ${messageOf(error)}`);
      }
      throw error;
    }
  };
}

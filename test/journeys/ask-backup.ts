// A backup through the sidecar of a Pod, as the manager asks for one.
import type { Cluster } from '../../api/kube.ts';
import type { BackupResult } from '../../api/proto/gen/backup.ts';
import { takeBackup } from '../manager/backup.ts';

/** Throws the plugin's words when it fails. */
export function askBackup(
  instance: { pluginsFolder: string; cluster: Cluster },
  name = 'backup-example',
): Promise<BackupResult> {
  const { pluginsFolder, cluster } = instance;
  return takeBackup(pluginsFolder, cluster, {
    metadata: { name, namespace: 'default' },
    spec: { cluster: { name: cluster.metadata.name }, method: 'plugin' },
  });
}

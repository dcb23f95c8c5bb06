// The manager's part of a backup: it calls the named plugin without a deadline (cnpg-i-contract.md §5.4).
import type { Backup, Cluster } from '../../api/kube.ts';
import { type BackupResult, BackupService } from '../../api/proto/gen/backup.ts';
import { connectPlugin } from './plugin.ts';

/** Takes a backup through the plugin of a Pod; throws the plugin's words when it fails. */
export async function takeBackup(pluginsFolder: string, cluster: Cluster, backup: Backup): Promise<BackupResult> {
  const connection = await connectPlugin(pluginsFolder);
  try {
    return await connection.call(BackupService.backup, {
      clusterDefinition: Buffer.from(JSON.stringify(cluster)),
      backupDefinition: Buffer.from(JSON.stringify(backup)),
      parameters: backup.spec.pluginConfiguration?.parameters ?? {},
    });
  } finally {
    connection.close();
  }
}

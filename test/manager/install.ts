// Puts the double of the manager where bootstrap-controller puts the real one: `manager` in the Pod's /controller.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../../api/kube.ts';
import type { Account } from '../unprivileged.ts';
import type { ManagerSettings } from './settings.ts';

export type InstalledManager = {
  settings: ManagerSettings;
  /** The folder that containers see as /controller. */
  controllerFolder: string;
  /** What PostgreSQL is told to archive with, as the manager's own configuration says it. */
  archiveCommand: string;
  /** Renews the manager's cache of the Cluster. */
  setCluster(cluster: Cluster): Promise<void>;
};

/** Installs it for one Pod. Paths are those of this machine. */
export async function installManager(options: {
  account: Account;
  podName: string;
  pgdata: string;
  controllerFolder: string;
  pluginsFolder: string;
  cluster: Cluster;
}): Promise<InstalledManager> {
  const { account, controllerFolder } = options;
  const logFolder = join(controllerFolder, 'log');
  const settings: ManagerSettings = {
    podName: options.podName,
    pgdata: options.pgdata,
    pluginsFolder: options.pluginsFolder,
    clusterFile: join(controllerFolder, 'cluster.json'),
    timingsFile: join(logFolder, 'wal-commands.jsonl'),
  };
  const settingsFile = join(controllerFolder, 'manager.json');
  const program = join(controllerFolder, 'manager');
  await mkdir(logFolder, { recursive: true });
  await writeFile(settingsFile, JSON.stringify(settings));
  await writeFile(program, script(settingsFile, join(controllerFolder, 'compiled')), { mode: 0o755 });
  const setCluster = async (cluster: Cluster): Promise<void> => {
    await writeFile(settings.clusterFile, JSON.stringify(cluster));
    await account.own(settings.clusterFile);
  };
  await setCluster(options.cluster);
  await account.own(controllerFolder);
  const archiveCommand = `${program} wal-archive --log-destination ${join(logFolder, 'postgres.json')} %p`;
  return { settings, controllerFolder, archiveCommand, setCluster };
}

/** Node keeps what it compiled: these programs are started once for every segment. */
function script(settingsFile: string, compiledFolder: string): string {
  const program = join(import.meta.dirname, 'main.ts');
  return `#!/bin/sh
export NODE_COMPILE_CACHE='${compiledFolder}'
exec '${process.execPath}' '${program}' --settings '${settingsFile}' "$@"
`;
}

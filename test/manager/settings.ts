// What the double of the instance manager knows about its Pod: written by whoever sets the Pod up, read by the commands
// that PostgreSQL runs.
import { readFile } from 'node:fs/promises';
import type { Cluster } from '../../api/kube.ts';

export type ManagerSettings = {
  podName: string;
  pgdata: string;
  /** Holds the socket of the plugin. */
  pluginsFolder: string;
  /** The manager's cache of the Cluster, JSON. */
  clusterFile: string;
  /** One JSON line is appended for every command. */
  timingsFile: string;
};

/** One WAL command, as it was seen from PostgreSQL's side. */
export type Timing = {
  command: 'wal-archive' | 'wal-restore';
  file: string;
  ok: boolean;
  /** Connecting and shaking hands, then the call itself, milliseconds. */
  handshakeMs: number;
  callMs: number;
  error?: string;
};

export async function readManagerSettings(file: string): Promise<ManagerSettings> {
  return JSON.parse(await readFile(file, 'utf8'));
}

export async function readCluster(settings: ManagerSettings): Promise<{ cluster: Cluster; document: Buffer }> {
  const document = await readFile(settings.clusterFile);
  return { cluster: JSON.parse(document.toString('utf8')), document };
}

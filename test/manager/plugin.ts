// The manager's way to the plugin in its Pod: the socket named like the plugin, a handshake for every piece of work.
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { PLUGIN_NAME } from '../../api/names.ts';
import { type PluginConnection, shakeHands } from '../handshake.ts';
import type { ManagerSettings, Timing } from './settings.ts';

/** Connects to the plugin's socket; calls have no deadline. */
export function connectPlugin(pluginsFolder: string): Promise<PluginConnection> {
  return shakeHands(`unix:${join(pluginsFolder, PLUGIN_NAME)}`, credentials.createInsecure());
}

/** Connects, works, closes, and writes down how long it took and how it ended. Throws what the work threw. */
export async function timed(
  settings: ManagerSettings,
  facts: Pick<Timing, 'command' | 'file'>,
  work: (connection: PluginConnection) => Promise<void>,
): Promise<void> {
  const started = performance.now();
  let connected = started;
  const record = async (outcome: Pick<Timing, 'ok' | 'error'>): Promise<void> => {
    const [handshakeMs, callMs] = [connected - started, performance.now() - connected].map(Math.round);
    await appendFile(settings.timingsFile, `${JSON.stringify({ ...facts, ...outcome, handshakeMs, callMs })}\n`);
  };
  try {
    const connection = await connectPlugin(settings.pluginsFolder);
    connected = performance.now();
    try {
      await work(connection);
    } finally {
      connection.close();
    }
    await record({ ok: true });
  } catch (error) {
    await record({ ok: false, error: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}

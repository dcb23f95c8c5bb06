// The one status that a sidecar writes: its server's entry in `status.serverRecoveryWindow` of an ObjectStore.
import { setTimeout as delay } from 'node:timers/promises';
import type { RecoveryWindow } from '../objectstore.ts';
import { KubeError, type KubeHttp } from './kube-http.ts';

/** Fields to set; null removes a field, and fields that are left out stay as they are. */
export type RecoveryWindowPatch = { [field in keyof RecoveryWindow]?: string | null };

const PATCH_ATTEMPTS = 4;
const UPDATE_ATTEMPTS = 10;
/** The longest wait before another update, milliseconds; it doubles from 20 ms up to it, and a part is left to chance. */
const MOST_WAIT_MS = 1_000;

/**
 * Writes it, or removes it when `window` is null, and touches nothing else. `path` is the ObjectStore's. Where the Role does
 * not grant `patch`, as the Go plugin's do not, the object is read, and updated at the version that was read; when
 * somebody was faster, both once more (#1110 of the Go plugin: there the later of two backups was lost). Throws KubeError.
 */
export async function writeRecoveryWindow(
  http: Pick<KubeHttp, 'request'>,
  path: string,
  serverName: string,
  window: RecoveryWindowPatch | null,
): Promise<void> {
  try {
    await patch(http, path, serverName, window);
  } catch (error) {
    if (!(error instanceof KubeError && error.status === 403)) throw error;
    await update(http, path, serverName, window);
  }
}

/** A merge patch names no version, so repeating it after a conflict cannot undo what others wrote. */
async function patch(
  http: Pick<KubeHttp, 'request'>,
  path: string,
  serverName: string,
  window: RecoveryWindowPatch | null,
): Promise<void> {
  const body = { status: { serverRecoveryWindow: { [serverName]: window } } };
  const contentType = 'application/merge-patch+json';
  for (let attempt = 1; ; attempt += 1) {
    try {
      await http.request({ method: 'PATCH', path: `${path}/status`, body, contentType });
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === PATCH_ATTEMPTS) throw error;
    }
  }
}

/** The API server takes the status of what is sent and nothing else: no field that it filled in is ever written back. */
async function update(
  http: Pick<KubeHttp, 'request'>,
  path: string,
  serverName: string,
  window: RecoveryWindowPatch | null,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const found = (await http.request({ method: 'GET', path })) as Found;
    try {
      await http.request({ method: 'PUT', path: `${path}/status`, body: withWindow(found, serverName, window) });
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === UPDATE_ATTEMPTS) throw error;
    }
    await delay(Math.min(MOST_WAIT_MS, 10 * 2 ** attempt) * (0.5 + Math.random() / 2));
  }
}

type Found = { status?: { serverRecoveryWindow?: Record<string, Record<string, string>> } };

function withWindow(found: Found, serverName: string, window: RecoveryWindowPatch | null): Found {
  const { [serverName]: known, ...others } = found.status?.serverRecoveryWindow ?? {};
  const fields = Object.entries({ ...known, ...window }).filter(([, value]) => value !== null);
  const own = window === null ? {} : { [serverName]: Object.fromEntries(fields) as Record<string, string> };
  return { ...found, status: { ...found.status, serverRecoveryWindow: { ...others, ...own } } };
}

function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409;
}

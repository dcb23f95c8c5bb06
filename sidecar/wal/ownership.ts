// Whose archive this is: another system's is never written to, whatever the check for an empty archive says.
import { text } from 'node:stream/consumers';
import { ConflictError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { SingleFlight } from './single-flight.ts';
import { parseStoredName, type StoredWal } from './stored.ts';
import { systemIdOfData, systemIdOfStored } from './system-identifier.ts';

/** Candidates that are looked into before they count as unreadable. */
const MOST_TRIES = 3;
/** More is no `backup.info`. */
const LARGEST_INFO_BYTES = 4 * 1024 * 1024;

/** Compares identifiers once for each place and process; what failed is compared again. */
export class Ownership {
  readonly #pgdata: string;
  readonly #log: Log;
  readonly #verified = new Set<string>();
  readonly #said = new Set<string>();
  readonly #flights = new SingleFlight<void>();

  constructor(pgdata: string, log: Log) {
    this.#pgdata = pgdata;
    this.#log = log;
  }

  /**
   * Throws ConflictError naming both system identifiers when the newest stored segment, or without one the newest backup,
   * is of another system; `tell` gets the same sentence first. An archive that holds neither, or nothing readable,
   * belongs to whoever comes.
   */
  async verify(archive: Archive, signal: AbortSignal, tell: (message: string) => void): Promise<void> {
    if (this.#verified.has(archive.location)) return;
    try {
      await this.#flights.run(archive.location, signal, (shared) => this.#compare(archive, shared));
    } catch (error) {
      if (error instanceof ConflictError) tell(error.message);
      throw error;
    }
    this.#verified.add(archive.location);
  }

  async #compare(archive: Archive, signal: AbortSignal): Promise<void> {
    const stored = (await newestSegment(archive, signal)) ?? (await newestBackup(archive, signal));
    if (stored === undefined) return;
    const ours = await systemIdOfData(this.#pgdata);
    if (stored.systemId === ours) return;
    const message =
      `the archive belongs to another system: ${stored.key} has system identifier ${stored.systemId}, this server ` +
      `${ours} (${archive.location}); nothing was written. Set another serverName in the plugin's parameters, also ` +
      'after an upgrade with pg_upgrade, or another destinationPath in the ObjectStore';
    if (!this.#said.has(archive.location)) {
      const facts = {
        event: 'OwnershipConflict',
        ours: String(ours),
        stored: String(stored.systemId),
        key: stored.key,
      };
      this.#log.error(facts, message);
    }
    this.#said.add(archive.location);
    throw new ConflictError(message);
  }
}

type Owner = { key: string; systemId: bigint };

async function newestSegment(archive: Archive, signal: AbortSignal): Promise<Owner | undefined> {
  const folders = await newestFolders(archive, archive.keys.wals, /^[0-9A-F]{16}$/, signal);
  let tries = 0;
  for (const folder of folders) {
    const segments: StoredWal[] = [];
    for await (const info of archive.storage.list(folder, { signal })) {
      const stored = parseStoredName(info.key.slice(folder.length));
      if (stored?.name.kind === 'segment') segments.push({ key: info.key, info, ...stored });
    }
    for (const stored of segments.reverse().slice(0, MOST_TRIES - tries)) {
      const systemId = await systemIdOfStored(archive, stored, signal);
      if (systemId !== undefined) return { key: stored.key, systemId };
      tries += 1;
    }
  }
  return undefined;
}

async function newestBackup(archive: Archive, signal: AbortSignal): Promise<Owner | undefined> {
  for (const folder of await newestFolders(archive, archive.keys.base, /./, signal)) {
    const key = archive.keys.backupInfo(folder.slice(archive.keys.base.length, -1));
    const found = await archive.storage.get(key, { signal });
    if (found === undefined) continue;
    if (found.info.sizeBytes > LARGEST_INFO_BYTES) {
      found.body.destroy();
      continue;
    }
    const systemId = /^systemid=(\d{1,20})$/m.exec(await text(found.body))?.[1];
    if (systemId !== undefined) return { key, systemId: BigInt(systemId) };
  }
  return undefined;
}

/** Newest first, as their names sort by time: timeline and log, or the second of the start. */
async function newestFolders(archive: Archive, parent: string, name: RegExp, signal: AbortSignal): Promise<string[]> {
  const folders: string[] = [];
  for await (const folder of archive.storage.listFolders(parent, { signal })) {
    if (name.test(folder.slice(parent.length, -1))) folders.push(folder);
  }
  return folders.sort().reverse().slice(0, MOST_TRIES);
}

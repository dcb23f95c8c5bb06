// The check for an empty archive (object-store-layout.md §4), and when it need not be repeated.
import { ConflictError } from '../../api/errors.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK } from '../../api/names.ts';
import type { Archive } from '../store/archive.ts';
import { SingleFlight } from './single-flight.ts';
import { parseStoredName } from './stored.ts';

/**
 * Throws ConflictError, naming what was found and the ways out, when a WAL file of any kind is stored for the server.
 * Other objects and base backups do not count, as in barman. Stops at the first; never creates the bucket.
 */
export async function assertEmptyArchive(archive: Archive, signal: AbortSignal): Promise<void> {
  for await (const { key } of archive.storage.list(archive.keys.wals, { signal })) {
    if (parseStoredName(key.slice(key.lastIndexOf('/') + 1)) === undefined) continue;
    throw new ConflictError(
      `expected an empty WAL archive but found ${key} (${archive.location}): another server may have written it; ` +
        `set another serverName in the plugin's parameters or another destinationPath in the ObjectStore, or, if this ` +
        `archive belongs to this very Cluster, annotate the Cluster with ${ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK}=enabled`,
    );
  }
}

/**
 * Lets writers through once the archive was seen empty, so that nobody's check trips over a file of our own: the next
 * segment may come before the marker that asks for the check is gone (cnpg-i-contract.md §5.2, trap). What a passed check
 * says holds while a writer that relies on it is at work, and for the life of the process once one has succeeded.
 */
export class EmptyArchiveGate {
  readonly #checks = new SingleFlight<void>();
  readonly #relying = new Map<string, { passed: boolean; writers: number }>();
  readonly #ours = new Set<string>();

  /** Runs `write` behind the check; `wanted` says whether this writer was asked to check. */
  async through(archive: Archive, wanted: boolean, signal: AbortSignal, write: () => Promise<void>): Promise<void> {
    const place = archive.location;
    if (!wanted || this.#ours.has(place)) {
      await write();
    } else {
      const state = this.#relying.get(place) ?? { passed: false, writers: 0 };
      this.#relying.set(place, state);
      state.writers += 1;
      try {
        if (!state.passed) await this.#checks.run(place, signal, (shared) => this.#check(archive, state, shared));
        await write();
      } finally {
        state.writers -= 1;
        if (state.writers === 0) this.#relying.delete(place);
      }
    }
    this.#ours.add(place);
  }

  /** Remembers that a file of ours is in the archive. */
  own(archive: Archive): void {
    this.#ours.add(archive.location);
  }

  /** Whether a file of ours is known to be in the archive. */
  owns(archive: Archive): boolean {
    return this.#ours.has(archive.location);
  }

  async #check(archive: Archive, state: { passed: boolean }, signal: AbortSignal): Promise<void> {
    await assertEmptyArchive(archive, signal);
    state.passed = true;
  }
}

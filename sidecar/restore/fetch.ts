// Brings the tars of a backup to their folders: several at a time, each by ranges, unpacked as it comes.
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { crc32 } from 'node:zlib';
import { CorruptError, messageOf } from '../../api/errors.ts';
import type { Progress } from '../backup/progress.ts';
import type { ObjectStorage } from '../store/store.ts';
import { rangedGet } from '../stream/ranged.ts';
import { Slots } from '../wal/slots.ts';
import { InFlight } from './in-flight.ts';
import type { StoredTar } from './tars.ts';
import { Unpacker } from './unpack.ts';

/** The tars of one tree and the folder that they fill. */
export type TreeFetch = { tars: readonly StoredTar[]; folder: string; heldBack?: string };

const TARS_AT_ONCE = 3;
/**
 * How far V8's heap may grow between two collections. By default every 12 MiB of buffers that come and go start one, 80 for a
 * GiB; each walks through all objects of the process, a third of a restore's processor time. With this there are 30, at the
 * same peak of memory. NODE_OPTIONS does not take it.
 */
const CALM_COLLECTOR = '--heap-growing-percent=400';

/**
 * Unpacks all trees; when it resolves, everything is on disk. The first failure stops the others, and is thrown when they
 * have stopped: CorruptError for what is damaged or hostile, StoreError, or what the file system says.
 *
 * Memory: three tars at a time, each with 3 ranges of 8 MiB in flight (ranged.ts), its decoder's blocks (2 MiB for each core
 * with what Cellar wrote) and up to 4 MiB on the way to the disk: about 100 MiB with two cores, whatever the database's size.
 */
export async function fetchTrees(options: {
  storage: ObjectStorage;
  trees: readonly TreeFetch[];
  progress: Pick<Progress, 'add'>;
  signal: AbortSignal;
}): Promise<void> {
  const { storage, trees, progress } = options;
  setFlagsFromString(CALM_COLLECTOR);
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const inFlight = new InFlight(signal);
  const slots = new Slots(TARS_AT_ONCE);
  const unpackers = trees.map(({ folder, heldBack }) => {
    return new Unpacker({ root: folder, progress, inFlight, ...(heldBack === undefined ? {} : { heldBack }) });
  });
  let failure: { error: unknown } | undefined;
  const work = trees.flatMap(({ tars }, tree) =>
    tars.map((tar) =>
      slots
        .run(signal, () => fetchTar(storage, tar, unpackers[tree] as Unpacker, signal))
        .catch((error) => {
          failure ??= { error };
          stop.abort();
        }),
    ),
  );
  await Promise.all(work);
  if (failure !== undefined) {
    await inFlight.settle();
    options.signal.throwIfAborted();
    throw failure.error;
  }
  await inFlight.finish();
  for (const unpacker of unpackers) await unpacker.finish();
}

async function fetchTar(
  storage: ObjectStorage,
  tar: StoredTar,
  unpacker: Unpacker,
  signal: AbortSignal,
): Promise<void> {
  const { key, codec } = tar;
  const packed = new PackedCheck(tar);
  const opened = await rangedGet(storage, key, { signal, inspect: (chunk) => packed.note(chunk) });
  if (opened === undefined) throw new CorruptError(`${key} disappeared while the backup was restored`);
  const reader = unpacker.tar(tar.part);
  const stages = codec.name === 'none' ? [opened.body, reader] : [opened.body, codec.decoder(), reader];
  try {
    await pipeline(stages, { signal });
    packed.finish();
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    throw new CorruptError(`${key}: ${messageOf(error)}`, { cause: error, certain: error.certain });
  } finally {
    await reader.idle();
  }
}

/** Compares size and checksum of the stored bytes with what the writer kept of them. */
class PackedCheck {
  readonly #expected: StoredTar;
  #sizeBytes = 0;
  #checksum = 0;

  constructor(expected: StoredTar) {
    this.#expected = expected;
  }

  note(chunk: Buffer): void {
    this.#sizeBytes += chunk.length;
    if (this.#expected.crc32 !== undefined) this.#checksum = crc32(chunk, this.#checksum);
  }

  finish(): void {
    const { sizeBytes, crc32: checksum } = this.#expected;
    if (this.#sizeBytes !== sizeBytes) throw new CorruptError(`${this.#sizeBytes} of ${sizeBytes} bytes came`);
    if (checksum !== undefined && checksum !== this.#checksum.toString(16).padStart(8, '0')) {
      throw new CorruptError('the stored bytes are not those that were sent: their checksum differs');
    }
  }
}

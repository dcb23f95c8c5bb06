// How WAL files are packed and stored: fields of the ObjectStore, completed by the additional arguments
// (object-store-layout.md §2.4, §10.2–§10.4). Those that concern the store's client (`--read-timeout`, `--encryption-scope`, `--kms-key-name`) count
// where it is made: store/client-options.ts. Pure.
import type { ObjectStore } from '../../api/objectstore.ts';
import { encryptionOf, levelOf, sentenceOfIgnored, usableOptions } from '../../api/options.ts';
import type { WalName } from '../../api/wal-name.ts';
import type { PutOptions } from '../store/store.ts';
import { type Codec, codecByName } from '../stream/codec.ts';

export type ArchiveSettings = {
  codec: Codec;
  /** Undefined: the codec's own. */
  level: number | undefined;
  /** Tags and encryption of a file. */
  put: (name: WalName) => Pick<PutOptions, 'tags' | 'encryption'>;
  /** Arguments without effect, one sentence each. */
  ignored: string[];
};

export type RestoreSettings = {
  /** Width of the window that is fetched ahead. */
  maxParallel: number;
  /** Whether a `.partial` file may stand in for a segment that is not there. */
  partial: boolean;
  ignored: string[];
};

/** The settings of a restore. Throws PreconditionError naming the argument that is not understood. */
export function restoreSettings(objectStore: ObjectStore): RestoreSettings {
  const { honoured, ignored } = usableOptions('wal-restore', objectStore);
  return {
    maxParallel: objectStore.spec.configuration.wal?.maxParallel ?? 1,
    partial: honoured.noPartial !== true,
    ignored: ignored.map(sentenceOfIgnored),
  };
}

/** Completes the settings. Throws PreconditionError naming the argument that cannot be honoured, and why. */
export function archiveSettings(objectStore: ObjectStore): ArchiveSettings {
  const { configuration } = objectStore.spec;
  const { honoured, ignored } = usableOptions('wal-archive', objectStore);
  const codec = codecByName(configuration.wal?.compression ?? honoured.compression ?? 'none');
  const { compressionLevel } = honoured;
  const encryption = encryptionOf(configuration.wal?.encryption, honoured);
  const tags = filled(configuration.tags) ?? filled(honoured.tags);
  const historyTags = filled(configuration.historyTags) ?? filled(honoured.historyTags);
  return {
    codec,
    level: compressionLevel === undefined ? undefined : levelOf(codec.name, compressionLevel),
    put: (name) => {
      const chosen = name.kind === 'history' ? (historyTags ?? tags) : tags;
      return { ...(chosen === undefined ? {} : { tags: chosen }), ...encryption };
    },
    ignored: ignored.map(sentenceOfIgnored),
  };
}

/** Tags of history files replace the general ones when there are any; an empty list is none (§2.4). */
function filled(tags: Record<string, string> | undefined): Record<string, string> | undefined {
  return tags === undefined || Object.keys(tags).length === 0 ? undefined : tags;
}

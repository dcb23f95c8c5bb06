// From the ObjectStore to the settings of a base backup: nothing is optional afterwards (object-store-layout.md §5.5,
// §10.2, §10.6). Pure.
import { DATA_COMPRESSIONS, type DataCompression, type ObjectStore } from '../../api/objectstore.ts';
import { encryptionOf, type HonouredOptions, levelOf, sentenceOfIgnored, usableOptions } from '../../api/options.ts';
import type { PutOptions, StoreCapabilities } from '../store/store.ts';

export type BackupSettings = {
  compression: DataCompression | 'none';
  /** As the codec counts them; undefined: its default. */
  level: number | undefined;
  immediateCheckpoint: boolean;
  /** Parts of one object in flight. */
  jobs: number;
  partBytes: number;
  /** What somebody asked for: no tar is larger than this and one more segment file. */
  maxArchiveBytes: number;
  /** A tar of which so much has left goes on in another one. */
  splitBytes: number;
  /** All tars together; undefined: no limit. */
  maxBytesPerSecond: number | undefined;
  /** Where PostgreSQL is asked, where it is not the socket of the instance. */
  postgres: Pick<HonouredOptions, 'host' | 'port' | 'user' | 'dbname'>;
  /** For everything that is stored: tags and encryption. */
  put: Pick<PutOptions, 'tags' | 'encryption'>;
  /** Arguments without effect, one sentence each. */
  ignoredArguments: string[];
};

const MIB = 1024 * 1024;
const SMALLEST_PART_BYTES = 8 * MIB;
const GIB = 1024 * MIB;
/** Barman's cap. A store takes no object of more than a few TiB, and parts are as large as the largest tar asks for. */
const LARGEST_ARCHIVE_BYTES = 1024 * GIB;
/** What a codec and its buffers may hold back, and what packing may add to 1 GiB that does not pack. */
const ON_ITS_WAY_BYTES = 64 * MIB;

/** Completes the settings. Throws PreconditionError that names the argument. */
export function backupSettings(objectStore: ObjectStore, capabilities: StoreCapabilities): BackupSettings {
  const { data, tags = {} } = objectStore.spec.configuration;
  const { honoured, ignored } = usableOptions('backup', objectStore);
  const { maxArchiveBytes: askedBytes = 100 * GIB, minChunkBytes = 0, compressionLevel, ...rest } = honoured;
  const maxArchiveBytes = Math.min(askedBytes, LARGEST_ARCHIVE_BYTES);
  const compression = data?.compression ?? dataCompression(rest.compression) ?? 'none';
  const level = compressionLevel === undefined ? undefined : levelOf(compression, compressionLevel);
  const unused = [
    ...(compressionLevel !== undefined && level === undefined ? [levelWithoutUse(compression)] : []),
    ...(askedBytes > maxArchiveBytes ? [TOO_LARGE_ARCHIVE] : []),
  ];
  const chosenTags = Object.keys(tags).length > 0 ? tags : rest.tags;
  return {
    compression,
    level,
    immediateCheckpoint: data?.immediateCheckpoint ?? rest.immediateCheckpoint ?? false,
    jobs: data?.jobs ?? rest.jobs ?? 2,
    partBytes: partBytes(maxArchiveBytes, minChunkBytes, capabilities),
    maxArchiveBytes,
    splitBytes: maxArchiveBytes - Math.min(ON_ITS_WAY_BYTES, Math.ceil(maxArchiveBytes / 1000)),
    maxBytesPerSecond: rest.maxBandwidthBytesPerSecond || undefined,
    postgres: addressOf(rest),
    put: { ...(chosenTags === undefined ? {} : { tags: chosenTags }), ...encryptionOf(data?.encryption, rest) },
    ignoredArguments: [...ignored.map(sentenceOfIgnored), ...unused],
  };
}

const TOO_LARGE_ARCHIVE =
  'spec.configuration.data.additionalCommandArgs: --max-archive-size: no tar is larger than 1TB, which is taken instead';

function levelWithoutUse(compression: string): string {
  return `spec.configuration.data.additionalCommandArgs: --compression-level: ${compression} has no levels`;
}

/** So large that the largest tar (the limit and one more segment file of 1 GiB) fits into the store's part limit. */
function partBytes(maxArchiveBytes: number, minChunkBytes: number, capabilities: StoreCapabilities): number {
  const fitting = Math.ceil((maxArchiveBytes + GIB) / capabilities.maxParts);
  return Math.max(SMALLEST_PART_BYTES, minChunkBytes, capabilities.minPartBytes, fitting);
}

/** The tool's own flags allow no other ones. */
function dataCompression(name: HonouredOptions['compression']): DataCompression | undefined {
  return DATA_COMPRESSIONS.find((known) => known === name);
}

function addressOf({ host, port, user, dbname }: HonouredOptions): BackupSettings['postgres'] {
  return {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(dbname === undefined ? {} : { dbname }),
  };
}

// From the ObjectStore to the settings of a base backup: nothing is optional afterwards (object-store-layout.md §5.5,
// §10.2, §10.6). Pure.
import { DATA_COMPRESSIONS, type DataCompression, type ObjectStore } from '../../api/objectstore.ts';
import { encryptionOf, type HonouredOptions, sentenceOfIgnored, usableOptions } from '../../api/options.ts';
import type { PutOptions, StoreCapabilities } from '../store/store.ts';

export type BackupSettings = {
  compression: DataCompression | 'none';
  immediateCheckpoint: boolean;
  /** Parts of one object in flight. */
  jobs: number;
  partBytes: number;
  /** A tar larger than this goes on in another one. */
  maxArchiveBytes: number;
  /** For everything that is stored: tags and encryption. */
  put: Pick<PutOptions, 'tags' | 'encryption'>;
  /** Arguments without effect, one sentence each. */
  ignoredArguments: string[];
};

const MIB = 1024 * 1024;
const SMALLEST_PART_BYTES = 8 * MIB;
const GIB = 1024 * MIB;
/** Options that are understood and have no effect yet. */
const UNMET: readonly (readonly [keyof HonouredOptions, string])[] = [
  ['maxBandwidthBytesPerSecond', '--max-bandwidth'],
  ['host', '--host'],
  ['port', '--port'],
  ['dbname', '--dbname'],
  ['encryptionScope', '--encryption-scope'],
  ['kmsKeyName', '--kms-key-name'],
  ['maxBlockBytes', '--max-block-size'],
  ['maxSinglePutBytes', '--max-single-put-size'],
  ['maxConcurrency', '--max-concurrency'],
];

/** Completes the settings. Throws PreconditionError that names the argument. */
export function backupSettings(objectStore: ObjectStore, capabilities: StoreCapabilities): BackupSettings {
  const { data, tags = {} } = objectStore.spec.configuration;
  const { honoured, ignored } = usableOptions('backup', objectStore);
  const { maxArchiveBytes = 100 * GIB, minChunkBytes = 0 } = honoured;
  const encryption = encryptionOf(data?.encryption, honoured);
  const chosenTags = Object.keys(tags).length > 0 ? tags : honoured.tags;
  const unmet = UNMET.filter(([option]) => Object.hasOwn(honoured, option)).map(([, name]) => `${name}: not done yet`);
  return {
    compression: data?.compression ?? dataCompression(honoured.compression) ?? 'none',
    immediateCheckpoint: data?.immediateCheckpoint ?? honoured.immediateCheckpoint ?? false,
    jobs: data?.jobs ?? honoured.jobs ?? 2,
    partBytes: partBytes(maxArchiveBytes, minChunkBytes, capabilities),
    maxArchiveBytes,
    put: { ...(chosenTags === undefined ? {} : { tags: chosenTags }), ...encryption },
    ignoredArguments: [...ignored.map(sentenceOfIgnored), ...unmet],
  };
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

// From the ObjectStore to the settings of a base backup: nothing is optional afterwards (object-store-layout.md §5.5,
// §10.2, §10.6). Pure.
import { InvalidInputError } from '../../api/errors.ts';
import type { DataCompression, ObjectStore } from '../../api/objectstore.ts';
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
  /** Items of `additionalCommandArgs` that have no effect. */
  ignoredArguments: string[];
};

const MIB = 1024 * 1024;
const SMALLEST_PART_BYTES = 8 * MIB;
const GIB = 1024 * MIB;
const UNITS = 'KMGTPEZY';

/** Completes the settings. Throws InvalidInputError that names the field. */
export function backupSettings(objectStore: ObjectStore, capabilities: StoreCapabilities): BackupSettings {
  const { data, tags } = objectStore.spec.configuration;
  const options = readArguments(data?.additionalCommandArgs ?? []);
  const maxArchiveBytes = options.maxArchiveBytes ?? 100 * GIB;
  const encryption = data?.encryption === undefined ? {} : { encryption: { algorithm: data.encryption } };
  return {
    compression: data?.compression ?? 'none',
    immediateCheckpoint: data?.immediateCheckpoint ?? options.immediateCheckpoint,
    jobs: data?.jobs ?? options.jobs ?? 2,
    partBytes: partBytes(maxArchiveBytes, options.minChunkBytes, capabilities),
    maxArchiveBytes,
    put: { ...(tags === undefined ? {} : { tags }), ...encryption },
    ignoredArguments: options.ignored,
  };
}

/** So large that the largest tar (the limit and one more segment file of 1 GiB) fits into the store's part limit. */
function partBytes(maxArchiveBytes: number, minChunkBytes: number, capabilities: StoreCapabilities): number {
  const fitting = Math.ceil((maxArchiveBytes + GIB) / capabilities.maxParts);
  return Math.max(SMALLEST_PART_BYTES, minChunkBytes, capabilities.minPartBytes, fitting);
}

type Arguments = {
  minChunkBytes: number;
  maxArchiveBytes: number | undefined;
  jobs: number | undefined;
  immediateCheckpoint: boolean;
  ignored: string[];
};

function readArguments(items: readonly string[]): Arguments {
  const found: Arguments = {
    minChunkBytes: 0,
    maxArchiveBytes: undefined,
    jobs: undefined,
    immediateCheckpoint: false,
    ignored: [],
  };
  for (let index = 0; index < items.length; index++) {
    const item = items[index] ?? '';
    const [name = '', inline] = item.split(/=(.*)/s, 2);
    const field = `spec.configuration.data.additionalCommandArgs[${index}]`;
    const value = () => inline ?? items[++index] ?? '';
    if (name === '--min-chunk-size') found.minChunkBytes = parseSize(field, value());
    else if (name === '--max-archive-size' || name === '-S') found.maxArchiveBytes = parseSize(field, value());
    else if (name === '--jobs' || name === '-J') found.jobs = parseJobs(field, value());
    else if (name === '--immediate-checkpoint') found.immediateCheckpoint = true;
    else found.ignored.push(item);
  }
  return found;
}

/** Barman's sizes: `5MB` counts in 1024, `5MiB` in 1000 (sic), `5` and `5B` are bytes, `5M` is none. */
function parseSize(field: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:([KMGTPEZY])(i)?)?B?$/i.exec(text.trim());
  const [, number = '', unit, metric] = match ?? [];
  const valid = match !== null && (unit === undefined ? /^\d+B?$/i.test(text.trim()) : /B$/i.test(text.trim()));
  if (!valid) throw new InvalidInputError(field, text, 'write a size such as 512MB or 100GB');
  const exponent = unit === undefined ? 0 : UNITS.indexOf(unit.toUpperCase()) + 1;
  return Math.floor(Number(number) * (metric === undefined ? 1024 : 1000) ** exponent);
}

function parseJobs(field: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidInputError(field, text, 'write a whole number from 1 on');
  return Number(text);
}

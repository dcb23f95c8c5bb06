// What each option of the barman tools is to us (object-store-layout.md §10.3–§10.7). Data, read by options.ts.
import {
  ENCRYPTIONS,
  type Encryption,
  type ObjectStoreConfiguration,
  WAL_COMPRESSIONS,
  type WalCompression,
} from './objectstore.ts';
import { parseSizeBytes } from './size.ts';

export type Tool = 'wal-archive' | 'wal-restore' | 'backup' | 'restore';
export type Provider = 's3' | 'azure' | 'gcs';
export type CompressionLevel = 'low' | 'medium' | 'high' | number;

/** Values that somebody has set and that count. What is not set is not there. */
export type HonouredOptions = {
  compression?: WalCompression;
  compressionLevel?: CompressionLevel;
  tags?: Record<string, string>;
  historyTags?: Record<string, string>;
  encryption?: Encryption;
  sseKmsKeyId?: string;
  encryptionScope?: string;
  kmsKeyName?: string;
  maxBlockBytes?: number;
  maxSinglePutBytes?: number;
  maxConcurrency?: number;
  awsProfile?: string;
  readTimeoutSeconds?: number;
  noPartial?: boolean;
  host?: string;
  port?: number;
  user?: string;
  dbname?: string;
  immediateCheckpoint?: boolean;
  jobs?: number;
  maxArchiveBytes?: number;
  minChunkBytes?: number;
  maxBandwidthBytesPerSecond?: number;
  /** Location by name of the tablespace. */
  tablespaces?: Record<string, string>;
};

export type OptionRule = {
  names: readonly string[];
  tools: readonly Tool[];
  takes: 'nothing' | 'one' | 'many';
  /** Elsewhere it has no meaning. */
  only?: Provider;
  /** Two of one group exclude each other. */
  group?: string;
  /** The field of the ObjectStore that sets the same, if it is set: fields win. */
  field?: (configuration: ObjectStoreConfiguration, tool: Tool) => string | undefined;
} & (
  | { does: 'ignore' | 'refuse'; why: string }
  /** Notes the value; returns what to write instead if it is not usable. */
  | { does: 'honour'; note: (found: HonouredOptions, value: string) => string | undefined }
);

type Extra = Pick<OptionRule, 'only' | 'group' | 'field'>;
/** The options of `HonouredOptions` that hold a T. */
type KeyOf<T> = {
  [Key in keyof HonouredOptions]-?: NonNullable<HonouredOptions[Key]> extends T ? Key : never;
}[keyof HonouredOptions];

const ALL: readonly Tool[] = ['wal-archive', 'wal-restore', 'backup', 'restore'];
const WRITERS: readonly Tool[] = ['wal-archive', 'backup'];
const ARCHIVE: readonly Tool[] = ['wal-archive'];
const BACKUP: readonly Tool[] = ['backup'];
const RESTORE: readonly Tool[] = ['restore'];
const SNAPSHOTS = 'volume snapshots are the operator’s: use method volumeSnapshot of the Backup';

export const OPTION_TABLE: readonly OptionRule[] = [
  refused(['-V', '--version'], ALL, 'nothing', 'with it the tool does nothing'),
  refused(['--help'], ALL, 'nothing', 'with it the tool does nothing'),
  ignored(['-v', '--verbose'], ALL, 'nothing', 'instanceSidecarConfiguration.logLevel sets the level of the log'),
  ignored(['-q', '--quiet'], ALL, 'nothing', 'instanceSidecarConfiguration.logLevel sets the level of the log'),
  ignored(['-t', '--test'], ALL, 'nothing', 'there is no probe without work'),
  ignored(['--cloud-provider'], ALL, 'one', 'the credentials of the ObjectStore set it'),
  ignored(['--endpoint-url'], ALL, 'one', 'endpointURL of the ObjectStore sets it'),
  ignored(['--azure-credential', '--credential'], ALL, 'one', 'azureCredentials of the ObjectStore sets it'),
  ignored(['--default'], ALL, 'nothing', 'azureCredentials of the ObjectStore sets it'),
  text(['-P', '--aws-profile', '--profile'], ALL, 'awsProfile', { only: 's3' }),
  wholeNumber(['--read-timeout'], ALL, 'readTimeoutSeconds', { only: 's3' }),

  ...compressions(WRITERS, { gzip: ['-z', '--gzip'], bzip2: ['-j', '--bzip2'], snappy: ['--snappy'], lz4: ['--lz4'] }),
  ...compressions(ARCHIVE, { xz: ['--xz'], zstd: ['--zstd'] }),
  // For base backups it is ours: barman has no level there.
  { names: ['--compression-level'], tools: WRITERS, takes: 'one', does: 'honour', note: noteLevel },
  ...tags('--tags', '--tag', WRITERS, 'tags'),
  ...tags('--history-tags', '--history-tag', ARCHIVE, 'historyTags'),
  {
    ...{ names: ['-e', '--encryption'], tools: WRITERS, takes: 'one', only: 's3', does: 'honour' },
    field: (configuration, tool) =>
      tool === 'backup'
        ? named('data.encryption', configuration.data?.encryption)
        : named('wal.encryption', configuration.wal?.encryption),
    note(found, value) {
      const encryption = ENCRYPTIONS.find((known) => known === value);
      if (encryption === undefined) return `write one of ${ENCRYPTIONS.join(', ')}`;
      found.encryption = encryption;
      return undefined;
    },
  },
  text(['--sse-kms-key-id'], WRITERS, 'sseKmsKeyId', { only: 's3' }),
  text(['--encryption-scope'], WRITERS, 'encryptionScope', { only: 'azure' }),
  text(['--kms-key-name'], WRITERS, 'kmsKeyName', { only: 'gcs' }),
  size(['--max-block-size'], WRITERS, 'maxBlockBytes', { only: 'azure' }),
  size(['--max-single-put-size'], WRITERS, 'maxSinglePutBytes', { only: 'azure' }),
  wholeNumber(['--max-concurrency'], WRITERS, 'maxConcurrency', { only: 'azure' }),

  flag(['--no-partial'], ['wal-restore'], 'noPartial'),

  text(['-h', '--host'], BACKUP, 'host'),
  wholeNumber(['-p', '--port'], BACKUP, 'port'),
  text(['-U', '--user'], BACKUP, 'user'),
  text(['-d', '--dbname'], BACKUP, 'dbname'),
  ignored(['-n', '--name'], BACKUP, 'one', 'the plugin names the backup'),
  flag(['--immediate-checkpoint'], BACKUP, 'immediateCheckpoint', {
    field: ({ data }) => named('data.immediateCheckpoint', data?.immediateCheckpoint),
  }),
  wholeNumber(['-J', '--jobs'], BACKUP, 'jobs', { field: ({ data }) => named('data.jobs', data?.jobs) }),
  size(['-S', '--max-archive-size'], BACKUP, 'maxArchiveBytes'),
  size(['--min-chunk-size'], BACKUP, 'minChunkBytes'),
  size(['--max-bandwidth'], BACKUP, 'maxBandwidthBytesPerSecond'),
  ...[
    ...['--snapshot-instance', '--snapshot-disk', '--snapshot-zone', '--snapshot-gcp-project', '--gcp-project'],
    ...['--aws-await-snapshots-timeout', '--aws-snapshot-lock-mode', '--aws-snapshot-lock-cool-off-period'],
    ...['--aws-snapshot-lock-expiration-date', '--aws-snapshot-lock-duration', '--azure-subscription-id'],
  ].map((name) => refused([name], BACKUP, 'one', SNAPSHOTS)),
  ...['--gcp-zone', '--aws-region', '--azure-resource-group'].map((name) =>
    refused([name], ['backup', 'restore'], 'one', SNAPSHOTS),
  ),

  { names: ['--tablespace'], tools: RESTORE, takes: 'one', does: 'honour', note: noteTablespace },
  ...['--target-tli', '--target-lsn', '--target-time'].map((name) =>
    ignored([name], RESTORE, 'one', 'bootstrap.recovery.recoveryTarget of the Cluster sets it'),
  ),
  ...['--snapshot-recovery-instance', '--snapshot-recovery-zone'].map((name) =>
    refused([name], RESTORE, 'one', SNAPSHOTS),
  ),
];

function ignored(names: string[], tools: readonly Tool[], takes: 'nothing' | 'one', why: string): OptionRule {
  return { names, tools, takes, does: 'ignore', why };
}

function refused(names: string[], tools: readonly Tool[], takes: 'nothing' | 'one', why: string): OptionRule {
  return { names, tools, takes, does: 'refuse', why };
}

function flag(names: string[], tools: readonly Tool[], key: KeyOf<boolean>, extra: Extra = {}): OptionRule {
  const note = (found: HonouredOptions) => {
    found[key] = true;
    return undefined;
  };
  return { ...extra, names, tools, takes: 'nothing', does: 'honour', note };
}

type TextKey = 'sseKmsKeyId' | 'encryptionScope' | 'kmsKeyName' | 'awsProfile' | 'host' | 'user' | 'dbname';

function text(names: string[], tools: readonly Tool[], key: TextKey, extra: Extra = {}): OptionRule {
  const note = (found: HonouredOptions, value: string) => {
    if (value === '') return 'write a value';
    found[key] = value;
    return undefined;
  };
  return { ...extra, names, tools, takes: 'one', does: 'honour', note };
}

function wholeNumber(names: string[], tools: readonly Tool[], key: KeyOf<number>, extra: Extra = {}): OptionRule {
  const note = (found: HonouredOptions, value: string) => {
    if (!/^[1-9]\d{0,8}$/.test(value)) return 'write a whole number from 1 on';
    found[key] = Number(value);
    return undefined;
  };
  return { ...extra, names, tools, takes: 'one', does: 'honour', note };
}

function size(names: string[], tools: readonly Tool[], key: KeyOf<number>, extra: Extra = {}): OptionRule {
  const note = (found: HonouredOptions, value: string) => {
    const sizeBytes = parseSizeBytes(value);
    if (sizeBytes === undefined) return 'write a size such as 512MB or 100GB';
    found[key] = sizeBytes;
    return undefined;
  };
  return { ...extra, names, tools, takes: 'one', does: 'honour', note };
}

function compressions(tools: readonly Tool[], flags: Partial<Record<WalCompression, string[]>>): OptionRule[] {
  return Object.entries(flags).map(([name, names]) => ({
    ...{ names, tools, takes: 'nothing', group: 'compression', does: 'honour' },
    field: (configuration, tool) =>
      tool === 'backup'
        ? named('data.compression', configuration.data?.compression)
        : named('wal.compression', configuration.wal?.compression),
    note: (found) => {
      const compression = WAL_COMPRESSIONS.find((known) => known === name);
      if (compression !== undefined) found.compression = compression;
      return undefined;
    },
  }));
}

/** `--tags` takes all that follows, the last one counts, and only the shape is judged; `--tag` adds up, judged as AWS does. */
function tags(many: string, single: string, tools: readonly Tool[], key: 'tags' | 'historyTags'): OptionRule[] {
  const field = (configuration: ObjectStoreConfiguration) =>
    named(key, Object.keys(configuration[key] ?? {}).length === 0 ? undefined : true);
  const add = (found: HonouredOptions, value: string, strict: boolean) => {
    const [, tag, content] = readTag(value) ?? [];
    if (tag === undefined || content === undefined) return 'write KEY,VALUE';
    if (strict && !isAwsTag(tag, content)) return 'AWS does not accept such a key or value of a tag';
    if (Object.hasOwn(found[key] ?? {}, tag)) return `the key ${tag} is given twice`;
    found[key] = { ...found[key], [tag]: content };
    return undefined;
  };
  const shared = { tools, group: key, field, does: 'honour' as const };
  return [
    { ...shared, names: [many], takes: 'many', note: (found, value) => add(found, value, false) },
    { ...shared, names: [single], takes: 'one', note: (found, value) => add(found, value, true) },
  ];
}

/** Two fields of CSV, quoted or not. */
function readTag(value: string): [string, string, string] | undefined {
  const match = /^(?:"((?:[^"]|"")*)"|([^,"]*)),(?:"((?:[^"]|"")*)"|([^,"]*))$/s.exec(value);
  if (match === null) return undefined;
  const plain = (quoted: string | undefined, bare: string | undefined) => quoted?.replaceAll('""', '"') ?? bare ?? '';
  return [value, plain(match[1], match[2]), plain(match[3], match[4])];
}

function isAwsTag(key: string, value: string): boolean {
  return /^(?!aws:)[\p{L}\p{N}\s_.:/=+\-@]{1,128}$/u.test(key) && /^[\p{L}\p{N}\s_.:/=+\-@]{0,256}$/u.test(value);
}

function noteLevel(found: HonouredOptions, value: string): string | undefined {
  if (value === 'low' || value === 'medium' || value === 'high') found.compressionLevel = value;
  else if (/^-?\d{1,9}$/.test(value)) found.compressionLevel = Number(value);
  else return 'write low, medium, high or a whole number';
  return undefined;
}

function noteTablespace(found: HonouredOptions, value: string): string | undefined {
  const [, name, location] = /^([^:]+):(.+)$/s.exec(value) ?? [];
  if (name === undefined || location === undefined) return 'write NAME:LOCATION';
  found.tablespaces = { ...found.tablespaces, [name]: location };
  return undefined;
}

function named(field: string, value: unknown): string | undefined {
  return value === undefined ? undefined : field;
}

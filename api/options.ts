// Reads the additional arguments of the barman tools by the tools' own grammar, in place of merging words
// (object-store-layout.md §10.2–§10.7, §12 row 28). Pure.
import { InvalidInputError, PreconditionError } from './errors.ts';
import type { Encryption, ObjectStore, ObjectStoreConfiguration, WalCompression } from './objectstore.ts';
import {
  type CompressionLevel,
  type HonouredOptions,
  OPTION_TABLE,
  type OptionRule,
  type Provider,
  type Tool,
} from './option-table.ts';

export type { CompressionLevel, HonouredOptions, Tool } from './option-table.ts';

export type IgnoredOption = { field: string; option: string; why: string };
export type ToolOptions = { honoured: HonouredOptions; ignored: IgnoredOption[] };

type Occurrence = { field: string; name: string; rule: OptionRule; values: string[] };
type Items = { field: string; items: readonly string[]; rules: readonly OptionRule[] };

/**
 * The options that an ObjectStore adds to a tool: those that count, and those that do not, each with the reason. A field
 * of the ObjectStore wins over an option; otherwise the last of equal options counts. Throws InvalidInputError, naming
 * the item, for what the tool would not understand or what we do not do.
 */
export function toolOptions(tool: Tool, configuration: ObjectStoreConfiguration): ToolOptions {
  const { field, items } = argumentsOf(tool, configuration);
  const rules = OPTION_TABLE.filter((rule) => rule.tools.includes(tool));
  const provider = providerOf(configuration);
  const honoured: HonouredOptions = {};
  const ignored: IgnoredOption[] = [];
  const chosen = new Map<string, OptionRule>();
  for (const { rule, name, values, ...at } of occurrences({ field, items, rules })) {
    if (rule.does === 'refuse') throw new InvalidInputError(at.field, name, `remove it: ${rule.why}`);
    const why = reasonToIgnore(rule, tool, configuration, provider);
    if (why !== undefined) {
      ignored.push({ field: at.field, option: name, why });
      continue;
    }
    if (rule.does !== 'honour') continue;
    const other = rule.group === undefined ? undefined : chosen.get(rule.group);
    if (rule.group !== undefined) chosen.set(rule.group, rule);
    if (other !== undefined && other !== rule) {
      throw new InvalidInputError(at.field, name, `it cannot be given together with ${other.names.join(' or ')}`);
    }
    if (rule.takes === 'many') forgetTags(honoured, rule);
    for (const value of rule.takes === 'nothing' ? [''] : values) {
      const advice = rule.note(honoured, value);
      if (advice !== undefined) throw new InvalidInputError(`${at.field} (${name})`, value, advice);
    }
  }
  checkKmsKey(tool, configuration, field, honoured);
  return { honoured, ignored };
}

/** The same for a store that is about to be used: throws PreconditionError, naming the ObjectStore besides the item. */
export function usableOptions(tool: Tool, objectStore: ObjectStore): ToolOptions {
  try {
    return toolOptions(tool, objectStore.spec.configuration);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new PreconditionError(`ObjectStore ${objectStore.metadata.name}: ${error.message}`, { cause: error });
  }
}

/** What a put asks for: the field of the ObjectStore, or else the option; the key comes from an option only. */
export function encryptionOf(
  field: Encryption | undefined,
  { encryption, sseKmsKeyId: kmsKeyId }: HonouredOptions,
): { encryption?: { algorithm: Encryption; kmsKeyId?: string } } {
  const algorithm = field ?? encryption;
  if (algorithm === undefined) return {};
  return { encryption: { algorithm, ...(kmsKeyId === undefined ? {} : { kmsKeyId }) } };
}

/** An option without effect, in one sentence. */
export function sentenceOfIgnored({ field, option, why }: IgnoredOption): string {
  return `${field}: ${option}: ${why}`;
}

/** Level of a codec for `low`, `medium`, `high` or a number, clamped; undefined where there are none (§2.3). */
export function levelOf(codec: WalCompression | 'none', level: CompressionLevel): number | undefined {
  const known = LEVELS[codec];
  if (known === undefined) return undefined;
  return typeof level === 'number' ? Math.min(known.max, Math.max(known.min, level)) : known[level];
}

type Levels = { low: number; medium: number; high: number; min: number; max: number };

const LEVELS: Record<WalCompression | 'none', Levels | undefined> = {
  gzip: { low: 1, medium: 6, high: 9, min: 1, max: 9 },
  bzip2: { low: 1, medium: 5, high: 9, min: 1, max: 9 },
  xz: { low: 1, medium: 3, high: 5, min: 1, max: 9 },
  zstd: { low: 1, medium: 4, high: 9, min: -22, max: 22 },
  lz4: { low: 0, medium: 6, high: 10, min: 0, max: 16 },
  snappy: undefined,
  none: undefined,
};

/** The field of an ObjectStore that holds the arguments of a tool, and its items. */
export function argumentsOf(
  tool: Tool,
  { wal, data }: ObjectStoreConfiguration,
): { field: string; items: readonly string[] } {
  const lists = {
    'wal-archive': ['wal.archiveAdditionalCommandArgs', wal?.archiveAdditionalCommandArgs],
    'wal-restore': ['wal.restoreAdditionalCommandArgs', wal?.restoreAdditionalCommandArgs],
    backup: ['data.additionalCommandArgs', data?.additionalCommandArgs],
    restore: ['data.restoreAdditionalCommandArgs', data?.restoreAdditionalCommandArgs],
  } as const;
  const [field, items] = lists[tool];
  return { field: `spec.configuration.${field}`, items: items ?? [] };
}

function providerOf({ azureCredentials, googleCredentials }: ObjectStoreConfiguration): Provider {
  if (azureCredentials !== undefined) return 'azure';
  return googleCredentials === undefined ? 's3' : 'gcs';
}

function reasonToIgnore(
  rule: OptionRule,
  tool: Tool,
  configuration: ObjectStoreConfiguration,
  provider: Provider,
): string | undefined {
  if (rule.does === 'ignore') return rule.why;
  if (rule.only !== undefined && rule.only !== provider) return `it has no meaning for a store of kind ${provider}`;
  const field = rule.field?.(configuration, tool);
  return field === undefined ? undefined : `spec.configuration.${field} sets it`;
}

/** Items in order, each option with its values. An item without a name before its `=` is dropped, as the Go plugin does. */
function* occurrences(list: Items): Iterable<Occurrence> {
  for (let index = 0; index < list.items.length; index += 1) {
    const item = list.items[index] ?? '';
    const field = `${list.field}[${index}]`;
    if (item === '' || item.startsWith('=')) continue;
    const found = item.startsWith('--') ? [longOption(list, field, item)] : shortOptions(list, field, item);
    for (const { rule, name, inline } of found) {
      if (rule.takes === 'nothing') {
        if (inline !== undefined) throw new InvalidInputError(field, item, `${name} takes no value`);
        yield { field, name, rule, values: [] };
        continue;
      }
      const values = inline === undefined ? [] : [inline];
      const most = inline !== undefined ? 0 : rule.takes === 'one' ? 1 : Number.POSITIVE_INFINITY;
      while (values.length < most && isValue(list.items[index + 1])) values.push(list.items[++index] ?? '');
      if (values.length === 0) throw new InvalidInputError(field, item, `write its value as ${name}=…`);
      yield { field, name, rule, values };
    }
  }
}

type Found = { rule: OptionRule; name: string; inline: string | undefined };

function longOption({ rules }: Items, field: string, item: string): Found {
  const [written = '', inline] = item.split(/=(.*)/s, 2);
  const names = rules.flatMap((rule) =>
    rule.names.filter((name) => name.startsWith('--')).map((name) => ({ rule, name })),
  );
  const exact = names.find(({ name }) => name === written);
  const candidates = exact === undefined ? names.filter(({ name }) => name.startsWith(written)) : [exact];
  const [only] = candidates;
  if (only === undefined || written === '--') throw unknown(field, item);
  if (candidates.length > 1) {
    const meant = candidates.map(({ name }) => name).join(', ');
    throw new InvalidInputError(field, item, `write the option in full: it could be ${meant}`);
  }
  return { ...only, inline };
}

/** `-j`, `-J8`, `-J=8`, `-vv`, `-vz`. */
function shortOptions({ rules }: Items, field: string, item: string): Found[] {
  const found: Found[] = [];
  for (let rest = item.startsWith('-') ? item.slice(1) : ''; rest !== '' || found.length === 0; ) {
    const name = `-${rest.charAt(0)}`;
    const rule = rules.find(({ names }) => names.includes(name));
    if (rule === undefined) throw unknown(field, item);
    const after = rest.slice(1);
    if (after === '') return [...found, { rule, name, inline: undefined }];
    if (rule.takes !== 'nothing' || after.startsWith('=')) {
      return [...found, { rule, name, inline: after.replace(/^=/, '') }];
    }
    found.push({ rule, name, inline: undefined });
    rest = after;
  }
  return found;
}

/** A negative number is a value, as no option looks like one. */
function isValue(item: string | undefined): boolean {
  return item !== undefined && item !== '' && (!item.startsWith('-') || /^-(?:\d+|\d*\.\d+)?$/.test(item));
}

function unknown(field: string, item: string): InvalidInputError {
  const joined = /^(-[^\s=]*)\s+(.*)$/s.exec(item);
  if (joined !== null) return new InvalidInputError(field, item, `write ${joined[1]}=${joined[2]} as one item`);
  const what = item.startsWith('-') ? 'this option is not known' : 'this value belongs to no option';
  return new InvalidInputError(field, item, `${what}: remove it, or write --option=value`);
}

function forgetTags(found: HonouredOptions, rule: OptionRule): void {
  if (rule.group === 'tags') delete found.tags;
  if (rule.group === 'historyTags') delete found.historyTags;
}

function checkKmsKey(tool: Tool, { wal, data }: ObjectStoreConfiguration, field: string, found: HonouredOptions): void {
  const set: Encryption | undefined = tool === 'backup' ? data?.encryption : wal?.encryption;
  if (found.sseKmsKeyId === undefined || (set ?? found.encryption) === 'aws:kms') return;
  throw new InvalidInputError(field, '--sse-kms-key-id', 'set the encryption aws:kms too, or remove the key');
}

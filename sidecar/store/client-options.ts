// What the additional arguments of the tools ask of the store's client, which all tools share here
// (object-store-layout.md §10.2, §10.3). Pure.
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { argumentsOf, type HonouredOptions, type Tool, toolOptions } from '../../api/options.ts';

export type NamedProfile = { field: string; profile: string };

const TOOLS: readonly Tool[] = ['wal-archive', 'wal-restore', 'backup', 'restore'];

/** The longest wait that a timer of Node can keep. */
const LONGEST_MS = 2 ** 31 - 1;

/** The largest `--read-timeout` of all tools in milliseconds; undefined where none is given. */
export function readTimeoutMs(configuration: ObjectStoreConfiguration): number | undefined {
  const seconds = givenTo(configuration).flatMap(({ honoured }) => honoured.readTimeoutSeconds ?? []);
  return seconds.length === 0 ? undefined : Math.min(LONGEST_MS, Math.max(...seconds) * 1000);
}

/** The `--aws-profile` of all tools; undefined where none is given. Throws PreconditionError when there are two. */
export function awsProfile(configuration: ObjectStoreConfiguration): string | undefined {
  const named = namedProfiles(configuration);
  const [first] = named;
  const other = named.find(({ profile }) => profile !== first?.profile);
  if (first === undefined || other === undefined) return first?.profile;
  const facts = [first, other].map(({ field, profile }) => `${field} names ${JSON.stringify(profile)}`).join(', ');
  throw new PreconditionError(`--aws-profile: ${facts}`, {
    hint: 'one store has one client: name the same profile everywhere, or use two ObjectStores',
  });
}

/** Every `--aws-profile`, by field. */
export function namedProfiles(configuration: ObjectStoreConfiguration): NamedProfile[] {
  return givenTo(configuration).flatMap(({ field, honoured }) =>
    honoured.awsProfile === undefined ? [] : { field, profile: honoured.awsProfile },
  );
}

/** How objects are written to Azure. */
export type AzureWriting = {
  /** Scope of encryption for everything that is written; undefined for the container's default. */
  encryptionScope: string | undefined;
  /** Whole bytes beyond that go as blocks. */
  maxSinglePutBytes: number;
  maxBlockBytes: number;
  /** Blocks of one object that are sent at a time. */
  maxConcurrency: number;
};

/** barman's own (object-store-layout.md §2.4). */
const AZURE_DEFAULTS = { maxSinglePutBytes: 64 * 1024 ** 2, maxBlockBytes: 4 * 1024 ** 2, maxConcurrency: 1 };

/**
 * The options of the tools for Azure: the smallest of the sizes, the largest concurrency, and the one encryption scope.
 * Throws PreconditionError when there are two.
 */
export function azureWriting(configuration: ObjectStoreConfiguration): AzureWriting {
  const given = givenTo(configuration);
  const named = given.flatMap(({ field, honoured: { encryptionScope: scope } }) => (scope ? [{ field, scope }] : []));
  const [first] = named;
  const other = named.find(({ scope }) => scope !== first?.scope);
  if (first !== undefined && other !== undefined) {
    const facts = [first, other].map(({ field, scope }) => `${field} names ${JSON.stringify(scope)}`).join(', ');
    throw new PreconditionError(`--encryption-scope: ${facts}`, {
      hint: 'one store has one client: name the same scope everywhere, or use two ObjectStores',
    });
  }
  const all = <K extends 'maxSinglePutBytes' | 'maxBlockBytes' | 'maxConcurrency'>(name: K) =>
    given.flatMap(({ honoured }) => honoured[name] ?? []);
  const orDefault = (values: number[], pick: (...values: number[]) => number, fallback: number) =>
    values.length === 0 ? fallback : pick(...values);
  return {
    encryptionScope: first?.scope,
    maxSinglePutBytes: orDefault(all('maxSinglePutBytes'), Math.min, AZURE_DEFAULTS.maxSinglePutBytes),
    maxBlockBytes: Math.max(1, orDefault(all('maxBlockBytes'), Math.min, AZURE_DEFAULTS.maxBlockBytes)),
    maxConcurrency: Math.max(1, orDefault(all('maxConcurrency'), Math.max, AZURE_DEFAULTS.maxConcurrency)),
  };
}

/** A list with a mistake fails the tool that it is for, not all that use the store: it counts as empty here. */
function givenTo(configuration: ObjectStoreConfiguration): { field: string; honoured: HonouredOptions }[] {
  return TOOLS.flatMap((tool) => {
    try {
      return { field: argumentsOf(tool, configuration).field, honoured: toolOptions(tool, configuration).honoured };
    } catch (error) {
      if (error instanceof InvalidInputError) return [];
      throw error;
    }
  });
}

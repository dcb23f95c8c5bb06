// The four lists of additional arguments of the barman tools (rules B17, B18, B19).
import { InvalidInputError } from '../errors.ts';
import type { ObjectStoreConfiguration } from '../objectstore.ts';
import { toolOptions } from '../options.ts';
import type { Draft } from './draft.ts';
import type { Finding } from './rule.ts';
import { show } from './show.ts';

type Item = { path: string; item: string; list: ListName };

const LISTS = [
  'data.additionalCommandArgs',
  'data.restoreAdditionalCommandArgs',
  'wal.archiveAdditionalCommandArgs',
  'wal.restoreAdditionalCommandArgs',
] as const;

type ListName = (typeof LISTS)[number];

/** Where the items themselves are well written, the first of a list that its tool would not take is told of. */
export function wrongArguments(draft: Draft): Finding[] {
  const joined = optionAndValueInOne(draft);
  return [
    ...joined,
    ...unusableOptions(draft).filter(({ path }) => !joined.some((found) => inOneList(found.path, path))),
  ];
}

function inOneList(one: string, other: string): boolean {
  return one.replace(/\[.*/, '') === other.replace(/\[.*/, '');
}

function optionAndValueInOne(draft: Draft): Finding[] {
  return itemsOf(draft).flatMap(({ path, item }) => {
    const [, option, space, value] = /^\s*(-[^\s=]*)(\s*)(.*)$/s.exec(item) ?? [];
    if (option === undefined || (space === '' && item.startsWith('-'))) return [];
    const joined = space === '' || value === '' ? `${option}${value}` : `${option}=${value}`;
    return [{ path, found: show(item), advice: `write ${show(joined)} as one item`, offending: item }];
  });
}

const TOOLS = ['wal-archive', 'wal-restore', 'backup', 'restore'] as const;

/** What fails when the option is needed, by the very code that reads it then. Barman may know more options than we do. */
function unusableOptions({ configuration }: Draft): Finding[] {
  return TOOLS.flatMap((tool): Finding[] => {
    try {
      // Of a configuration only the lists, the fields beside them and which provider it is are read.
      toolOptions(tool, configuration as ObjectStoreConfiguration);
      return [];
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      const [path = error.field] = error.field.split(' ');
      return [{ path, found: show(error.found), advice: error.advice, warnOnly: true }];
    }
  });
}

export function bareValues(draft: Draft): Finding[] {
  return itemsOf(draft)
    .filter(({ item }) => !item.trimStart().startsWith('-'))
    .map(({ path, item }) => ({
      path,
      found: show(item),
      advice: 'a repeated bare value is dropped; use the --option=value form',
    }));
}

const CONNECTION = {
  '--endpoint-url': 'use endpointURL',
  '--cloud-provider': 'the provider block decides',
  '--credential': 'use azureCredentials',
};
const COMPRESSION = 'use compression';
const WAL_COMPRESSION = Object.fromEntries(
  ['-z', '--gzip', '-j', '--bzip2', '--xz', '--snappy', '--zstd', '--lz4'].map((option) => [option, COMPRESSION]),
);
const DATA_COMPRESSION = Object.fromEntries(
  ['-z', '--gzip', '-j', '--bzip2', '--snappy', '--lz4'].map((option) => [option, COMPRESSION]),
);
const ENCRYPTION = { '-e': 'use encryption', '--encryption': 'use encryption' };

/** Options that the plugin sets itself, with the field that takes their place (§2.2, below the table). */
const MANAGED: Record<ListName, Record<string, string>> = {
  'data.additionalCommandArgs': {
    ...CONNECTION,
    ...DATA_COMPRESSION,
    ...ENCRYPTION,
    '-U': 'the plugin chooses the user',
    '--user': 'the plugin chooses the user',
    '-n': 'the plugin names the backup',
    '--name': 'the plugin names the backup',
    '--immediate-checkpoint': 'use data.immediateCheckpoint',
    '-J': 'use data.jobs',
    '--jobs': 'use data.jobs',
    '--tags': 'use tags',
  },
  'data.restoreAdditionalCommandArgs': CONNECTION,
  'wal.archiveAdditionalCommandArgs': {
    ...CONNECTION,
    ...WAL_COMPRESSION,
    ...ENCRYPTION,
    '--tags': 'use tags',
    '--history-tags': 'use historyTags',
  },
  'wal.restoreAdditionalCommandArgs': CONNECTION,
};

export function managedOptions(draft: Draft): Finding[] {
  return itemsOf(draft).flatMap(({ path, item, list }) => {
    const option = /^-[^\s=]*/.exec(item)?.[0] ?? '';
    const managed = MANAGED[list];
    if (!Object.hasOwn(managed, option)) return [];
    return [{ path, found: show(item), advice: `already managed by the plugin: ${managed[option]}` }];
  });
}

function itemsOf({ configuration: { data, wal } }: Draft): Item[] {
  const lists: Record<ListName, string[] | undefined> = {
    'data.additionalCommandArgs': data?.additionalCommandArgs,
    'data.restoreAdditionalCommandArgs': data?.restoreAdditionalCommandArgs,
    'wal.archiveAdditionalCommandArgs': wal?.archiveAdditionalCommandArgs,
    'wal.restoreAdditionalCommandArgs': wal?.restoreAdditionalCommandArgs,
  };
  return LISTS.flatMap((list) =>
    (lists[list] ?? []).map((item, index) => ({ path: `spec.configuration.${list}[${index}]`, item, list })),
  );
}

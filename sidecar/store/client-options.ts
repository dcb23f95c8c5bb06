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

// What stands in an entry of our plugin (rules CL1, CL2, CL4 to CL9, CL12, CL15, CL16, CL21, F6, F8).
import { PARAMETER_OBJECT_STORE, PARAMETER_SERVER_NAME, PLUGIN_NAME } from '../names.ts';
import type { ClusterDraft } from './cluster-draft.ts';
import { type Entry, enabledEntries, externalEntries, pluginEntries } from './cluster-entries.ts';
import { nearest } from './near-miss.ts';
import { type Finding, MISSING } from './rule.ts';
import { joinNames, keyPath, show } from './show.ts';
import { isSubdomain } from './subdomain.ts';

const PARAMETERS = [PARAMETER_OBJECT_STORE, PARAMETER_SERVER_NAME];

export function archiveWithoutStore(cluster: ClusterDraft): Finding[] {
  const advice = 'name the ObjectStore here; without it nothing is archived';
  return enabledEntries(cluster).filter(lacksStore).map(missingStore(advice));
}

export function sourceWithoutStore(cluster: ClusterDraft): Finding[] {
  return sourceEntries(cluster)
    .filter(lacksStore)
    .flatMap((entry) => [entry].map(missingStore(`name the ObjectStore of the ${sourceName(entry)}`)));
}

function lacksStore({ stanza }: Entry): boolean {
  return !stanza.parameters?.[PARAMETER_OBJECT_STORE] && stanza.stray.length === 0;
}

function missingStore(advice: string) {
  return ({ path, stanza: { parameters = {} } }: Entry): Finding => ({
    path: `${path}.parameters.${PARAMETER_OBJECT_STORE}`,
    found: Object.hasOwn(parameters, PARAMETER_OBJECT_STORE) ? '""' : MISSING,
    advice,
    offending: 'no store',
  });
}

/** Only files still show such keys: the API server prunes them before any webhook, and CL1 or CL8 is left. */
export function strayKeys(cluster: ClusterDraft): Finding[] {
  return [...enabledEntries(cluster), ...sourceEntries(cluster)]
    .filter(({ stanza }) => !stanza.parameters?.[PARAMETER_OBJECT_STORE] && stanza.stray.length > 0)
    .map(({ path, stanza: { stray } }) => {
      const names = joinNames(stray.slice(0, 3).map((key) => show(key)));
      const advice = `${names} is no field of a plugin entry; write parameters: {${PARAMETER_OBJECT_STORE}: STORE}`;
      return { path: `${path}.parameters.${PARAMETER_OBJECT_STORE}`, found: MISSING, advice };
    });
}

export function unknownParameters(cluster: ClusterDraft): Finding[] {
  return examined(cluster).flatMap(({ path, stanza: { parameters = {} } }) =>
    Object.keys(parameters)
      .filter((key) => !PARAMETERS.includes(key))
      .map((key) => {
        const meant = parameterMeant(key);
        const hint = meant === undefined ? `only ${joinNames(PARAMETERS)} are known` : `did you mean ${meant}?`;
        return { path: parameterPath(path, key), found: 'a value', advice: `unknown parameter, ignored; ${hint}` };
      }),
  );
}

function parameterMeant(key: string): string | undefined {
  const near = nearest(key, PARAMETERS);
  if (near !== undefined) return near;
  if (/object|store/i.test(key)) return PARAMETER_OBJECT_STORE;
  return /server/i.test(key) ? PARAMETER_SERVER_NAME : undefined;
}

function parameterPath(path: string, key: string): string {
  return /^\w{1,60}$/.test(key) ? `${path}.parameters.${key}` : keyPath(`${path}.parameters`, key);
}

export function storeNames(cluster: ClusterDraft): Finding[] {
  return examined(cluster).flatMap(({ path, stanza: { parameters = {} } }) => {
    const name = parameters[PARAMETER_OBJECT_STORE];
    if (!name || isSubdomain(name)) return [];
    const advice = 'not a valid ObjectStore name: use lower-case letters, digits, - and .';
    return [{ path: `${path}.parameters.${PARAMETER_OBJECT_STORE}`, found: show(name), advice, offending: name }];
  });
}

/** Names that make no folder, or another one than is written. */
export function impossibleServerNames(cluster: ClusterDraft): Finding[] {
  return serverNames(cluster)
    .filter(({ name }) => isImpossible(name))
    .map(({ path, name }) => {
      const advice = 'not usable as a folder name; use letters, digits, ., _ and -, not beginning with -';
      return { path, found: show(name), advice, offending: name };
    });
}

function isImpossible(name: string): boolean {
  if (/\p{Cc}/u.test(name) || /^[-/]|\/$/.test(name) || name.trim() === '') return true;
  return name.split('/').some((segment) => segment === '.' || segment === '..');
}

const MAX_SERVER_NAME_LENGTH = 255;

export function unusualServerNames(cluster: ClusterDraft): Finding[] {
  return serverNames(cluster)
    .filter(({ name }) => !isImpossible(name) && (/[^\w.-]/.test(name) || name.length > MAX_SERVER_NAME_LENGTH))
    .map(({ path, name }) => {
      const long = name.length > MAX_SERVER_NAME_LENGTH ? `, at most ${MAX_SERVER_NAME_LENGTH}` : '';
      return {
        path,
        found: show(name),
        advice: `may not work in every store; use letters, digits, ., _ and -${long}`,
      };
    });
}

function serverNames(cluster: ClusterDraft): { path: string; name: string }[] {
  return examined(cluster).flatMap(({ path, stanza: { parameters = {} } }) => {
    const name = parameters[PARAMETER_SERVER_NAME];
    return name ? [{ path: `${path}.parameters.${PARAMETER_SERVER_NAME}`, name }] : [];
  });
}

export function emptyServerName(cluster: ClusterDraft): Finding[] {
  return enabledEntries(cluster)
    .filter(({ stanza }) => stanza.parameters?.[PARAMETER_SERVER_NAME] === '')
    .map(({ path }) => {
      const advice = 'remove the parameter to use the name of the Cluster';
      return { path: `${path}.parameters.${PARAMETER_SERVER_NAME}`, found: '""', advice };
    });
}

export function sourceWithoutServerName(cluster: ClusterDraft): Finding[] {
  return sourceEntries(cluster)
    .filter(({ stanza }) => stanza.parameters?.[PARAMETER_OBJECT_STORE] && !stanza.parameters[PARAMETER_SERVER_NAME])
    .map((entry) => {
      const now = show(cluster.metadata.name);
      const advice = `set the server name of the ${sourceName(entry)}; now it is ${now}`;
      return { path: `${entry.path}.parameters.${PARAMETER_SERVER_NAME}`, found: MISSING, advice };
    });
}

export function severalEntries(cluster: ClusterDraft): Finding[] {
  const entries = pluginEntries(cluster);
  const last = entries.at(-1);
  if (last === undefined || entries.length < 2) return [];
  const advice = 'list the plugin once; some tools take the first entry, some the last';
  return [{ path: `${last.path}.name`, found: `${entries.length} entries`, advice }];
}

export function disabledEntry(cluster: ClusterDraft): Finding[] {
  const loading = externalEntries(cluster).find(({ stanza }) => stanza.enabled !== false);
  const entries = pluginEntries(cluster);
  if (loading === undefined || entries.some(({ stanza }) => stanza.enabled !== false)) return [];
  const advice = `nothing is archived, yet the external cluster ${show(loading.external)} still loads the plugin`;
  return entries.slice(-1).map(({ path }) => ({ path: `${path}.enabled`, found: 'false', advice }));
}

export function disabledSource(cluster: ClusterDraft): Finding[] {
  return sourceEntries(cluster)
    .filter(({ stanza }) => stanza.enabled === false)
    .map((entry) => ({
      path: `${entry.path}.enabled`,
      found: 'false',
      advice: `the ${sourceName(entry)} needs the plugin; remove the key`,
    }));
}

export function archiverOutside(cluster: ClusterDraft): Finding[] {
  return externalEntries(cluster)
    .filter(({ stanza }) => stanza.isWALArchiver === true)
    .map(({ path }) => {
      const advice = 'without effect on a source; it belongs in spec.plugins';
      return { path: `${path}.isWALArchiver`, found: 'true', advice };
    });
}

/** Whether a name that is not ours was most likely meant to be: other plugins share the end of it, so the start decides. */
export function pluginMeant(name: string): boolean {
  if (name === PLUGIN_NAME) return false;
  if (COMMON_MISTAKES.has(name.toLowerCase())) return true;
  const [start = ''] = name.split('.');
  return nearest(name, [PLUGIN_NAME]) !== undefined && nearest(start, NAME_STARTS) !== undefined;
}

const NAME_STARTS = ['barman-cloud', 'plugin-barman-cloud'];

const COMMON_MISTAKES = new Set([
  'barman',
  'barman-cloud',
  'plugin-barman-cloud',
  'barmancloud',
  'barmancloud.cnpg.io',
]);

export function misspeltPlugin({ spec: { plugins, externalClusters } }: ClusterDraft): Finding[] {
  const named = [
    ...plugins.map(({ name }, index) => ({ path: `spec.plugins[${index}].name`, name })),
    ...externalClusters.map(({ plugin }, index) => ({
      path: `spec.externalClusters[${index}].plugin.name`,
      name: plugin?.name ?? '',
    })),
  ];
  return named
    .filter(({ name }) => pluginMeant(name))
    .map(({ path, name }) => ({ path, found: show(name), advice: `did you mean ${PLUGIN_NAME}?` }));
}

function examined(cluster: ClusterDraft): Entry[] {
  return [...enabledEntries(cluster), ...externalEntries(cluster)];
}

function sourceEntries(cluster: ClusterDraft): Entry[] {
  return externalEntries(cluster).filter(({ role }) => role !== undefined);
}

function sourceName({ role }: Entry): string {
  return role === 'recovery' ? 'recovery source' : 'replica source';
}

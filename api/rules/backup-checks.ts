// What is wrong with a Backup or a ScheduledBackup (rules BK1 to BK7, SB1, F1, F2, F5).
import { PLUGIN_NAME } from '../names.ts';
import { type BackupDraft, IN_TREE_METHOD } from './backup-draft.ts';
import { pluginMeant } from './cluster-parameters.ts';
import { misreadSchedule } from './cron.ts';
import type { ClusterFact } from './neighbours.ts';
import { type Finding, MISSING, type RuleContext } from './rule.ts';
import { keyPath, show } from './show.ts';

type Context = RuleContext<BackupDraft>;

const NAME = 'spec.pluginConfiguration.name';
const PARAMETERS = 'spec.pluginConfiguration.parameters';

export function noPluginNamed({ method, plugin }: BackupDraft): Finding[] {
  if (method !== 'plugin' || plugin) return [];
  const found = plugin === undefined ? MISSING : '""';
  return [{ path: NAME, found, advice: `with method: plugin it is required; write ${PLUGIN_NAME}` }];
}

export function wrongMethod({ method, plugin }: BackupDraft): Finding[] {
  if (plugin !== PLUGIN_NAME || method === 'plugin') return [];
  return [{ path: 'spec.method', found: show(method), advice: `write method: plugin, for ${PLUGIN_NAME} is named` }];
}

export function pluginNotEnabled(backup: BackupDraft, { around }: Context): Finding[] {
  if (!isOurs(backup) || around.clusters === undefined) return [];
  const cluster = clusterOf(backup, { around });
  if (cluster === undefined) {
    if (!around.complete || backup.cluster === '') return [];
    const advice = `there is no such Cluster in ${show(backup.namespace)} (yet)`;
    return [
      {
        path: 'spec.cluster.name',
        found: show(backup.cluster),
        advice,
        reference: true,
        ...warnOnlyUnlessStrict(around),
      },
    ];
  }
  if (cluster.enablesPlugin) return [];
  const advice = `Cluster ${cluster.name} does not enable the plugin; add it to spec.plugins there`;
  return [{ path: NAME, found: show(PLUGIN_NAME), advice, offending: cluster.name, reference: true }];
}

function warnOnlyUnlessStrict({ strictReferences }: Context['around']): { warnOnly?: true } {
  return strictReferences ? {} : { warnOnly: true };
}

export function failingCluster(backup: BackupDraft, { around }: Context): Finding[] {
  const cluster = clusterOf(backup, { around });
  if (!isOurs(backup) || cluster === undefined || !cluster.enablesPlugin) return [];
  const store = cluster.parameters.archive?.objectStore;
  const [path, found] = ['spec.cluster.name', show(backup.cluster)];
  if (store === undefined) {
    return [{ path, found, advice: 'the backup will fail: its plugin entry names no ObjectStore', reference: true }];
  }
  if (around.stores === undefined || !around.complete || around.stores.has(cluster.namespace, store)) return [];
  const advice = `the backup will fail: its ObjectStore ${show(store)} does not exist (yet)`;
  return [{ path, found, advice, reference: true }];
}

/** Keys that people take for the choice of a store. */
const STORE_KEYS = ['barmanobjectname', 'objectstore', 'objectstorename', 'objectname', 'barmanobjectstore'];

export function otherStore(backup: BackupDraft, { around }: Context): Finding[] {
  if (!isOurs(backup)) return [];
  const used = clusterOf(backup, { around })?.parameters.archive?.objectStore;
  return Object.entries(backup.parameters)
    .filter(([key, value]) => namesStore(key) && value !== used)
    .map(([key, value]) => {
      const real = used === undefined ? 'the store of the Cluster' : show(used);
      return { path: parameterPath(key), found: show(value), advice: `a Backup cannot choose; it goes to ${real}` };
    });
}

function namesStore(key: string): boolean {
  return STORE_KEYS.includes(key.toLowerCase());
}

const FIELD_THAT_DOES_IT: Record<string, string> = {
  compression: 'set data.compression of the ObjectStore',
  encryption: 'set data.encryption of the ObjectStore',
  jobs: 'set data.jobs of the ObjectStore',
  immediatecheckpoint: 'set data.immediateCheckpoint of the ObjectStore',
  tags: 'set tags of the ObjectStore',
  retentionpolicy: 'set spec.retentionPolicy of the ObjectStore',
  servername: 'set it in spec.plugins of the Cluster',
  target: 'set spec.target',
  waitforarchive: 'every backup waits for its WAL',
};

export function unknownParameters(backup: BackupDraft): Finding[] {
  if (!isOurs(backup)) return [];
  return Object.keys(backup.parameters)
    .filter((key) => Object.hasOwn(FIELD_THAT_DOES_IT, key.toLowerCase()))
    .map((key) => {
      const advice = `ignored; ${FIELD_THAT_DOES_IT[key.toLowerCase()]}`;
      return { path: parameterPath(key), found: show(backup.parameters[key]), advice };
    });
}

export function ignoredParameters(backup: BackupDraft, { around }: Context): Finding[] {
  if (!isOurs(backup)) return [];
  const used = clusterOf(backup, { around })?.parameters.archive?.objectStore;
  return Object.entries(backup.parameters)
    .filter(([key]) => !Object.hasOwn(FIELD_THAT_DOES_IT, key.toLowerCase()))
    .filter(([key, value]) => !namesStore(key) || value === used)
    .map(([key]) => ({
      path: parameterPath(key),
      found: 'a value',
      advice: 'parameters of a Backup are ignored; remove it',
    }));
}

function parameterPath(key: string): string {
  return /^\w{1,60}$/.test(key) ? `${PARAMETERS}.${key}` : keyPath(PARAMETERS, key);
}

export function onlineSettings(backup: BackupDraft): Finding[] {
  if (!isOurs(backup)) return [];
  const advice = 'ignored; backups of the plugin are always online';
  return [
    ...(backup.hasOnline ? [{ path: 'spec.online', found: 'a value', advice }] : []),
    ...(backup.hasOnlineConfiguration ? [{ path: 'spec.onlineConfiguration', found: 'a value', advice }] : []),
  ];
}

export function misspeltPlugin({ plugin }: BackupDraft): Finding[] {
  if (plugin === undefined || !pluginMeant(plugin)) return [];
  return [{ path: NAME, found: show(plugin), advice: `did you mean ${PLUGIN_NAME}?` }];
}

/** A method that is left out is the in-tree one: schedules from before a migration look so. */
export function inTreeSchedule(backup: BackupDraft, { around }: Context): Finding[] {
  const cluster = clusterOf(backup, { around });
  if (backup.method !== IN_TREE_METHOD || backup.plugin === PLUGIN_NAME) return [];
  if (cluster === undefined || cluster.hasInTreeStore || !cluster.enablesPlugin) return [];
  const advice = `Cluster ${cluster.name} has no in-tree store; write method: plugin`;
  return [{ path: 'spec.method', found: show(backup.method), advice }];
}

export function fiveFieldSchedule({ schedule }: BackupDraft): Finding[] {
  const misread = misreadSchedule(schedule);
  if (misread === undefined) return [];
  const { timesADay, first, meant } = misread;
  const often = timesADay === 1 ? `at ${first.join()}` : `${timesADay} times a day, at ${first.join(', ')}, …`;
  const advice = `runs ${often}, as seconds come first; did you mean ${show(meant)}?`;
  return [{ path: 'spec.schedule', found: show(schedule), advice }];
}

function isOurs({ method, plugin }: BackupDraft): boolean {
  return plugin === PLUGIN_NAME && method === 'plugin';
}

function clusterOf({ namespace, cluster }: BackupDraft, { around }: Pick<Context, 'around'>): ClusterFact | undefined {
  return around.clusters?.get(namespace, cluster);
}

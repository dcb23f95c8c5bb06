// Fills `backup.info` and the answer to the operator from what PostgreSQL and the copy said. Pure.
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { offsetInSegment, parseLsn, segmentOf } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import type { BackupInfo } from './info.ts';
import type { DamageReport } from './page-checksums/damage-ledger.ts';
import type { PythonValue } from './python-literal.ts';
import type { BackupPoint, BackupStop, ServerFacts } from './source.ts';

/** What is known before the backup begins. `server_name` is what barman's cloud tools write, whatever the server. */
export function recordFacts(info: BackupInfo, name: string, facts: ServerFacts): BackupInfo {
  return {
    ...info,
    backupName: name,
    serverName: 'cloud',
    status: 'STARTED',
    version: facts.version,
    pgdata: facts.pgdata,
    systemId: facts.systemId,
    xlogSegmentSize: facts.segmentSizeBytes,
    dataChecksums: facts.dataChecksums,
    summarizeWal: facts.summarizeWal,
    configFile: facts.configFile,
    hbaFile: facts.hbaFile,
    identFile: facts.identFile,
    includedFiles: facts.includedFiles,
    tablespaces: facts.tablespaces.length === 0 ? undefined : facts.tablespaces,
    clusterSize: facts.clusterSizeBytes,
  };
}

export function recordBegin(info: BackupInfo, begin: BackupPoint, segmentSizeBytes: number): BackupInfo {
  const lsn = parseLsn(begin.lsn);
  return {
    ...info,
    timeline: begin.timeline,
    beginTime: begin.time,
    beginXlog: begin.lsn,
    beginWal: segmentOf(begin.timeline, lsn, segmentSizeBytes),
    beginOffset: offsetInSegment(lsn, segmentSizeBytes),
  };
}

export function recordEnd(info: BackupInfo, end: BackupStop, segmentSizeBytes: number): BackupInfo {
  const lsn = parseLsn(end.lsn);
  return {
    ...info,
    backupLabel: end.label,
    endTime: end.time,
    endXlog: end.lsn,
    endWal: segmentOf(end.timeline, lsn, segmentSizeBytes),
    endOffset: offsetInSegment(lsn, segmentSizeBytes),
  };
}

/** The phase and the first line of the error, as barman words it. */
export function recordFailure(info: BackupInfo, phase: string, error: unknown): BackupInfo {
  return { ...info, status: 'FAILED', error: `failure ${phase} (${messageOf(error).split('\n', 1)[0]})` };
}

/** Statistics in barman's words: seconds for all, workers, and seconds for each tree. */
export function copyStats(totalSeconds: number, workers: number, secondsOfTrees: Map<string, number>): PythonValue {
  const seconds = (value: number) => Number(value.toFixed(6));
  const items = [...secondsOfTrees].map(([tree, value]): [PythonValue, PythonValue] => [tree, seconds(value)]);
  const copied = seconds([...secondsOfTrees.values()].reduce((sum, value) => sum + value, 0));
  return new Map<PythonValue, PythonValue>([
    ['total_time', seconds(totalSeconds)],
    ['number_of_workers', workers],
    ['analysis_time', 0],
    ['analysis_time_per_item', new Map(items.map(([tree]): [PythonValue, PythonValue] => [tree, 0]))],
    ['copy_time_per_item', new Map(items)],
    ['serialized_copy_time_per_item', new Map(items)],
    ['copy_time', copied],
    ['serialized_copy_time', copied],
  ]);
}

/** Keys of the Go plugin, which its catalog maintenance reads, then ours: where the backup really went, and its damage. */
export function backupMetadata(facts: {
  info: BackupInfo;
  cluster: Cluster;
  archive: Archive;
  pluginVersion: string;
  /** As destinationOf says it: by it the catalog's maintenance knows history from what is gone. */
  destination: string;
  /** Undefined where pages were not verified. */
  damage: DamageReport | undefined;
}): Record<string, string> {
  return {
    timeline: String(facts.info.timeline ?? ''),
    version: facts.pluginVersion,
    name: PLUGIN_NAME,
    displayName: 'BarmanCloudInstance',
    clusterUID: facts.cluster.metadata.uid ?? '',
    pluginName: PLUGIN_NAME,
    location: facts.archive.location,
    destination: facts.destination,
    objectStore: facts.archive.objectStore.metadata.name,
    serverName: facts.archive.serverName,
    ...(facts.damage === undefined ? {} : { damagedBlocks: String(facts.damage.total) }),
  };
}

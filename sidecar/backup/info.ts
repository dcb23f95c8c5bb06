// `backup.info`: what a base backup is, in barman's own words (object-store-layout.md §6). Pure.
import { CorruptError, messageOf } from '../../api/errors.ts';
import { formatPythonLiteral, type PythonValue, parsePythonLiteral } from './python-literal.ts';
import { formatTimestamp, type Micros, parseTimestamp } from './timestamp.ts';

export type BackupStatus = 'EMPTY' | 'STARTED' | 'WAITING_FOR_WALS' | 'SYNCING' | 'DONE' | 'FAILED';

export type Tablespace = { name: string; oid: number; location: string };

/** Fields as in the file; undefined is `None` or a line that is not there. The backup's id is its folder's name. */
export type BackupInfo = {
  backupLabel: string | undefined;
  backupName: string | undefined;
  beginOffset: number | undefined;
  beginTime: Micros | undefined;
  beginWal: string | undefined;
  beginXlog: string | undefined;
  childrenBackupIds: string[] | undefined;
  clusterSize: number | undefined;
  compression: string | undefined;
  configFile: string | undefined;
  copyStats: PythonValue | undefined;
  dataChecksums: string | undefined;
  deduplicatedSize: number | undefined;
  encryption: string | undefined;
  endOffset: number | undefined;
  endTime: Micros | undefined;
  endWal: string | undefined;
  endXlog: string | undefined;
  error: string | undefined;
  hbaFile: string | undefined;
  identFile: string | undefined;
  includedFiles: string[] | undefined;
  mode: string | undefined;
  parentBackupId: string | undefined;
  pgdata: string | undefined;
  serverName: string | undefined;
  size: number | undefined;
  snapshotsInfo: PythonValue | undefined;
  status: BackupStatus;
  summarizeWal: string | undefined;
  systemId: string | undefined;
  tablespaces: Tablespace[] | undefined;
  timeline: number | undefined;
  version: number | undefined;
  xlogSegmentSize: number | undefined;
};

/** The text of the file: every known field, sorted, `None` for what is not set, hidden fields left out when not set. */
export function formatBackupInfo(info: BackupInfo): string {
  const fields: Record<string, string | undefined> = {
    backup_label: literalOf(info.backupLabel),
    begin_offset: info.beginOffset?.toFixed(0),
    begin_time: timeOf(info.beginTime),
    begin_wal: info.beginWal,
    begin_xlog: info.beginXlog,
    children_backup_ids: info.childrenBackupIds?.join(','),
    cluster_size: info.clusterSize?.toFixed(0),
    compression: info.compression,
    config_file: info.configFile,
    copy_stats: literalOf(info.copyStats),
    data_checksums: info.dataChecksums,
    deduplicated_size: info.deduplicatedSize?.toFixed(0),
    encryption: info.encryption,
    end_offset: info.endOffset?.toFixed(0),
    end_time: timeOf(info.endTime),
    end_wal: info.endWal,
    end_xlog: info.endXlog,
    error: info.error,
    hba_file: info.hbaFile,
    ident_file: info.identFile,
    included_files: literalOf(info.includedFiles),
    mode: info.mode,
    parent_backup_id: info.parentBackupId,
    pgdata: info.pgdata,
    server_name: info.serverName,
    size: info.size?.toFixed(0),
    status: info.status,
    summarize_wal: info.summarizeWal,
    systemid: info.systemId,
    tablespaces: literalOf(info.tablespaces?.map(({ name, oid, location }) => ({ tuple: [name, oid, location] }))),
    timeline: info.timeline?.toFixed(0),
    version: info.version?.toFixed(0),
    xlog_segment_size: info.xlogSegmentSize?.toFixed(0),
  };
  if (info.backupName !== undefined) fields.backup_name = info.backupName;
  if (info.snapshotsInfo !== undefined) fields.snapshots_info = literalOf(info.snapshotsInfo);
  const lines = Object.entries(fields).map(([name, value]) => `${name}=${oneLine(value ?? 'None')}\n`);
  return lines.sort().join('');
}

/** Reads the file. Unknown fields are ignored, absent ones are not set. Throws CorruptError that names the field. */
export function parseBackupInfo(text: string): BackupInfo {
  const values = linesOf(text);
  const read = <T>(name: string, convert: (value: string) => T): T | undefined => {
    const value = values.get(name);
    if (value === undefined || value === 'None') return undefined;
    try {
      return convert(value);
    } catch (error) {
      throw new CorruptError(`backup.info field ${name}: ${messageOf(error)}: ${excerpt(value)}`, { cause: error });
    }
  };
  return {
    backupLabel: read('backup_label', (value) => asString(parsePythonLiteral(value))),
    backupName: read('backup_name', String),
    beginOffset: read('begin_offset', asInteger),
    beginTime: read('begin_time', asTime),
    beginWal: read('begin_wal', String),
    beginXlog: read('begin_xlog', String),
    childrenBackupIds: read('children_backup_ids', (value) => value.split(',').map((id) => id.trim())),
    clusterSize: read('cluster_size', asInteger),
    compression: read('compression', String),
    configFile: read('config_file', String),
    copyStats: read('copy_stats', parsePythonLiteral),
    dataChecksums: read('data_checksums', String),
    deduplicatedSize: read('deduplicated_size', asInteger),
    encryption: read('encryption', String),
    endOffset: read('end_offset', asInteger),
    endTime: read('end_time', asTime),
    endWal: read('end_wal', String),
    endXlog: read('end_xlog', String),
    error: read('error', String),
    hbaFile: read('hba_file', String),
    identFile: read('ident_file', String),
    includedFiles: read('included_files', (value) => asList(parsePythonLiteral(value)).map(asString)),
    mode: read('mode', String),
    parentBackupId: read('parent_backup_id', String),
    pgdata: read('pgdata', String),
    serverName: read('server_name', String),
    size: read('size', asInteger),
    snapshotsInfo: read('snapshots_info', parsePythonLiteral),
    status: read('status', asStatus) ?? 'EMPTY',
    summarizeWal: read('summarize_wal', String),
    systemId: read('systemid', String),
    tablespaces: read('tablespaces', (value) => asList(parsePythonLiteral(value)).map(asTablespace)),
    timeline: read('timeline', asInteger),
    version: read('version', asInteger),
    xlogSegmentSize: read('xlog_segment_size', asInteger),
  };
}

/** A backup of which nothing is known yet. */
export function emptyBackupInfo(): BackupInfo {
  return parseBackupInfo('');
}

function literalOf(value: PythonValue | undefined): string | undefined {
  return value === undefined ? undefined : formatPythonLiteral(value);
}

function timeOf(micros: Micros | undefined): string | undefined {
  return micros === undefined ? undefined : formatTimestamp(micros);
}

function oneLine(value: string): string {
  return value.replaceAll(/[\r\n]+/g, ' ');
}

function linesOf(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    if (equals < 0) throw new CorruptError(`backup.info line ${index + 1} has no "=": ${excerpt(trimmed)}`);
    values.set(trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim());
  }
  return values;
}

function asInteger(value: string): number {
  if (!/^[+-]?\d+$/.test(value)) throw new CorruptError('not a decimal number');
  return Number(value);
}

function asTime(value: string): Micros {
  const micros = parseTimestamp(value);
  if (micros === undefined) throw new CorruptError('not a time');
  return micros;
}

function asString(value: PythonValue): string {
  if (typeof value !== 'string') throw new CorruptError('not a string');
  return value;
}

function asList(value: PythonValue | undefined): PythonValue[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'object' && value !== null && 'tuple' in value) return value.tuple;
  throw new CorruptError('not a list');
}

function asTablespace(value: PythonValue): Tablespace {
  const [name, oid, location] = asList(value);
  if (typeof name !== 'string' || typeof oid !== 'number' || typeof location !== 'string') {
    throw new CorruptError('not a list of (name, oid, location)');
  }
  return { name, oid, location };
}

function asStatus(value: string): BackupStatus {
  const known: BackupStatus[] = ['EMPTY', 'STARTED', 'WAITING_FOR_WALS', 'SYNCING', 'DONE', 'FAILED'];
  const status = known.find((candidate) => candidate === value);
  if (status === undefined) throw new CorruptError(`not one of ${known.join(', ')}`);
  return status;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 77)}…`);
}

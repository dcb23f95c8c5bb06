// A Backup or ScheduledBackup as somebody wrote it, made well-typed: what is of a wrong type is left out.
import { childOf, isFields } from '../schema.ts';

export type BackupDraft = {
  namespace: string;
  cluster: string;
  /** As the operator's CRD completes it. */
  method: string;
  /** Undefined without `pluginConfiguration`, empty without a name in it. */
  plugin: string | undefined;
  parameters: Record<string, unknown>;
  hasOnline: boolean;
  hasOnlineConfiguration: boolean;
  schedule: string;
};

/** The operator's own archiver, and its CRD's default. */
export const IN_TREE_METHOD = 'barmanObjectStore';

/** Reads any JSON value; never throws. */
export function readBackupDraft(document: unknown): BackupDraft {
  const spec = childOf(document, 'spec');
  const configuration = childOf(spec, 'pluginConfiguration');
  const parameters = childOf(configuration, 'parameters');
  return {
    namespace: textOf(childOf(childOf(document, 'metadata'), 'namespace')),
    cluster: textOf(childOf(childOf(spec, 'cluster'), 'name')),
    method: textOf(childOf(spec, 'method')) || IN_TREE_METHOD,
    plugin: isFields(configuration) ? textOf(configuration.name) : undefined,
    parameters: isFields(parameters) ? parameters : {},
    hasOnline: isWritten(childOf(spec, 'online')),
    hasOnlineConfiguration: isWritten(childOf(spec, 'onlineConfiguration')),
    schedule: textOf(childOf(spec, 'schedule')),
  };
}

function textOf(written: unknown): string {
  return typeof written === 'string' ? written : '';
}

function isWritten(written: unknown): boolean {
  return written !== undefined && written !== null;
}

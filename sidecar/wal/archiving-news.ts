// Tells on the Cluster that archiving fails, since when and why, and that it goes on again.
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Events } from '../telemetry/events.ts';

export type ArchivingNews = {
  /** A request to archive failed. */
  failed(cluster: Cluster, error: unknown): void;
  /** One was answered well. */
  succeeded(cluster: Cluster): void;
};

/** Makes the teller. PostgreSQL asks for a file until it is archived, so one success says that the trouble is over. */
export function createArchivingNews(events: Events, log: Log, now: () => number = Date.now): ArchivingNews {
  let trouble: { since: string; attempts: number; told: boolean } | undefined;
  return {
    failed(cluster, error) {
      trouble ??= { since: new Date(now()).toISOString().replace(/\.\d+Z$/, 'Z'), attempts: 0, told: false };
      trouble.attempts += 1;
      const message = `archiving has failed since ${trouble.since}: ${messageOf(error)}`;
      trouble.told = events.warn(cluster, 'ArchivingFailed', message) || trouble.told;
    },
    succeeded(cluster) {
      if (trouble === undefined) return;
      const { since, attempts, told } = trouble;
      trouble = undefined;
      const message = `archiving goes on again; it had failed since ${since}, ${attempts} times`;
      log.info({ since, attempts }, message);
      // Good news about something that nobody has heard of is noise.
      if (told) events.inform(cluster, 'ArchivingResumed', message);
    },
  };
}

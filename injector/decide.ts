// Inject or skip, and why: the only place that decides it, for both doors.
import type { Cluster, Job, Pod } from '../api/kube.ts';
import { LABEL_JOB_ROLE_SUFFIX, PLUGIN_NAME, POSTGRES_CONTAINER, RECOVERY_JOB_ROLES } from '../api/names.ts';
import { archiveStanza, externalStanza } from '../api/parameters.ts';

export type Workload = Pod | Job;

/** What the sidecar is for: the first argument of our entry point. */
export type Mode = 'instance' | 'restore';

export type SkipCode =
  | 'pooler-or-other-pod'
  | 'pod-of-a-job'
  | 'plugin-not-enabled'
  | 'recovery-not-by-plugin'
  | 'job-without-role'
  | 'job-of-another-role';

export type Decision =
  | { inject: true; mode: Mode; mainContainer: string; code: 'instance' | 'recovery-job'; sentence: string }
  | { inject: false; code: SkipCode; sentence: string };

/** Ends the key of the label that tells instances from poolers, whatever the prefix of a renamed operator. */
const LABEL_POD_ROLE_SUFFIX = '/podRole';

/**
 * Decides about one Pod or Job of a Cluster (objectstore-and-injection.md §4.1, §5):
 *
 * | object | plugin in spec.plugins | replica source | recovery source | answer |
 * |---|---|---|---|---|
 * | instance Pod | enabled | any | any | instance, even without parameters: without a socket the manager never starts PostgreSQL (cnpg-i-contract.md §5.1) |
 * | instance Pod | no or disabled | ours | any | instance |
 * | instance Pod | no or disabled | no | any | skip |
 * | recovery Job | any | any | ours | restore |
 * | recovery Job | any | any | no | skip |
 * | any other Pod or Job | any | any | any | skip |
 */
export function decide(object: Workload, cluster: Cluster): Decision {
  return isJob(object) ? decideJob(object, cluster) : decidePod(object, cluster);
}

/** Tells a Job from a Pod, whose spec may hold anything that we do not know. */
export function isJob(object: Workload): object is Job {
  return object.kind === 'Job';
}

function decidePod(pod: Pod, cluster: Cluster): Decision {
  const labels = pod.metadata?.labels;
  const jobRole = labelEndingIn(LABEL_JOB_ROLE_SUFFIX, labels);
  if (jobRole !== undefined) {
    return skip('pod-of-a-job', `Pods of ${jobRole} Jobs get what the Job's template has`);
  }
  const podRole = labelEndingIn(LABEL_POD_ROLE_SUFFIX, labels);
  if (podRole !== undefined && podRole !== 'instance') {
    return skip('pooler-or-other-pod', `Pods of role ${podRole} do not run PostgreSQL`);
  }
  if (archiveStanza(cluster) !== undefined) {
    return instance(`${PLUGIN_NAME} is enabled in spec.plugins of Cluster ${cluster.metadata.name}`);
  }
  if (externalStanza(cluster, cluster.spec.replica?.source) !== undefined) {
    return instance(`Cluster ${cluster.metadata.name} replicates from a source of ${PLUGIN_NAME}`);
  }
  return skip(
    'plugin-not-enabled',
    `Cluster ${cluster.metadata.name} neither enables ${PLUGIN_NAME} nor replicates by it`,
  );
}

function decideJob(job: Job, cluster: Cluster): Decision {
  const role = labelEndingIn(LABEL_JOB_ROLE_SUFFIX, job.spec.template.metadata?.labels);
  if (role === undefined) {
    return skip('job-without-role', `the Job's template has no label ending in ${LABEL_JOB_ROLE_SUFFIX}`);
  }
  if (!RECOVERY_JOB_ROLES.includes(role)) {
    return skip('job-of-another-role', `Jobs of role ${role} do not restore from an object store`);
  }
  if (externalStanza(cluster, cluster.spec.bootstrap?.recovery?.source) === undefined) {
    return skip(
      'recovery-not-by-plugin',
      `Cluster ${cluster.metadata.name} does not recover from a source of ${PLUGIN_NAME}`,
    );
  }
  return {
    inject: true,
    mode: 'restore',
    mainContainer: role,
    code: 'recovery-job',
    sentence: `Cluster ${cluster.metadata.name} recovers from a source of ${PLUGIN_NAME}`,
  };
}

/** The value of the label with such a key; the alphabetically first key when there are several. */
function labelEndingIn(suffix: string, labels: Record<string, string> | undefined): string | undefined {
  const key = Object.keys(labels ?? {})
    .filter((name) => name.endsWith(suffix))
    .sort()[0];
  return key === undefined ? undefined : labels?.[key];
}

function instance(sentence: string): Decision {
  return { inject: true, mode: 'instance', mainContainer: POSTGRES_CONTAINER, code: 'instance', sentence };
}

function skip(code: SkipCode, sentence: string): Decision {
  return { inject: false, code, sentence };
}

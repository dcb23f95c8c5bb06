// The webhook configurations that send the API server to the admission door of a replica. Here it is reached by URL; in a
// cluster, through its Service.
import type { DoorTls, Replica } from './replica.ts';

type Rule = { apiGroups: string[]; apiVersions: string[]; resources: string[]; operations: string[] };

const STORES: Rule = rule('barmancloud.cnpg.io', 'objectstores', ['CREATE', 'UPDATE']);
const STORES_TO_THE_END: Rule = rule('barmancloud.cnpg.io', 'objectstores', ['CREATE', 'UPDATE', 'DELETE']);
const CLUSTERS: Rule = rule('postgresql.cnpg.io', 'clusters', ['CREATE', 'UPDATE']);
const BACKUPS: Rule = rule('postgresql.cnpg.io', 'backups', ['CREATE', 'UPDATE']);
const SCHEDULES: Rule = rule('postgresql.cnpg.io', 'scheduledbackups', ['CREATE', 'UPDATE']);
const PODS: Rule = rule('', 'pods', ['CREATE']);
const JOBS: Rule = rule('batch', 'jobs', ['CREATE']);

/** What the objects of CloudNativePG carry (objectstore-and-injection.md §6.3). */
const INSTANCES = { matchExpressions: [anyOf('cnpg.io/podRole', 'instance'), exists('cnpg.io/cluster')] };
const RECOVERIES = {
  matchExpressions: [anyOf('cnpg.io/jobRole', 'full-recovery', 'snapshot-recovery'), exists('cnpg.io/cluster')],
};

function exists(key: string) {
  return { key, operator: 'Exists' };
}

type Options = {
  name?: string;
  failurePolicy?: 'Fail' | 'Ignore';
  /** Only what this user writes is asked about. */
  onlyUser?: string;
};

/** The two configurations, to apply; `failurePolicy` is that of the validating doors. */
export async function admissionConfigurations(
  replica: Replica,
  tls: DoorTls,
  { name = 'cellar', failurePolicy = 'Fail', onlyUser }: Options = {},
): Promise<object[]> {
  const { url } = await replica.said('admission webhook listens');
  const hook = (name: string, path: string, rules: Rule[], more: object = {}) => ({
    ...{ name, rules, sideEffects: 'None', admissionReviewVersions: ['v1'], timeoutSeconds: 5, failurePolicy },
    ...{
      matchPolicy: 'Equivalent',
      clientConfig: { url: `${url}${path}`, caBundle: Buffer.from(tls.server.cert).toString('base64') },
    },
    ...(onlyUser === undefined
      ? {}
      : { matchConditions: [{ name: 'user', expression: `request.userInfo.username == '${onlyUser}'` }] }),
    ...more,
  });
  const injecting = { failurePolicy: 'Ignore', reinvocationPolicy: 'IfNeeded' };
  const configuration = (kind: string, webhooks: object[]) => ({
    ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name }, webhooks },
  });
  return [
    configuration('ValidatingWebhookConfiguration', [
      hook('objectstores.cellar.test', '/validate/objectstores', [STORES_TO_THE_END]),
      hook('clusters.cellar.test', '/validate/clusters', [CLUSTERS]),
      hook('backups.cellar.test', '/validate/backups', [BACKUPS]),
      hook('scheduledbackups.cellar.test', '/validate/scheduledbackups', [SCHEDULES]),
    ]),
    configuration('MutatingWebhookConfiguration', [
      hook('judge.cellar.test', '/judge/objectstores', [STORES]),
      hook('pods.cellar.test', '/mutate/pods', [PODS], { ...injecting, objectSelector: INSTANCES }),
      hook('jobs.cellar.test', '/mutate/jobs', [JOBS], { ...injecting, objectSelector: RECOVERIES }),
    ]),
  ];
}

function rule(group: string, resource: string, operations: string[]): Rule {
  return { apiGroups: [group], apiVersions: ['v1'], resources: [resource], operations };
}

function anyOf(key: string, ...values: string[]) {
  return { key, operator: 'In', values };
}

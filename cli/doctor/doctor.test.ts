import assert from 'node:assert/strict';
import { test } from 'node:test';
import { issue, makeAuthority } from '../../api/wire/certificates.ts';
import { diagnose, isHealthy, renderDiagnosis } from './doctor.ts';
import type { Facts } from './facts.ts';

const PLUGIN = 'barman-cloud.cloudnative-pg.io';
const DAY_MS = 24 * 3600_000;
const NOW = Date.now();

const base64 = (text: string) => Buffer.from(text).toString('base64');
const certificate = await issueFor(90 * DAY_MS);

test('a whole installation with one Cluster is healthy', () => {
  const diagnosis = diagnose(healthy(), NOW);
  assert.deepEqual(problemsOf(diagnosis), []);
  assert.ok(isHealthy(diagnosis));
  assert.deepEqual(
    diagnosis.clusters.map(({ cluster, ready }) => [cluster, ready]),
    [['prod/app', true]],
  );
});

test('Clusters that have nothing to do with Barman are not told', () => {
  const facts = healthy();
  itemsOf(facts.clusters).push({ metadata: { namespace: 'prod', name: 'plain' }, spec: {} });
  assert.equal(diagnose(facts, NOW).clusters.length, 1);
});

const CASES: { name: string; break: (facts: Facts) => void; says: RegExp }[] = [
  {
    name: 'Kubernetes below 1.29',
    break: (f) => {
      f.kubernetesVersion = 'v1.28.3';
    },
    says: /Kubernetes: is v1\.28\.3/,
  },
  {
    name: 'an operator below 1.26',
    break: (f) => {
      at(f.deployments, 0).spec.template.spec.containers = [{ image: 'ghcr.io/cloudnative-pg/cloudnative-pg:1.25.1' }];
    },
    says: /operator: is 1\.25\.1/,
  },
  {
    name: 'no plugin Service',
    break: (f) => {
      f.services = { items: [] };
    },
    says: /no Service carries the label/,
  },
  {
    name: 'two plugin Services',
    break: (f) => {
      itemsOf(f.services).push(structuredClone(at(f.services, 0)));
    },
    says: /there are 2: cnpg-system\/barman-cloud and/,
  },
  {
    name: 'a Service without its port annotation',
    break: (f) => {
      delete at(f.services, 0).metadata.annotations?.['cnpg.io/pluginPort'];
    },
    says: /has no annotation cnpg\.io\/pluginPort/,
  },
  {
    name: 'a Service outside of the operator’s namespace',
    break: (f) => {
      at(f.services, 0).metadata.namespace = 'elsewhere';
    },
    says: /is not in the operator's namespace \(cnpg-system\)/,
  },
  {
    name: 'a Service that selects nothing',
    break: (f) => {
      at(f.services, 0).spec.selector = { app: 'other' };
    },
    says: /selects the Pods of no Deployment/,
  },
  {
    name: 'a plugin without a ready replica',
    break: (f) => {
      delete at(f.deployments, 1).status;
    },
    says: /no replica is ready/,
  },
  {
    name: 'a missing TLS Secret',
    break: (f) => {
      itemsOf(f.secrets).splice(1, 1);
    },
    says: /barman-cloud-server-tls: does not exist/,
  },
  {
    name: 'a TLS Secret without a certificate',
    break: (f) => {
      at(f.secrets, 1).data = { 'tls.crt': base64('nonsense') };
    },
    says: /its tls\.crt is no certificate/,
  },
  {
    name: 'no ObjectStore definition',
    break: (f) => {
      f.definitions = { items: [] };
    },
    says: /definition: is not installed/,
  },
  {
    name: 'a webhook that trusts nobody',
    break: (f) => {
      f.webhooks = {
        items: [
          {
            metadata: { name: 'cellar' },
            webhooks: [{ name: 'stores', clientConfig: {}, rules: [{ apiGroups: ['barmancloud.cnpg.io'] }] }],
          },
        ],
      };
    },
    says: /has no caBundle for stores/,
  },
  {
    name: 'a missing ObjectStore',
    break: (f) => {
      f.stores = { items: [] };
    },
    says: /ObjectStore prod\/backups: does not exist/,
  },
  {
    name: 'a missing Secret',
    break: (f) => {
      itemsOf(f.secrets).pop();
    },
    says: /accessKeyId names the Secret keys, which does not exist/,
  },
  {
    name: 'a missing key of a Secret',
    break: (f) => {
      delete at(f.secrets, 2).data?.id;
    },
    says: /accessKeyId names the key id of the Secret keys/,
  },
  {
    name: 'two Clusters in one place, in two namespaces',
    break: (f) => {
      const cluster = at(f.clusters, 0);
      const store = at(f.stores, 0);
      itemsOf(f.clusters).push({ ...structuredClone(cluster), metadata: { namespace: 'test', name: 'app' } });
      const other = structuredClone(store);
      Object.assign(other.metadata ?? {}, { namespace: 'test' });
      other.spec.configuration.destinationPath = 's3://bucket/pg/';
      itemsOf(f.stores).push(other);
    },
    says: /serverName: the Cluster test\/app archives to the same place, s3:\/\/bucket\/pg\/app/,
  },
  {
    name: 'the operator’s own archiver beside the plugin',
    break: (f) => {
      at(f.clusters, 0).spec.backup = { barmanObjectStore: {} };
    },
    says: /barmanObjectStore: stands beside the plugin/,
  },
  {
    name: 'a schedule with the old method',
    break: (f) => {
      f.scheduledBackups = {
        items: [{ metadata: { namespace: 'prod', name: 'daily' }, spec: { cluster: { name: 'app' } } }],
      };
    },
    says: /ScheduledBackup daily: has the method barmanObjectStore/,
  },
  {
    name: 'archiving that fails',
    break: (f) => {
      statusOf(f).conditions = [{ type: 'ContinuousArchiving', status: 'False', message: 'no such bucket' }];
    },
    says: /WAL archiving: fails: no such bucket/,
  },
  {
    name: 'a plugin that the operator has not loaded',
    break: (f) => {
      statusOf(f).pluginStatus = [];
    },
    says: /the operator has not loaded it/,
  },
];

for (const { name, break: spoil, says } of CASES) {
  test(`${name}: a problem`, () => {
    const facts = healthy();
    spoil(facts);
    const diagnosis = diagnose(facts, NOW);
    assert.match(problemsOf(diagnosis).join('\n'), says);
    assert.ok(!isHealthy(diagnosis));
    assert.match(renderDiagnosis(diagnosis), says);
  });
}

test('certificates: expired is a problem, short of a week a warning', () => {
  const later = diagnose(healthy(), NOW + 91 * DAY_MS);
  assert.match(problemsOf(later).join('\n'), /its certificate expired on/);
  const soon = diagnose(healthy(), NOW + 85 * DAY_MS);
  assert.deepEqual(problemsOf(soon), []);
  assert.match(
    renderDiagnosis(soon),
    /warning +Secret cnpg-system\/barman-cloud-client-tls: its certificate expires on/,
  );
});

test('what the caller may not read is unknown, not well and not a problem', () => {
  const facts = healthy();
  facts.secrets = { unknown: 'your account may not read them' };
  const diagnosis = diagnose(facts, NOW);
  assert.deepEqual(problemsOf(diagnosis), []);
  assert.match(renderDiagnosis(diagnosis), /unknown +Secrets: cannot be read: your account may not read them/);
});

test('an empty serverName is told before a switch back to the Go plugin', () => {
  const facts = healthy();
  at(facts.stores, 0).spec.configuration.serverName = '';
  assert.match(
    renderDiagnosis(diagnose(facts, NOW)),
    /warning +ObjectStore definition: serverName is "" in prod\/backups/,
  );
});

test('with the identity of the Pod no Secret of the store is asked for', () => {
  const facts = healthy();
  itemsOf(facts.secrets).pop();
  at(facts.stores, 0).spec.configuration.s3Credentials = { inheritFromIAMRole: true };
  assert.doesNotMatch(problemsOf(diagnose(facts, NOW)).join('\n'), /names the Secret/);
});

test('a store that does not answer from here is unknown: the Pods may reach it', () => {
  const facts = healthy();
  facts.looks.set('prod/backups', { reachable: false, reason: 'getaddrinfo ENOTFOUND minio.store.svc' });
  const diagnosis = diagnose(facts, NOW);
  assert.ok(isHealthy(diagnosis));
  assert.match(
    renderDiagnosis(diagnosis),
    /unknown +ObjectStore prod\/backups: did not answer from here: getaddrinfo ENOTFOUND/,
  );
});

function problemsOf({ installation, clusters }: ReturnType<typeof diagnose>): string[] {
  return [...installation, ...clusters.flatMap(({ findings }) => findings)]
    .filter(({ level }) => level === 'problem')
    .map(({ about, text }) => `${about}: ${text}`);
}

function itemsOf<T>(known: { items: T[] } | { unknown: string }): T[] {
  assert.ok('items' in known);
  return known.items;
}

function at<T>(known: { items: T[] } | { unknown: string }, index: number): T {
  const item = itemsOf(known)[index];
  assert.ok(item !== undefined);
  return item;
}

function statusOf(facts: Facts) {
  const { status } = at(facts.clusters, 0);
  assert.ok(status !== undefined);
  return status;
}

async function issueFor(validMs: number): Promise<string> {
  const authority = await makeAuthority({ commonName: 'test', validMs: validMs });
  const { cert } = await issue(authority, {
    commonName: 'barman-cloud',
    dnsNames: ['barman-cloud'],
    ipAddresses: [],
    usages: ['server'],
    validMs,
  });
  return base64(cert);
}

function healthy(): Facts {
  const labels = { app: 'barman-cloud' };
  const deployment = (name: string, image: string) => ({
    metadata: { namespace: 'cnpg-system', name },
    spec: {
      template: { metadata: { labels: name === 'barman-cloud' ? labels : {} }, spec: { containers: [{ image }] } },
    },
    status: { readyReplicas: 1 },
  });
  const annotations = {
    'cnpg.io/pluginClientSecret': 'barman-cloud-client-tls',
    'cnpg.io/pluginServerSecret': 'barman-cloud-server-tls',
    'cnpg.io/pluginPort': '9090',
  };
  const secret = (namespace: string, name: string, data: Record<string, string>) => ({
    metadata: { namespace, name },
    data,
  });
  return {
    kubernetesVersion: 'v1.34.4',
    clusters: {
      items: [
        {
          metadata: { namespace: 'prod', name: 'app' },
          spec: { plugins: [{ name: PLUGIN, isWALArchiver: true, parameters: { barmanObjectName: 'backups' } }] },
          status: {
            currentPrimary: 'app-1',
            conditions: [{ type: 'ContinuousArchiving', status: 'True' }],
            pluginStatus: [{ name: PLUGIN, version: '0.14.0' }],
          },
        },
      ],
    },
    stores: {
      items: [
        {
          metadata: { namespace: 'prod', name: 'backups' },
          spec: {
            configuration: {
              destinationPath: 's3://bucket/pg',
              s3Credentials: {
                accessKeyId: { name: 'keys', key: 'id' },
                secretAccessKey: { name: 'keys', key: 'secret' },
              },
            },
            retentionPolicy: '30d',
          },
        },
      ],
    } as Facts['stores'],
    scheduledBackups: { items: [] },
    deployments: {
      items: [
        deployment('cnpg-controller-manager', 'ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0'),
        deployment('barman-cloud', 'cellar:0.1.0'),
      ],
    },
    services: {
      items: [
        { metadata: { namespace: 'cnpg-system', name: 'barman-cloud', annotations }, spec: { selector: labels } },
      ],
    },
    secrets: {
      items: [
        secret('cnpg-system', 'barman-cloud-client-tls', { 'tls.crt': certificate }),
        secret('cnpg-system', 'barman-cloud-server-tls', { 'tls.crt': certificate }),
        secret('prod', 'keys', { id: base64('id'), secret: base64('secret') }),
      ],
    },
    definitions: { items: [{ metadata: { name: 'objectstores.barmancloud.cnpg.io' }, spec: { versions: [] } }] },
    webhooks: { items: [] },
    looks: new Map(),
  };
}

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { PreconditionError } from '../errors.ts';
import { openKeeper } from './certificate-keeper.ts';
import { certificatesIn, endOf } from './certificate-plan.ts';
import type { CertificatePort, SecretObject, WebhookConfigurationObject } from './certificate-secrets.ts';
import { makeSelfSigned } from './certificates.ts';
import { silentLog } from './log.ts';

const DAY_MS = 24 * 3_600_000;
const LIVES = { durationMs: 90 * DAY_MS, renewBeforeMs: 15 * DAY_MS };
const START = Date.UTC(2026, 10, 25);
const CONFIGURATION = 'cellar';
/** Odd, so that two replicas take turns. */
const STEP_DAYS = 5;

const KEPT = [
  {
    use: 'webhook' as const,
    secret: 'cellar-webhook-tls',
    usage: 'server' as const,
    commonName: 'cellar-webhook.ns.svc',
    dnsNames: ['cellar-webhook.ns.svc'],
  },
  {
    use: 'server' as const,
    secret: 'barman-cloud-server-tls',
    usage: 'server' as const,
    commonName: 'barman-cloud',
    dnsNames: ['barman-cloud'],
  },
  {
    use: 'client' as const,
    secret: 'barman-cloud-client-tls',
    usage: 'client' as const,
    commonName: 'barman-cloud-client',
    dnsNames: [],
  },
];

test('makes an authority and three certificates, and makes known whom to trust', async () => {
  const store = fakeStore();
  const { current } = await open(store);
  const { pairs, bundle } = current();
  const [authority = ''] = certificatesIn(bundle);
  for (const { use, dnsNames } of KEPT) {
    const certificate = new X509Certificate(pairs[use]?.cert ?? '');
    assert.ok(certificate.verify(new X509Certificate(authority).publicKey));
    for (const name of dnsNames) assert.equal(certificate.checkHost(name), name);
  }
  assert.equal(store.caBundle('ValidatingWebhookConfiguration'), bundle);
  assert.equal(store.caBundle('MutatingWebhookConfiguration'), bundle);
  const { type, data = {} } = store.secrets.get('barman-cloud-server-tls') ?? assert.fail();
  assert.equal(type, 'kubernetes.io/tls');
  assert.equal(text(data['tls.crt']), `${pairs.server?.cert}${bundle}`, 'the operator trusts what is in tls.crt');
  assert.equal(text(data['tls.key']), pairs.server?.key);
});

test('what is there is used, and nothing is written', async () => {
  const store = fakeStore();
  const first = await open(store);
  const written = store.writes;
  assert.deepEqual((await open(store)).current(), first.current());
  assert.equal(store.writes, written);
});

test('replicas that start at the same instant agree on what was stored first', async () => {
  const store = fakeStore();
  const keepers = await Promise.all([open(store), open(store), open(store)]);
  const [first, ...others] = keepers.map(({ current }) => current());
  for (const other of others) assert.deepEqual(other, first);
  assert.equal(certificatesIn(first?.bundle ?? '').length, 1);
});

test('in two years no certificate comes near its end, and each is trusted by whoever looked one step before', async () => {
  const store = fakeStore();
  let now = START;
  const keepers = [await open(store, () => now), await open(store, () => now)];
  const authorities = new Set<string>();
  const servers = new Set<string>();
  let trustedBefore = store.caBundle('ValidatingWebhookConfiguration');
  for (let day = 1; day <= 730; day += STEP_DAYS) {
    now = START + day * DAY_MS;
    await keepers[day % 2]?.look();
    const { pairs, bundle } = keepers[day % 2]?.current() ?? assert.fail();
    for (const { use } of KEPT) {
      const cert = pairs[use]?.cert ?? '';
      assert.ok(endOf(cert) - now >= LIVES.renewBeforeMs, `day ${day}`);
      const leaf = new X509Certificate(cert);
      const anchors = certificatesIn(trustedBefore).filter((pem) => endOf(pem) > now);
      assert.ok(
        anchors.some((pem) => leaf.verify(new X509Certificate(pem).publicKey)),
        `day ${day}`,
      );
    }
    trustedBefore = store.caBundle('ValidatingWebhookConfiguration');
    assert.equal(trustedBefore, bundle);
    servers.add(pairs.server?.cert ?? '');
    for (const pem of certificatesIn(bundle)) authorities.add(pem);
  }
  assert.ok(servers.size >= 10 && servers.size <= 14, `${servers.size} certificates`);
  assert.ok(authorities.size >= 5 && authorities.size <= 7, `${authorities.size} authorities`);
});

test('changes are told once, and a replica takes over what another has written', async () => {
  const store = fakeStore();
  let now = START;
  const a = await open(store, () => now);
  const b = await open(store, () => now);
  const told: string[] = [];
  b.onChange(({ pairs }) => told.push(pairs.server?.cert ?? ''));
  now += 80 * DAY_MS;
  await a.look();
  await b.look();
  await b.look();
  assert.deepEqual(told, [a.current().pairs.server?.cert]);
});

test('a caBundle that somebody has taken away comes back; a configuration that is not there is no error', async () => {
  const store = fakeStore();
  const keeper = await open(store);
  store.configurations.set('ValidatingWebhookConfiguration', configuration());
  store.configurations.delete('MutatingWebhookConfiguration');
  await keeper.look();
  assert.equal(store.caBundle('ValidatingWebhookConfiguration'), keeper.current().bundle);
  const [webhook] = store.configurations.get('ValidatingWebhookConfiguration')?.webhooks ?? [];
  assert.deepEqual(
    { ...webhook, clientConfig: { ...webhook?.clientConfig, caBundle: '' } },
    configuration().webhooks?.[0],
  );
});

test("a Secret that cert-manager has left is taken over, with its type and without cert-manager's notes", async () => {
  const store = fakeStore();
  const foreign = await makeSelfSigned({
    commonName: 'x',
    dnsNames: ['barman-cloud'],
    usages: ['server'],
    validMs: DAY_MS,
  });
  store.secrets.set('barman-cloud-server-tls', {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      ...{ namespace: 'ns', name: 'barman-cloud-server-tls', resourceVersion: '1', labels: { team: 'db' } },
      annotations: { 'cert-manager.io/certificate-name': 'barman-cloud-server' },
    },
    data: { 'tls.crt': base64(foreign.cert), 'tls.key': base64(foreign.key) },
  });
  const { current } = await open(store);
  const { type, metadata } = store.secrets.get('barman-cloud-server-tls') ?? assert.fail();
  assert.notEqual(current().pairs.server?.cert, foreign.cert);
  assert.equal(type, 'Opaque');
  assert.equal(metadata.annotations, undefined);
  assert.deepEqual(metadata.labels, { team: 'db', 'app.kubernetes.io/managed-by': 'cellar' });
});

test('when the API server refuses, the first start says so, and a later look leaves what was there in use', async () => {
  const store = fakeStore();
  const forbidden = new PreconditionError('Secret ns/cellar-ca: forbidden');
  await assert.rejects(open({ ...store, port: { ...store.port, secret: () => Promise.reject(forbidden) } }), forbidden);
  let down = false;
  const port: CertificatePort = {
    ...store.port,
    secret: (...place) => (down ? Promise.reject(forbidden) : store.port.secret(...place)),
  };
  const keeper = await open({ ...store, port });
  const before = keeper.current();
  down = true;
  await assert.rejects(keeper.look(), forbidden);
  assert.equal(keeper.current(), before);
});

test('a Secret that somebody else writes all the time is an error that says so', async () => {
  const store = fakeStore();
  const losing: CertificatePort = { ...store.port, createSecret: async () => false };
  await assert.rejects(open({ ...store, port: losing }), /Secret ns\/cellar-ca changes all the time/);
});

function open({ port }: Pick<ReturnType<typeof fakeStore>, 'port'>, now = () => START) {
  return openKeeper({
    ...{ port, now, namespace: 'ns', authoritySecret: 'cellar-ca', kept: KEPT, lives: LIVES, log: silentLog() },
    configurations: { ValidatingWebhookConfiguration: CONFIGURATION, MutatingWebhookConfiguration: CONFIGURATION },
  });
}

function configuration(): WebhookConfigurationObject {
  const webhook = { name: 'objectstores.cellar', clientConfig: { caBundle: '' }, sideEffects: 'None' };
  return {
    metadata: { name: CONFIGURATION, resourceVersion: '1' },
    webhooks: [webhook, { ...webhook, name: 'clusters.cellar' }],
  };
}

/** Secrets and configurations with resource versions, as the API server keeps them. */
function fakeStore() {
  const secrets = new Map<string, SecretObject>();
  const configurations = new Map<string, WebhookConfigurationObject>([
    ['ValidatingWebhookConfiguration', configuration()],
    ['MutatingWebhookConfiguration', configuration()],
  ]);
  let version = 1;
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const put = <T extends { metadata: object }>(map: Map<string, T>, key: string, object: T): void => {
    version += 1;
    store.writes += 1;
    map.set(key, structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }));
  };
  const port: CertificatePort = {
    async secret(_namespace, name) {
      await turn();
      return structuredClone(secrets.get(name));
    },
    async createSecret(secret) {
      await turn();
      if (secrets.has(secret.metadata.name)) return false;
      put(secrets, secret.metadata.name, secret);
      return true;
    },
    async replaceSecret(secret) {
      await turn();
      const { name, resourceVersion } = secret.metadata;
      if (secrets.get(name)?.metadata.resourceVersion !== resourceVersion) return false;
      put(secrets, name, secret);
      return true;
    },
    async configuration(kind) {
      await turn();
      return structuredClone(configurations.get(kind));
    },
    async replaceConfiguration(kind, changed) {
      await turn();
      if (configurations.get(kind)?.metadata.resourceVersion !== changed.metadata.resourceVersion) return false;
      put(configurations, kind, changed);
      return true;
    },
  };
  const store = {
    ...{ secrets, configurations, port, writes: 0 },
    /** What all webhooks of a configuration trust. */
    caBundle(kind: string): string {
      const bundles = new Set(configurations.get(kind)?.webhooks?.map(({ clientConfig }) => clientConfig.caBundle));
      assert.equal(bundles.size, 1);
      return text([...bundles][0]);
    },
  };
  return store;
}

function base64(plain: string): string {
  return Buffer.from(plain).toString('base64');
}

function text(encoded: string | undefined): string {
  return Buffer.from(encoded ?? '', 'base64').toString();
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../../api/names.ts';
import { type Deployed, discover, type ServiceDocument, type TlsSecret } from './discovery.ts';
import { makeClientPair, makeServerPair, OPERATOR_NAMESPACE, secretOf, serviceDocument } from './process.ts';

const server = secretOf('server', await makeServerPair());
const client = secretOf('client', await makeClientPair());
const WHOLE: Deployed = { services: [serviceDocument()], secrets: [server, client] };

test("the Service of the Go plugin's manifest is a plugin at its DNS name and the annotated port", () => {
  const { plugins, events } = discover(WHOLE, OPERATOR_NAMESPACE);
  const plugin = plugins.get(PLUGIN_NAME);
  assert.equal(plugin?.address, 'barman-cloud.cnpg-system.svc:9090');
  assert.equal(plugin.serverName, 'barman-cloud');
  assert.equal(plugin.serverCertificate, server.data['tls.crt']);
  assert.deepEqual(events, [{ service: 'barman-cloud', reason: 'PluginRegistered' }]);
});

test('another TLS name can be annotated', () => {
  const service = changed({ 'cnpg.io/pluginServerName': 'elsewhere' });
  const { plugins } = discover({ ...WHOLE, services: [service] }, OPERATOR_NAMESPACE);
  assert.equal(plugins.get(PLUGIN_NAME)?.serverName, 'elsewhere');
});

test('a Service of another namespace, without the label or without an annotation is passed over', () => {
  const plain = serviceDocument();
  const { labels: _labels, ...unlabelled } = plain.metadata;
  const services: ServiceDocument[] = [
    { metadata: { ...plain.metadata, namespace: 'default' } },
    { metadata: unlabelled },
    { metadata: { ...plain.metadata, labels: { 'cnpg.io/pluginName': '' } } },
    ...['pluginServerSecret', 'pluginClientSecret', 'pluginPort'].map((key) =>
      changed({ [`cnpg.io/${key}`]: undefined }),
    ),
  ];
  for (const service of services) {
    const { plugins, events } = discover({ ...WHOLE, services: [service] }, OPERATOR_NAMESPACE);
    assert.deepEqual([plugins.size, events], [0, []]);
  }
});

test('a plugin that cannot be used is told by an Event with its reason', () => {
  const reasonOf = (deployed: Partial<Deployed>) =>
    discover({ ...WHOLE, ...deployed }, OPERATOR_NAMESPACE).events.map(({ reason }) => reason);
  const mixed = { ...client, data: { ...client.data, 'tls.key': server.data['tls.key'] ?? '' } };
  const cases: [Partial<Deployed>, string][] = [
    [{ secrets: [client] }, 'ServerSecretNotFound'],
    [{ secrets: [server, { ...client, namespace: 'default' }] }, 'ClientSecretNotFound'],
    [{ services: [changed({ 'cnpg.io/pluginPort': 'grpc' })] }, 'InvalidPortAnnotation'],
    [{ services: [changed({ 'cnpg.io/pluginPort': '0' })] }, 'InvalidPortAnnotation'],
    [{ secrets: [server, mixed] }, 'InvalidClientCertificate'],
    [{ secrets: [emptied(server), client] }, 'InvalidServerCertificate'],
  ];
  for (const [deployed, reason] of cases) assert.deepEqual(reasonOf(deployed), [reason]);
});

function changed(annotations: Record<string, string | undefined>): ServiceDocument {
  const { metadata } = serviceDocument();
  const all = Object.entries({ ...metadata.annotations, ...annotations });
  const left = all.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { metadata: { ...metadata, annotations: Object.fromEntries(left) } };
}

function emptied(secret: TlsSecret): TlsSecret {
  return { ...secret, data: { 'tls.crt': '' } };
}

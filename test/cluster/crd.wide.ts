// Our CRD on a real API server, as kubectl shows it and as the API server enforces it without any webhook.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useApiServer } from './api-server.ts';

const api = await useApiServer();
await api.makeNamespace('shop');
const { kubectl } = api;

const store = (configuration: object, more: object = {}) => ({
  ...{ apiVersion: 'barmancloud.cnpg.io/v1', kind: 'ObjectStore', metadata: { name: 'store', namespace: 'shop' } },
  spec: { configuration, ...more },
});

test('kubectl explain tells every setting, its type and what it is for', async () => {
  const said = await kubectl.does(['explain', 'objectstore.spec.configuration']);
  assert.match(said, /GROUP:\s+barmancloud\.cnpg\.io\nKIND:\s+ObjectStore\nVERSION:\s+v1/);
  for (const field of [
    'destinationPath',
    'endpointURL',
    's3Credentials',
    'azureCredentials',
    'googleCredentials',
    'wal',
    'data',
  ]) {
    assert.match(said, new RegExp(`^  ${field}\\t<`, 'm'), `${field} is explained`);
  }
  assert.match(said, /destinationPath\t<string> -required-\n {4}\S/);
  const compression = await kubectl.does(['explain', 'objectstore.spec.configuration.wal.compression']);
  assert.match(compression, /ENUM:\n {4}bzip2\n {4}gzip\n {4}lz4/);
});

test('the schema refuses what it can say, by itself', async () => {
  const refused: [object, RegExp][] = [
    [store({}), /spec\.configuration\.destinationPath: Required value/],
    [store({ destinationPath: 's3://b/', wal: { compression: 'rar' } }), /wal\.compression: Unsupported value: "rar"/],
    [store({ destinationPath: 's3://b/', serverName: 'x' }), /serverName/],
  ];
  for (const [object, sentence] of refused) {
    const { status, stderr } = await kubectl.tries(['apply', '-f', '-'], JSON.stringify(object));
    assert.equal(status, 1, JSON.stringify(object));
    assert.match(stderr, sentence);
  }
});

test('nothing is defaulted into the spec, so that what is stored is what was applied', async () => {
  const applied = store({ destinationPath: 's3://b/', wal: {}, s3Credentials: { inheritFromIAMRole: true } });
  await kubectl.apply(applied);
  const { spec } = await kubectl.get('objectstore', 'shop', 'store');
  assert.deepEqual(spec.configuration, applied.spec.configuration);
  const { status } = await kubectl.tries(['diff', '-f', '-'], JSON.stringify(applied));
  assert.equal(status, 0, 'kubectl diff sees no difference');
});

test('kubectl get shows where the store is', async () => {
  const said = await kubectl.does(['get', 'objectstores', '-n', 'shop']);
  assert.match(said, /^NAME +DESTINATION +RETENTION +AGE\nstore +s3:\/\/b\//);
});

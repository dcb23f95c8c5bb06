import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOperatorFlags } from './flags.ts';

const TLS = ['--server-cert=/server/tls.crt', '--server-key=/server/tls.key', '--client-cert=/client/tls.crt'];

test("the flags of the Go plugin's deployment are accepted as they are", () => {
  const flags = readOperatorFlags(['--server-address=:9090', ...TLS, '--leader-elect', '--log-level=debug']);
  assert.equal(flags.server.port, 9090);
  const plugin = { serverCert: '/server/tls.crt', serverKey: '/server/tls.key', clientCert: '/client/tls.crt' };
  assert.deepEqual(flags.certificates, { mode: 'files', files: { plugin, webhook: undefined } });
  assert.equal(flags.log['log-level'], 'debug');
  assert.equal(flags.health?.port, 8081);
  assert.equal(flags.webhook, undefined);
  assert.equal(flags.elect, true);
  assert.deepEqual(flags.ignored, []);
});

test('booleans are read with and without a value', () => {
  const ignored = (...args: string[]) => readOperatorFlags([...TLS, ...args]).ignored;
  assert.deepEqual(ignored('--metrics-secure=false', '--enable-http2'), ['--enable-http2']);
  assert.equal(readOperatorFlags([...TLS, '--leader-elect=true']).elect, true);
  assert.equal(readOperatorFlags([...TLS, '--leader-elect=false']).elect, false);
  assert.equal(readOperatorFlags(TLS).elect, false);
  assert.equal(readOperatorFlags([...TLS, '--look-up-secrets']).lookUpSecrets, true);
  assert.equal(readOperatorFlags(TLS).lookUpSecrets, false);
  assert.throws(() => ignored('--leader-elect=maybe'), /--leader-elect: found "maybe": must be true or false/);
});

test('an unknown flag is named, with the ones that are known', () => {
  assert.throws(() => readOperatorFlags([...TLS, '--sever-cert=x']), /Unknown option '--sever-cert'.*--server-cert/);
});

test('a missing certificate file is named', () => {
  assert.throws(() => readOperatorFlags(TLS.slice(0, 2)), /--client-cert: missing: must be the path of a PEM file/);
  assert.throws(() => readOperatorFlags([...TLS, '--webhook-address=:9443']), /--webhook-cert: missing/);
});

test('addresses are HOST:PORT, [HOST]:PORT or :PORT', () => {
  const server = (text: string) => readOperatorFlags([...TLS, `--server-address=${text}`]).server;
  assert.deepEqual(server('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(server('[::1]:9090'), { host: '::1', port: 9090 });
  assert.match(server(':9090').host, /^(::|0\.0\.0\.0)$/);
  for (const text of ['9090', 'host', ':70000', '::1:9090']) {
    assert.throws(() => server(text), /--server-address: .* must be HOST:PORT or :PORT/, text);
  }
});

test('health probes and the delay before the doors close are off with 0', () => {
  assert.equal(readOperatorFlags([...TLS, '--health-probe-bind-address=0']).health, undefined);
  assert.equal(readOperatorFlags([...TLS, '--shutdown-delay=0']).shutdownDelayMs, 0);
  assert.equal(readOperatorFlags(TLS).shutdownDelayMs, 5_000);
});

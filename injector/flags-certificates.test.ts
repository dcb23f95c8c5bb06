import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CertificateValues, readCertificateFlags, readDuration } from './flags-certificates.ts';

const FILES = { certificates: 'files', 'server-cert': '/s.crt', 'server-key': '/s.key', 'client-cert': '/c.crt' };
const SELF_MADE = { certificates: 'self-made' };

test('self-made certificates need no other flag, and have the names of the Go plugin', () => {
  assert.deepEqual(readCertificateFlags(SELF_MADE, true), {
    mode: 'self-made',
    secrets: {
      authority: 'cellar-ca',
      server: 'barman-cloud-server-tls',
      client: 'barman-cloud-client-tls',
      webhook: 'cellar-webhook-tls',
    },
    services: { plugin: 'barman-cloud', webhook: 'cellar-webhook' },
    configurations: { validating: undefined, mutating: undefined },
    durationMs: 90 * 24 * 3_600_000,
    renewBeforeMs: 15 * 24 * 3_600_000,
    namespace: undefined,
  });
});

test('files of the admission door are needed with that door only', () => {
  const { certificates, ...plugin } = FILES;
  assert.equal(certificates, 'files');
  assert.deepEqual(readCertificateFlags(FILES, false), {
    mode: 'files',
    files: {
      plugin: { serverCert: plugin['server-cert'], serverKey: plugin['server-key'], clientCert: plugin['client-cert'] },
      webhook: undefined,
    },
  });
  assert.throws(() => readCertificateFlags(FILES, true), /--webhook-cert: missing: must be the path of a PEM file/);
});

test('flags of the other mode, unknown modes and names that are given twice are refused', () => {
  const cases: [CertificateValues, RegExp][] = [
    [{ certificates: 'acme' }, /--certificates: found "acme": use files or self-made/],
    [{ ...SELF_MADE, 'server-cert': '/x' }, /--server-cert: found "\/x": is for --certificates=files only/],
    [{ ...FILES, 'ca-secret': 'x' }, /--ca-secret: found "x": is for --certificates=self-made only/],
    [{ ...SELF_MADE, 'ca-secret': 'x', 'webhook-secret': 'x' }, /--\*-secret: .* must be four different names/],
    [{ ...SELF_MADE, 'certificate-duration': '20s' }, /--certificate-renew-before: found "360h": must be at most half/],
  ];
  for (const [values, complaint] of cases) assert.throws(() => readCertificateFlags(values, false), complaint);
});

test('durations are read as Go writes them', () => {
  assert.deepEqual(
    ['2160h', '1h30m', '20s'].map((text) => readDuration('x', text)),
    [7_776_000_000, 5_400_000, 20_000],
  );
  for (const text of ['', '20', '1d', '-1h', '1h x', '0s', '1.5h']) {
    assert.throws(() => readDuration('x', text), /--x: .* must be a duration such as 2160h/, text);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchExpiry } from './certificate-expiry.ts';
import type { CertificateSet } from './certificate-source.ts';
import { makeSelfSigned } from './certificates.ts';
import { createLog } from './log.ts';

const DAY_MS = 24 * 3_600_000;
const START = Date.UTC(2026, 10, 25);
const SERVER = await certificate(90);
const CLIENT = await certificate(60);
const WEBHOOK = await certificate(30);

test('every certificate is a gauge of its end', async (t) => {
  const { watch } = watched(t);
  assert.equal(
    watch.metrics(),
    [
      '# HELP cellar_certificate_expiry_timestamp_seconds End of the certificate, Unix seconds.',
      '# TYPE cellar_certificate_expiry_timestamp_seconds gauge',
      `cellar_certificate_expiry_timestamp_seconds{use="server"} ${(START + 90 * DAY_MS) / 1000}`,
      `cellar_certificate_expiry_timestamp_seconds{use="client"} ${(START + 60 * DAY_MS) / 1000}`,
      `cellar_certificate_expiry_timestamp_seconds{use="webhook"} ${(START + 30 * DAY_MS) / 1000}`,
      '',
    ].join('\n'),
  );
});

test('is a problem only when a certificate that we present has really expired', (t) => {
  const clock = watched(t);
  clock.now = START + 30 * DAY_MS - 1;
  assert.equal(clock.watch.problem(), undefined);
  clock.now = START + 30 * DAY_MS;
  assert.equal(clock.watch.problem(), 'the webhook certificate has expired at 2026-12-25T00:00:00.000Z');
  clock.set.webhook = undefined;
  clock.now = START + 60 * DAY_MS;
  assert.equal(clock.watch.problem(), undefined, "the client's certificate is CloudNativePG's to present");
  clock.now = START + 90 * DAY_MS;
  assert.match(clock.watch.problem() ?? '', /^the server certificate/);
});

test('says once that an end is near, and once that it has come', (t) => {
  const clock = watched(t);
  for (const day of [1, 26, 27.5, 28, 29, 31, 32]) {
    clock.now = START + day * DAY_MS;
    clock.watch.problem();
  }
  assert.deepEqual(clock.lines(), [
    ['warning', 'webhook', 'a certificate ends soon and was not renewed'],
    ['error', 'webhook', 'a certificate has expired'],
  ]);
});

function watched(t: { after(end: () => Promise<void>): void }) {
  let output = '';
  const destination = {
    write(line: string) {
      output += line;
    },
  };
  const set: CertificateSet = {
    plugin: { cert: SERVER, key: '', client: CLIENT },
    client: CLIENT,
    webhook: { cert: WEBHOOK, key: '' },
  };
  const time = { now: START };
  const source = { current: () => set, onChange: () => {} };
  const watch = watchExpiry(source, { log: createLog({ level: 'info', destination }), now: () => time.now });
  t.after(() => watch.stop());
  return Object.assign(time, {
    ...{ set, watch },
    lines: () =>
      output
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
        .map(({ level, use, msg }) => [level, use, msg]),
  });
}

async function certificate(days: number): Promise<string> {
  const { cert } = await makeSelfSigned({ commonName: 'x', usages: ['server'], validMs: days * DAY_MS, at: START });
  return cert;
}

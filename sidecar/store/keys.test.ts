import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import { parseDestination, serverKeys } from './keys.ts';

const DESTINATIONS: [provider: 's3' | 'azure' | 'gcs', url: string, bucket: string, prefix: string][] = [
  ['s3', 's3://b/p/q/', 'b', 'p/q/'],
  ['s3', 's3://b', 'b', ''],
  ['s3', 's3://b/', 'b', ''],
  ['s3', 's3://b//p', 'b', 'p'],
  ['s3', 's3://b/p//q', 'b', 'p//q'],
  ['s3', 'S3://Bucket/p?query#fragment', 'Bucket', 'p'],
  ['azure', 'https://a.blob.core.windows.net/c', 'c', ''],
  ['azure', 'https://a.blob.core.windows.net/c/', 'c', ''],
  ['azure', 'https://a.blob.core.windows.net/c//x/', 'c', '/x/'],
  ['azure', 'https://a.blob.core.chinacloudapi.cn/c/x', 'c', 'x'],
  ['azure', 'http://127.0.0.1:10000/devstoreaccount1/c/p/q', 'c', 'p/q'],
  ['gcs', 'gs://b/p/q/', 'b', 'p/q'],
  ['gcs', 'https://console.cloud.google.com/storage/browser/b/p', 'b', 'p'],
];

for (const [provider, url, bucket, prefix] of DESTINATIONS) {
  test(`reads ${url} of ${provider} as bucket ${bucket}, prefix ${JSON.stringify(prefix)}`, () => {
    assert.deepEqual(parseDestination(provider, url), { bucket, prefix });
  });
}

for (const [provider, url] of [
  ['s3', 'https://b/p'],
  ['s3', 's3:/b'],
  ['s3', 's3://'],
  ['azure', 'https://a.blob.core.windows.net'],
  ['azure', 'https://a.blob.core.windows.net/'],
  ['azure', 's3://b/p'],
  ['gcs', 'gs:///p'],
  ['gcs', 'https://storage.googleapis.com/b/p'],
] as const) {
  test(`refuses ${url} for ${provider} and names the field`, () => {
    assert.throws(() => parseDestination(provider, url), {
      name: 'InvalidInputError',
      field: 'spec.configuration.destinationPath',
      found: url,
    });
  });
}

test('spells the example of the layout', () => {
  const { bucket, prefix } = parseDestination('s3', 's3://backups/prod/eu');
  const keys = serverKeys(prefix, 'pg-main');
  assert.equal(bucket, 'backups');
  assert.deepEqual(
    [
      keys.wal(wal('0000000100000004000000A7'), '.gz'),
      keys.wal(wal('00000002.history'), '.gz'),
      keys.backupInfo('20260301T020000'),
      keys.manifest('20260301T020000'),
      keys.data('20260301T020000', 0, '.gz'),
      keys.tablespace('20260301T020000', '16402', 0, '.gz'),
      keys.keepAnnotation('20260301T020000'),
    ],
    [
      'prod/eu/pg-main/wals/0000000100000004/0000000100000004000000A7.gz',
      'prod/eu/pg-main/wals/00000002.history.gz',
      'prod/eu/pg-main/base/20260301T020000/backup.info',
      'prod/eu/pg-main/base/20260301T020000/annotations/cellar.json',
      'prod/eu/pg-main/base/20260301T020000/data.tar.gz',
      'prod/eu/pg-main/base/20260301T020000/16402.tar.gz',
      'prod/eu/pg-main/base/20260301T020000/annotations/keep',
    ],
  );
});

test('counts further parts with four digits', () => {
  const keys = serverKeys('', 's');
  assert.equal(keys.data('I', 1, ''), 's/base/I/data_0001.tar');
  assert.equal(keys.tablespace('I', '16402', 12, '.bz2'), 's/base/I/16402_0012.tar.bz2');
});

test('keeps the case of a WAL name under an upper-case folder', () => {
  const name = wal('0000000100000004000000a7.partial');
  assert.equal(serverKeys('', 's').wal(name, ''), 's/wals/0000000100000004/0000000100000004000000a7.partial');
});

test('takes a prefix with and without trailing slash as one place, without empty elements', () => {
  for (const [with_, without] of [
    ['p/q/', 'p/q'],
    ['/', ''],
  ] as const) {
    const a = serverKeys(with_, 's');
    const b = serverKeys(without, 's');
    assert.equal(a.server, b.server);
    assert.equal(a.backupInfo('I'), b.backupInfo('I'));
    assert.equal(a.walFolder(wal('00000002.history')), b.wals);
    assert.doesNotMatch(a.server, /^\/|\/\//);
  }
});

test('no key of a destination has an empty element, and what barman doubles is known by an answer', () => {
  for (const prefix of ['d3', 'd3/']) {
    const keys = serverKeys(prefix, 's');
    assert.equal(keys.keepAnnotation('I'), 'd3/s/base/I/annotations/keep');
    assert.ok(keys.doubled);
    assert.doesNotMatch(keys.doubled.prefix + keys.doubled.startAfter, /^\/|\/\//);
    assert.ok('d3//s' > keys.doubled.startAfter && 'd3/0' > keys.doubled.folder);
    assert.equal(keys.doubled.keptBackup('d3//s/base/I/annotations/keep'), 'I');
    assert.equal(keys.doubled.keptBackup('d3//other/base/I/annotations/keep'), undefined);
    assert.equal(keys.doubled.keptBackup('d3//s/base/I/annotations/other'), undefined);
  }
  assert.equal(serverKeys('', 's').doubled, undefined);
  assert.equal(serverKeys('/', 's').doubled, undefined);
});

test('refuses a server name that is not a folder of its own', () => {
  for (const name of ['', '/s', 's/']) {
    assert.throws(() => serverKeys('p', name), { name: 'InvalidInputError', field: 'serverName' });
  }
});

function wal(name: string): WalName {
  const parsed = parseWalName(name);
  assert.ok(parsed);
  return parsed;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../api/errors.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { type BackupSettings, backupSettings } from './settings.ts';

const MIB = 1024 * 1024;
const CAPABILITIES = { conditionalPut: true, minPartBytes: 5 * MIB, maxParts: 10_000 };

test('parts are so large that the largest tar fits, and never below 8 MiB', () => {
  assert.equal(read([]).partBytes, Math.ceil((101 * 1024 * MIB) / 10_000));
  assert.equal(read(['--max-archive-size=1GB']).partBytes, 8 * MIB);
  assert.equal(read(['--min-chunk-size', '64MB']).partBytes, 64 * MIB);
});

test('sizes are those of barman: iB counts in thousands', () => {
  assert.equal(read(['-S', '1GiB']).maxArchiveBytes, 1_000_000_000);
  assert.equal(read(['-S', '1.5kb']).maxArchiveBytes, 1536);
  assert.equal(read(['--max-archive-size=5000']).maxArchiveBytes, 5000);
});

for (const size of ['5M', 'big', '', '1.5B', '-1MB']) {
  test(`refuses the size ${JSON.stringify(size)} by field`, () => {
    const refused = (error: unknown) =>
      error instanceof PreconditionError && /additionalCommandArgs\[0\]/.test(error.message);
    assert.throws(() => read([`--max-archive-size=${size}`]), refused);
  });
}

test('arguments without effect are named', () => {
  const { ignoredArguments, jobs } = read(['-vv', '--jobs=4', '--read-timeout=120', '--max-bandwidth', '5MB']);
  assert.deepEqual(
    ignoredArguments.map((sentence) => /-vv?\b|--[a-z-]+/.exec(sentence)?.[0]),
    ['-v', '-v', '--max-bandwidth'],
  );
  assert.equal(jobs, 4);
});

test('what no field sets is taken from the arguments, in the grammar of the tool', () => {
  const { compression, put, immediateCheckpoint } = read(['-z', '-e', 'aws:kms', '--sse-kms-key-id=k', '--tag', 'a,b']);
  assert.deepEqual(
    { compression, put, immediateCheckpoint },
    {
      compression: 'gzip',
      put: { tags: { a: 'b' }, encryption: { algorithm: 'aws:kms', kmsKeyId: 'k' } },
      immediateCheckpoint: false,
    },
  );
  assert.throws(() => read(['--snapshot-disk=d']), /remove it: volume snapshots/);
});

function read(additionalCommandArgs: string[]): BackupSettings {
  return backupSettings(fakeArchive(new FakeStorage(), { data: { additionalCommandArgs } }).objectStore, CAPABILITIES);
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { PreconditionError } from '../../api/errors.ts';
import { OPTION_TABLE } from '../../api/option-table.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { type BackupSettings, backupSettings } from './settings.ts';

const MIB = 1024 * 1024;
const CAPABILITIES = { conditionalPut: true, minPartBytes: 5 * MIB, maxParts: 10_000 };

test('parts are so large that the largest tar fits, and never below 8 MiB', () => {
  assert.equal(read([]).partBytes, Math.ceil((101 * 1024 * MIB) / 10_000));
  assert.equal(read(['--max-archive-size=1GB']).partBytes, 8 * MIB);
  assert.equal(read(['--min-chunk-size', '64MB']).partBytes, 64 * MIB);
});

test('a tar goes on in another one before what is on its way could break the part limit', () => {
  for (const size of ['100GB', '1TB']) {
    const { splitBytes, partBytes } = read([`--max-archive-size=${size}`]);
    assert.ok(splitBytes + 64 * MIB + 1024 * MIB <= partBytes * CAPABILITIES.maxParts, size);
  }
  const small = read(['--max-archive-size=1MB']);
  assert.ok(small.splitBytes >= 0.99 * MIB && small.splitBytes < MIB, 'and no sooner than need be');
});

test('no tar is larger than 1 TiB, as with barman, and parts grow no further', () => {
  const { maxArchiveBytes, partBytes, ignoredArguments } = read(['--max-archive-size=20TB']);
  assert.equal(maxArchiveBytes, 1024 ** 4);
  assert.equal(partBytes, read(['--max-archive-size=1TB']).partBytes);
  assert.deepEqual([ignoredArguments.length, read(['--max-archive-size=1TB']).ignoredArguments], [1, []]);
  assert.match(ignoredArguments.join(), /--max-archive-size: .*1TB/);
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
  const { ignoredArguments, jobs } = read(['-vv', '--jobs=4', '--read-timeout=120', '--name', 'nightly']);
  assert.deepEqual(
    ignoredArguments.map((sentence) => /-vv?\b|--[a-z-]+/.exec(sentence)?.[0]),
    ['-v', '-v', '--name'],
  );
  assert.equal(jobs, 4);
});

test('no option of the tool ends without an answer: it counts, is named with its reason, or is refused', () => {
  const values: Record<string, string> = {
    '--min-chunk-size': '64MB',
    '--tags': 'a,b',
    '--tag': 'a,b',
    '-e': 'AES256',
    '--encryption': 'AES256',
  };
  const takesSize = /size|bandwidth/;
  const takesNumber = /port|-p|jobs|-J|timeout|level/;
  for (const rule of OPTION_TABLE.filter(({ tools }) => tools.includes('backup'))) {
    for (const name of rule.names) {
      const value =
        values[name] ?? (takesNumber.test(name) ? '7' : takesSize.test(name) || name === '-S' ? '9MB' : 'v');
      const key = name === '--sse-kms-key-id' ? ['-e', 'aws:kms'] : [];
      const items = rule.takes === 'nothing' ? [name] : [...key, name, value];
      if (rule.does === 'refuse') {
        assert.throws(() => read(items), PreconditionError, name);
        continue;
      }
      const { ignoredArguments, ...settings } = read(items);
      const named = ignoredArguments.some((sentence) => sentence.includes(`: ${name}: `) && !/not done/.test(sentence));
      const counts = !isDeepStrictEqual(settings, withoutArguments(read(key)));
      // Of the store itself, not of the backup.
      const elsewhere = ['-P', '--aws-profile', '--profile', '--read-timeout'].includes(name);
      assert.ok(named || counts || elsewhere, `${name} has no effect and nobody says so`);
    }
  }
});

test('bandwidth, level and address are those of the arguments', () => {
  const settings = read([
    '--max-bandwidth',
    '5MB',
    '-z',
    '--compression-level=high',
    '-h',
    'db',
    '-p',
    '6432',
    '-U',
    'b',
  ]);
  assert.equal(settings.maxBytesPerSecond, 5 * MIB);
  assert.equal(settings.level, 9);
  assert.deepEqual(settings.postgres, { host: 'db', port: 6432, user: 'b' });
  assert.deepEqual([read([]).maxBytesPerSecond, read([]).level, read([]).postgres], [undefined, undefined, {}]);
});

test('a bandwidth of 0 is no limit, as with barman', () => {
  assert.equal(read(['--max-bandwidth=0']).maxBytesPerSecond, undefined);
});

test('whatever the part limit of the store, the largest tar and one more segment file fit into it', () => {
  for (const maxParts of [1, 3, 7, 100, 10_000, 50_000]) {
    for (const size of ['1MB', '100GB', '1TB']) {
      const { partBytes, maxArchiveBytes } = read([`--max-archive-size=${size}`], { ...CAPABILITIES, maxParts });
      assert.ok(partBytes * maxParts >= maxArchiveBytes + 1024 * MIB, `${size} in ${maxParts} parts`);
    }
  }
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

function read(additionalCommandArgs: string[], capabilities = CAPABILITIES): BackupSettings {
  return backupSettings(fakeArchive(new FakeStorage(), { data: { additionalCommandArgs } }).objectStore, capabilities);
}

function withoutArguments({ ignoredArguments: _, ...settings }: BackupSettings) {
  return settings;
}

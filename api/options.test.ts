import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvalidInputError } from './errors.ts';
import type { ObjectStoreConfiguration } from './objectstore.ts';
import { OPTION_TABLE, type Tool } from './option-table.ts';
import { levelOf, toolOptions } from './options.ts';
import { parseSizeBytes } from './size.ts';

const TOOLS: readonly Tool[] = ['wal-archive', 'wal-restore', 'backup', 'restore'];

test('reads an option written with =, with a separate value, and short', () => {
  for (const items of [['--jobs=8'], ['--jobs', '8'], ['-J', '8'], ['-J8'], ['-J=8']]) {
    assert.deepEqual(honoured('backup', items), { jobs: 8 }, items.join(' '));
  }
});

test('keeps a value that equals an earlier item, which the Go plugin loses', () => {
  assert.deepEqual(honoured('backup', ['--max-archive-size', '5GB', '--min-chunk-size', '5GB']), {
    maxArchiveBytes: 5 * 1024 ** 3,
    minChunkBytes: 5 * 1024 ** 3,
  });
});

test('what people set in the field is understood', () => {
  assert.deepEqual(
    honoured('backup', ['--min-chunk-size=5MB', '--max-bandwidth', '60MB', '--read-timeout=120', '-vv']),
    {
      minChunkBytes: 5 * 1024 ** 2,
      maxBandwidthBytesPerSecond: 60 * 1024 ** 2,
      readTimeoutSeconds: 120,
    },
  );
});

test('the last of equal options counts', () => {
  assert.deepEqual(honoured('backup', ['-J', '2', '--jobs=3']), { jobs: 3 });
  assert.deepEqual(honoured('wal-archive', ['--tags', 'a,1', '--tags', 'b,2', 'c,3']), { tags: { b: '2', c: '3' } });
});

test('--tags takes what follows, --tag adds up, quotes keep commas', () => {
  assert.deepEqual(honoured('wal-archive', ['--tags', 'a,1', 'b,2', '--gzip']), {
    tags: { a: '1', b: '2' },
    compression: 'gzip',
  });
  assert.deepEqual(honoured('wal-archive', ['--tag', 'a,1', '--tag=b,2']), { tags: { a: '1', b: '2' } });
  assert.deepEqual(honoured('wal-archive', ['--history-tags="x,y","say ""z"""']), {
    historyTags: { 'x,y': 'say "z"' },
  });
});

test('short options may stand together, and a negative number is a value', () => {
  assert.deepEqual(honoured('wal-archive', ['-vz']), { compression: 'gzip' });
  assert.deepEqual(honoured('wal-archive', ['--zstd', '--compression-level', '-5']), {
    compression: 'zstd',
    compressionLevel: -5,
  });
});

test('a field of the ObjectStore wins, and the option is named as ignored', () => {
  const wal = { compression: 'zstd', encryption: 'AES256', archiveAdditionalCommandArgs: [] as string[] } as const;
  const items = ['--gzip', '-e', 'aws:kms', '--tags', 'a,1', '--history-tag=b,2', '--endpoint-url=x'];
  const result = toolOptions('wal-archive', {
    destinationPath: 's3://b',
    tags: { t: '1' },
    historyTags: { h: '1' },
    wal: { ...wal, archiveAdditionalCommandArgs: items },
  });
  assert.deepEqual(result.honoured, {});
  assert.deepEqual(
    result.ignored.map(({ option, why }) => `${option}: ${why}`),
    [
      '--gzip: spec.configuration.wal.compression sets it',
      '-e: spec.configuration.wal.encryption sets it',
      '--tags: spec.configuration.tags sets it',
      '--history-tag: spec.configuration.historyTags sets it',
      '--endpoint-url: endpointURL of the ObjectStore sets it',
    ],
  );
});

test('an option of another provider has no meaning and is named', () => {
  const { ignored } = toolOptions(
    'wal-archive',
    configuration('wal-archive', ['--max-block-size=4MB', '--kms-key-name=k']),
  );
  assert.deepEqual(
    ignored.map(({ option }) => option),
    ['--max-block-size', '--kms-key-name'],
  );
  const azure = { ...configuration('wal-archive', ['--max-block-size=4MB', '-e', 'AES256']), azureCredentials: {} };
  assert.deepEqual(toolOptions('wal-archive', azure).honoured, { maxBlockBytes: 4 * 1024 ** 2 });
});

test('refuses what the tool would not understand, or we do not do, naming the item', () => {
  for (const [tool, items, told] of [
    ['wal-archive', ['--gzip', '--bzip2'], /Args\[1\].*together with -z or --gzip/],
    ['wal-archive', ['--tags=a,1', '--tag=b,2'], /together with --tags/],
    ['wal-archive', ['--tag=a,1', '--tag=a,2'], /given twice/],
    ['wal-archive', ['--tag=aws:x,1'], /AWS does not accept/],
    ['wal-archive', ['--tag=novalue'], /KEY,VALUE/],
    ['wal-archive', ['--compression-level=best'], /low, medium, high/],
    ['wal-archive', ['--encryption=DES'], /AES256, aws:kms/],
    ['wal-archive', ['--sse-kms-key-id=k', '-e', 'AES256'], /aws:kms/],
    ['wal-archive', ['--gzip=6'], /takes no value/],
    ['wal-archive', ['--jobs=6'], /not known/],
    ['wal-archive', ['--compression-level 6'], /write --compression-level=6 as one item/],
    ['wal-archive', ['--max-b'], /write its value/],
    ['wal-archive', ['--max'], /could be --max-block-size, --max-single-put-size, --max-concurrency/],
    ['wal-archive', ['--help'], /does nothing/],
    ['wal-archive', ['--'], /not known/],
    ['wal-archive', ['-x'], /not known/],
    ['wal-archive', ['stray'], /belongs to no option/],
    ['backup', ['--max-archive-size=5M'], /such as 512MB/],
    ['backup', ['--jobs', '0'], /from 1 on/],
    ['backup', ['--jobs'], /write its value/],
    ['backup', ['--snapshot-disk=x'], /volumeSnapshot/],
    ['restore', ['--tablespace=x'], /NAME:LOCATION/],
  ] as const) {
    assert.throws(
      () => toolOptions(tool, configuration(tool, items)),
      (error) =>
        error instanceof InvalidInputError &&
        told.test(error.message) &&
        error.message.includes('dditionalCommandArgs'),
      items.join(' '),
    );
  }
});

test('an unambiguous prefix is the option', () => {
  assert.deepEqual(honoured('backup', ['--max-arch', '5GB']), { maxArchiveBytes: 5 * 1024 ** 3 });
  for (const tool of TOOLS) {
    const names = OPTION_TABLE.filter((rule) => rule.tools.includes(tool)).flatMap((rule) =>
      rule.names.filter((name) => name.startsWith('--')).map((name) => ({ name, rule })),
    );
    for (const { name, rule } of names) {
      for (let length = 3; length < name.length; length += 1) {
        const prefix = name.slice(0, length);
        if (names.filter((other) => other.name.startsWith(prefix)).length !== 1) continue;
        const value = rule.takes === 'nothing' ? '' : '=7';
        assert.deepEqual(outcome(tool, [prefix + value]), outcome(tool, [name + value]), `${tool} ${prefix}`);
      }
    }
  }
});

test('whatever is written, each item counts, is named as ignored, or is refused as invalid input', () => {
  const names = OPTION_TABLE.flatMap((rule) => rule.names);
  const value = fc.oneof(fc.constantFrom('5GB', '5', 'a,1', 'AES256', 'low', '', '-3'), fc.string({ maxLength: 8 }));
  const item = fc.oneof(
    fc.constantFrom(...names),
    fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `${name}=${text}`),
    value,
  );
  fc.assert(
    fc.property(fc.constantFrom(...TOOLS), fc.array(item, { maxLength: 6 }), (tool, items) => {
      try {
        const { honoured: found, ignored } = toolOptions(tool, configuration(tool, items));
        const named = items.filter((text) => text.startsWith('-'));
        if (named.length > 0) assert.ok(Object.keys(found).length + ignored.length > 0, 'dropped without a word');
      } catch (error) {
        assert.ok(error instanceof InvalidInputError, String(error));
        assert.match(error.field, /^spec\.configuration\..*dditionalCommandArgs/);
      }
    }),
    { numRuns: 300 },
  );
});

test('a value means the same behind = and as the next item', () => {
  const options = OPTION_TABLE.filter(({ takes }) => takes !== 'nothing');
  const value = fc.oneof(fc.constantFrom('5GB', '5', 'a,1', 'AES256', 'low'), fc.stringMatching(/^[a-z0-9,:]{1,9}$/));
  fc.assert(
    fc.property(fc.constantFrom(...options), value, (rule, text) => {
      for (const tool of rule.tools) {
        for (const name of rule.names) {
          const [joined, apart] = [outcome(tool, [`${name}=${text}`]), outcome(tool, [name, text])];
          assert.deepEqual(joined, apart);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('sizes with B count in 1024, with iB in 1000, without a unit in bytes; all else is none', () => {
  fc.assert(
    fc.property(fc.nat({ max: 4096 }), fc.constantFrom('K', 'M', 'G', 'k', 'm', 'g'), (number, unit) => {
      const power = 'KMG'.indexOf(unit.toUpperCase()) + 1;
      assert.equal(parseSizeBytes(`${number}${unit}B`), number * 1024 ** power);
      assert.equal(parseSizeBytes(`${number}${unit}ib`), number * 1000 ** power);
      assert.equal(parseSizeBytes(`${number}${unit}`), undefined);
      assert.equal(parseSizeBytes(`${number}B`), number);
      assert.equal(parseSizeBytes(`${number}`), number);
    }),
  );
  assert.equal(parseSizeBytes('100GB'), 107_374_182_400);
  assert.equal(parseSizeBytes('1GiB'), 1_000_000_000);
  assert.equal(parseSizeBytes('1.5KB'), 1536);
  for (const text of ['', 'B', '1.5', '1.5B', '-1', '5 MB', '1e3', '9999YB', 'GB']) {
    assert.equal(parseSizeBytes(text), undefined, text);
  }
});

test('levels are barman’s own and are clamped', () => {
  assert.deepEqual(
    [
      levelOf('gzip', 'medium'),
      levelOf('gzip', 99),
      levelOf('zstd', -99),
      levelOf('xz', 'high'),
      levelOf('lz4', 'low'),
    ],
    [6, 9, -22, 5, 0],
  );
  assert.equal(levelOf('snappy', 5), undefined);
});

function honoured(tool: Tool, items: readonly string[]) {
  return toolOptions(tool, configuration(tool, items)).honoured;
}

function outcome(tool: Tool, items: readonly string[]) {
  try {
    const { honoured: found, ignored } = toolOptions(tool, configuration(tool, items));
    return { found, ignored: ignored.map(({ why }) => why) };
  } catch (error) {
    return error instanceof InvalidInputError ? error.advice.replace(/write its value.*/, '') : error;
  }
}

function configuration(tool: Tool, items: readonly string[]): ObjectStoreConfiguration {
  const list = [...items];
  const lists = {
    'wal-archive': { wal: { archiveAdditionalCommandArgs: list } },
    'wal-restore': { wal: { restoreAdditionalCommandArgs: list } },
    backup: { data: { additionalCommandArgs: list } },
    restore: { data: { restoreAdditionalCommandArgs: list } },
  };
  return { destinationPath: 's3://bucket', ...lists[tool] };
}

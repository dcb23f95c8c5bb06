// The command lines of the stories.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBaseOptions } from './base-options.ts';
import { dataPacking } from './data-packings.ts';
import { readWalOptions } from './options.ts';

test('base backups are measured with 2 GiB, and with four times as much sparse data unless a long run is asked for', () => {
  const { sizeMiB, sparseMiB, codecs, databaseFolder } = readBaseOptions([]);
  assert.deepEqual([sizeMiB, sparseMiB, codecs], [2048, 8192, ['none', 'lz4', 'gzip', 'bzip2']]);
  assert.match(databaseFolder, /cellar-bench-database-15-2048m$/);
  assert.equal(readBaseOptions(['--long']).sparseMiB, 20 * 1024);
});

test('a smoke run is small, and takes the codecs that were asked for', () => {
  const small = readBaseOptions(['--smoke']);
  assert.ok(small.sizeMiB < 100 && small.sparseMiB < 400);
  assert.deepEqual([small.codecs, readBaseOptions(['--smoke', '--codecs', 'lz4']).codecs], [['none', 'gzip'], ['lz4']]);
});

test('what is not known is named, and what is', () => {
  const refused = (args: string[], message: RegExp) => assert.throws(() => readBaseOptions(args), message);
  refused(['--codecs', 'gzip,zstd'], /--codecs: found zstd: use some of none,lz4,gzip,bzip2/);
  refused(['--gzip-level', '10'], /--gzip-level: found 10: use 1 to 9/);
  refused(['--size', '2GiB'], /--size: found 2GiB: use a whole number/);
  refused(['--s3', 'http://127.0.0.1:9000'], /--access-key and --secret-key/);
  assert.throws(() => readWalOptions(['--only', 'two']), /--only: found two: use some of one,backlog/);
});

test('another provider is measured beside S3, with the parts that take none of what only S3 has', () => {
  assert.deepEqual(readWalOptions([]).store, 's3');
  const { store, parts } = readWalOptions(['--store', 'azure']);
  assert.deepEqual([store, [...parts]], ['azure', ['one', 'memory', 'adapter']]);
  const refused = (args: string[], message: RegExp) => assert.throws(() => readWalOptions(args), message);
  refused(['--store', 'gs'], /--store: found gs: use some of s3,azure,gcs/);
  refused(['--store', 'azure,gcs'], /--store: found azure,gcs: use one of/);
  refused(['--store', 'gcs', '--only', 'cache'], /--only: found cache: use some of one,memory,adapter/);
});

test('a level is said to the product only when it was asked for, and always to the floor', () => {
  assert.deepEqual(dataPacking('gzip', undefined), { label: 'gzip 1', level: 1, args: [] });
  assert.deepEqual(dataPacking('gzip', 3), { label: 'gzip 3', level: 3, args: ['--compression-level=3'] });
  assert.deepEqual(dataPacking('lz4', 3).args, []);
});

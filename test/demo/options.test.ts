import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOptions } from './options.ts';

test('without arguments: newest PostgreSQL, own S3 server, nothing kept', () => {
  assert.deepEqual(readOptions([], {}), { keep: false, postgresMajor: undefined, store: 's3', s3: undefined });
});

test('a major that no package brings is refused with those that do', () => {
  assert.throws(() => readOptions(['--postgres', '13'], {}), /found 13: use one of 14, 15, 16, 17, 18/);
});

test('another S3 server needs an address and keys', () => {
  const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' };
  assert.throws(() => readOptions(['--s3', 'minio'], keys), /use the endpoint's address/);
  assert.throws(() => readOptions(['--s3', 'http://127.0.0.1:9000'], {}), /AWS_ACCESS_KEY_ID/);
  const options = readOptions(['--keep', '--s3', 'http://127.0.0.1:9000'], keys);
  assert.notEqual(options, 'help');
  assert.deepEqual(options !== 'help' && options.s3, {
    url: 'http://127.0.0.1:9000',
    accessKeyId: 'id',
    secretAccessKey: 'key',
  });
});

test('a store of another kind is taken by its name, and not beside a server of yours', () => {
  const options = readOptions(['--store', 'azure'], {});
  assert.equal(options !== 'help' && options.store, 'azure');
  assert.throws(() => readOptions(['--store', 'ceph'], {}), /found ceph: use one of s3, azure, gcs/);
  assert.throws(() => readOptions(['--store', 'azure', '--s3', 'http://127.0.0.1:9000'], {}), /use one of them/);
});

test('an unknown argument is refused', () => {
  assert.throws(() => readOptions(['--fast'], {}), /--fast/);
});

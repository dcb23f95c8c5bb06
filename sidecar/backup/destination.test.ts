import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectStore } from '../../api/objectstore.ts';
import { destinationOf } from './destination.ts';

function destination(destinationPath: string, endpointURL?: string, ambient?: string): string {
  const s3Credentials = { inheritFromIAMRole: true };
  const configuration = { destinationPath, s3Credentials, ...(endpointURL === undefined ? {} : { endpointURL }) };
  const store: ObjectStore = { metadata: { name: 'minio' }, spec: { configuration } };
  return destinationOf(store, ambient);
}

test('path and endpoint say where the data is', () => {
  assert.equal(destination('s3://bucket/pg', 'http://minio:9000'), 's3://bucket/pg at http://minio:9000');
  assert.equal(destination('s3://bucket/pg'), 's3://bucket/pg');
});

test('a trailing slash and the spelling of the host make no other place', () => {
  assert.equal(destination('s3://bucket/', 'HTTP://MinIO:80/'), destination('s3://bucket', 'http://minio'));
});

test('the endpoint of the environment counts when the ObjectStore names none', () => {
  assert.equal(destination('s3://b', undefined, 'http://env'), 's3://b at http://env');
  assert.equal(destination('s3://b', 'http://own', 'http://env'), 's3://b at http://own');
});

test('the endpoint of the environment is of no interest to other providers', () => {
  const configuration = { destinationPath: 'gs://b', googleCredentials: { gkeEnvironment: true } };
  assert.equal(destinationOf({ metadata: { name: 'g' }, spec: { configuration } }, 'http://env'), 'gs://b');
});

test('credentials in an address are left out, and so is what is no address', () => {
  assert.equal(destination('s3://b', 'https://user:secret@host/x'), 's3://b at https://host/x');
  assert.equal(destination('s3://b', 'user:secret@'), 's3://b at an endpoint that is no URL');
});

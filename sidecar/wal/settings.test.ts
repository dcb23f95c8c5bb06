import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { archiveSettings } from './settings.ts';

test('what concerns the client of the store is neither refused nor called without effect', () => {
  for (const item of ['--read-timeout=120', '--aws-profile=p', '--profile=p', '-Pp']) {
    assert.deepEqual(read([item]).ignored, []);
  }
});

test('options without a meaning for the kind of store are named, one sentence each', () => {
  const { ignored } = read(['--encryption-scope=s', '--kms-key-name=k', '--endpoint-url=e']);
  assert.deepEqual(
    ignored.map((sentence) => /(--[a-z-]+): (.*)/.exec(sentence)?.slice(1)),
    [
      ['--encryption-scope', 'it has no meaning for a store of kind s3'],
      ['--kms-key-name', 'it has no meaning for a store of kind s3'],
      ['--endpoint-url', 'endpointURL of the ObjectStore sets it'],
    ],
  );
});

test('options of Azure and Google are honoured where the client is made, and are not ignored here', () => {
  for (const [item, credentials] of [
    ['--encryption-scope=s', { azureCredentials: {} }],
    ['--max-block-size=4MB', { azureCredentials: {} }],
    ['--max-single-put-size=4MB', { azureCredentials: {} }],
    ['--max-concurrency=2', { azureCredentials: {} }],
    ['--kms-key-name=k', { googleCredentials: {} }],
  ] as const) {
    assert.deepEqual(read([item], credentials).ignored, [], item);
  }
});

function read(archiveAdditionalCommandArgs: string[], configuration: Partial<ObjectStoreConfiguration> = {}) {
  return archiveSettings(
    fakeArchive(new FakeStorage(), { ...configuration, wal: { archiveAdditionalCommandArgs } }).objectStore,
  );
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSamePlace, locationOf, type Place } from './location.ts';

const at = (destinationPath: string, endpointURL?: string) => locationOf({ destinationPath, endpointURL });

for (const [title, one, other] of [
  ['a slash at the end', at('s3://b/a/'), at('s3://b/a')],
  ['a slash after the bucket', at('s3://b/'), at('s3://b')],
  ['scheme and host in capitals', at('S3://B/a'), at('s3://b/a')],
  ['slashes before the folder', at('s3://b//a'), at('s3://b/a')],
  ['a slash behind the endpoint', at('s3://b', 'http://minio:9000/'), at('s3://b', 'http://MINIO:9000')],
  ["the endpoint's default port", at('s3://b', 'https://minio:443'), at('s3://b', 'https://minio')],
  ['an empty endpoint', at('s3://b', ''), at('s3://b')],
] as const) {
  test(`${title} makes no other place`, () => assert.equal(one, other));
}

for (const [title, one, other] of [
  ['another bucket', at('s3://b'), at('s3://c')],
  ['another folder', at('s3://b/a'), at('s3://b/c')],
  ['capitals in the folder', at('s3://b/a'), at('s3://b/A')],
  ['another endpoint', at('s3://b', 'http://one'), at('s3://b', 'http://two')],
] as const) {
  test(`${title} makes another place`, () => assert.notEqual(one, other));
}

test('a store that names no destination has no place', () => {
  for (const configuration of [undefined, {}, { destinationPath: '' }, { destinationPath: 7 }, []]) {
    assert.equal(locationOf(configuration), undefined);
  }
});

test('one store is one place whatever is known of it, two stores only when both are known', () => {
  const place = (fields: Partial<Place>): Place => ({
    namespace: 'shop',
    objectStore: 'a',
    serverName: 'one',
    location: undefined,
    ...fields,
  });
  assert.ok(isSamePlace(place({}), place({})));
  assert.ok(isSamePlace(place({ location: 'x' }), place({ objectStore: 'b', location: 'x' })));
  assert.ok(!isSamePlace(place({}), place({ objectStore: 'b' })));
  assert.ok(!isSamePlace(place({}), place({ namespace: 'other' })));
  assert.ok(!isSamePlace(place({ location: 'x' }), place({ location: 'x', serverName: 'two' })));
});

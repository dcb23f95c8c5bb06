// The table of major.ts, row by row.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../../api/kube.ts';
import { emptyBackupInfo } from '../../backup/info.ts';
import { assertMajorFits, majorOfCluster } from './major.ts';

const TAGS: [string, number | undefined][] = [
  ['ghcr.io/cloudnative-pg/postgresql:16.4-bookworm', 16],
  ['postgresql:18', 18],
  ['registry.local:5000/team/postgresql:17-standard-trixie@sha256:0123abcd', 17],
  ['postgresql:14.12-3', 14],
  ['postgresql:latest', undefined],
  ['postgresql:20240101', undefined],
  ['registry.local:5000/postgresql', undefined],
  ['postgresql@sha256:16aabbcc', undefined],
];
for (const [imageName, major] of TAGS) {
  test(`${imageName} is PostgreSQL ${major ?? 'of nobody knows which major'}`, () => {
    assert.equal(majorOfCluster(cluster({ imageName })), major);
  });
}

test('the catalog counts before the name, the name before the status', () => {
  const status = { image: 'postgresql:14', pgDataImageInfo: { majorVersion: 15 } };
  const imageName = 'postgresql:16';
  assert.equal(majorOfCluster(cluster({ imageCatalogRef: { major: 17 }, imageName }, status)), 17);
  assert.equal(majorOfCluster(cluster({ imageName }, status)), 16);
  assert.equal(majorOfCluster(cluster({ imageName: 'postgresql:latest' }, status)), 15);
  assert.equal(majorOfCluster(cluster({}, { image: 'postgresql:14' })), 14);
  assert.equal(majorOfCluster(cluster({})), undefined);
});

test('another major is refused with both named; an unknown one is not guessed', () => {
  const entry = (version: number | undefined) => {
    return { id: 'A', state: 'done' as const, info: { ...emptyBackupInfo(), version } };
  };
  const on18 = cluster({ imageName: 'postgresql:18.1' });
  assertMajorFits(on18, entry(180_000));
  assertMajorFits(on18, entry(undefined));
  assertMajorFits(cluster({}), entry(150_020));
  assert.throws(
    () => assertMajorFits(on18, entry(150_020)),
    /is of PostgreSQL 15, Cluster c runs PostgreSQL 18; set spec.imageName/,
  );
});

function cluster(spec: Record<string, unknown>, status: Record<string, unknown> = {}): Cluster {
  return { metadata: { name: 'c' }, spec, status };
}

// The bill of materials: ids that scanners understand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LockedPackage } from './lock.ts';
import { findDependency, packageFolderOf } from './lock.ts';
import { billOfMaterials } from './sbom.ts';

const PRODUCT = { name: 'cellar', version: '1.0.0', license: 'Apache-2.0' };
const RUNTIME = { name: 'node', version: '24.0.0' };

function locked(folder: string, rest: Partial<LockedPackage> = {}): LockedPackage {
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const nothing = { license: 'MIT', integrity: undefined, dependencies: [], optionalDependencies: [] };
  return { folder, name, version: '1.2.3', ...nothing, ...rest };
}

test('names packages by purl, with the hash of the archive and the licence as SPDX writes them', () => {
  const integrity = `sha512-${Buffer.from('digest').toString('base64')}`;
  const packages = [locked('node_modules/@a/b', { integrity, license: '(MIT OR Apache-2.0)' })];
  const { components } = billOfMaterials(PRODUCT, RUNTIME, packages) as { components: object[] };
  assert.deepEqual(components[1], {
    type: 'library',
    'bom-ref': 'pkg:npm/%40a/b@1.2.3',
    group: '@a',
    name: 'b',
    version: '1.2.3',
    licenses: [{ expression: 'MIT OR Apache-2.0' }],
    hashes: [{ alg: 'SHA-512', content: Buffer.from('digest').toString('hex') }],
    purl: 'pkg:npm/%40a/b@1.2.3',
  });
});

test('the same package in two folders is one component, and order does not depend on how they were found', () => {
  const packages = [locked('node_modules/z'), locked('node_modules/a'), locked('node_modules/q/node_modules/a')];
  const turned = packages.toReversed();
  assert.deepEqual(billOfMaterials(PRODUCT, RUNTIME, packages), billOfMaterials(PRODUCT, RUNTIME, turned));
  const { components } = billOfMaterials(PRODUCT, RUNTIME, packages) as { components: { name: string }[] };
  assert.deepEqual(
    components.map(({ name }) => name),
    ['node', 'a', 'z'],
  );
});

test('finds a dependency as Node does: in the package itself, then outwards', () => {
  const all = ['node_modules/a', 'node_modules/b', 'node_modules/a/node_modules/b', 'node_modules/a/node_modules/c'];
  const map = new Map(all.map((folder) => [folder, locked(folder)]));
  assert.equal(findDependency(map, 'node_modules/a', 'b')?.folder, 'node_modules/a/node_modules/b');
  assert.equal(findDependency(map, 'node_modules/a/node_modules/c', 'b')?.folder, 'node_modules/a/node_modules/b');
  assert.equal(findDependency(map, 'node_modules/b', 'a')?.folder, 'node_modules/a');
  assert.equal(findDependency(map, 'node_modules/b', 'c'), undefined);
});

test('tells a file of a package from one of ours', () => {
  assert.equal(packageFolderOf('node_modules/@a/b/lib/x.js'), 'node_modules/@a/b');
  assert.equal(packageFolderOf('node_modules/a/node_modules/b/x.js'), 'node_modules/a/node_modules/b');
  assert.equal(packageFolderOf('sidecar/main.ts'), undefined);
});

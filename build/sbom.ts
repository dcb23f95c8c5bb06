// The software bill of materials: CycloneDX 1.6, JSON. Pure.
import type { LockedPackage } from './lock.ts';

type Hash = { alg: string; content: string };

/** The document for what a build contains. It holds no time and no random number: the same build, the same document. */
export function billOfMaterials(
  product: { name: string; version: string; license: string },
  runtime: { name: string; version: string },
  packages: readonly LockedPackage[],
): object {
  const components = [...new Map(packages.map((one) => [purlOf(one), one])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([purl, one]) => componentOf(purl, one));
  const root = `pkg:npm/${product.name}@${product.version}`;
  const node = {
    type: 'platform',
    'bom-ref': `node@${runtime.version}`,
    ...runtime,
    purl: `pkg:generic/${runtime.name}@${runtime.version}`,
  };
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': root,
        name: product.name,
        version: product.version,
        licenses: licensesOf(product.license),
        purl: root,
      },
    },
    components: [node, ...components],
    dependencies: [{ ref: root, dependsOn: [node['bom-ref'], ...components.map((one) => one['bom-ref'])] }],
  };
}

function componentOf(purl: string, { name, version, license, integrity }: LockedPackage) {
  const [, scope, bare] = /^(?:(@[^/]+)\/)?(.+)$/.exec(name) ?? [];
  const hashes = hashesOf(integrity);
  return {
    type: 'library',
    'bom-ref': purl,
    ...(scope === undefined ? {} : { group: scope }),
    name: bare ?? name,
    version,
    ...(license === undefined ? {} : { licenses: licensesOf(license) }),
    ...(hashes.length === 0 ? {} : { hashes }),
    purl,
  };
}

function purlOf({ name, version }: LockedPackage): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** One licence by its SPDX id; several are an expression. */
function licensesOf(license: string): object[] {
  return /\s/.test(license) ? [{ expression: license.replace(/^\((.*)\)$/, '$1') }] : [{ license: { id: license } }];
}

function hashesOf(integrity: string | undefined): Hash[] {
  const [, algorithm, digest] = /^sha(\d+)-(.+)$/.exec(integrity ?? '') ?? [];
  if (algorithm === undefined || digest === undefined) return [];
  return [{ alg: `SHA-${algorithm}`, content: Buffer.from(digest, 'base64').toString('hex') }];
}

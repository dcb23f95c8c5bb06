// The CRD as the file in the chart holds it.
import { join } from 'node:path';
import { stringify } from 'yaml';
import { objectStoreCrd } from '../../api/crd.ts';

export const CRD_FILE = join(import.meta.dirname, '../../charts/cellar/files/objectstores.yaml');

/** Deterministic; repeated parts are written out, because not every reader knows YAML's aliases. */
export function crdText(): string {
  const body = stringify(objectStoreCrd(), { aliasDuplicateObjects: false, lineWidth: 0 });
  return `# Made from api/objectstore-schema.ts by test/tools/make-crd.ts; do not edit.\n${body}`;
}

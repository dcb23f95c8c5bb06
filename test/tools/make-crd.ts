// Renews charts/cellar/files/objectstores.yaml from the schema: `node_modules/.bin/node test/tools/make-crd.ts`.
import { writeFileSync } from 'node:fs';
import { CRD_FILE, crdText } from './crd-text.ts';

writeFileSync(CRD_FILE, crdText());
console.log(`written: ${CRD_FILE}`);

// Renews what kubectl prints in test/fixtures/{admission,usage}, and docs/admission.md, from the rules:
// `node_modules/.bin/node test/tools/make-admission.ts`. Read the difference before it is kept.
import { writeFileSync } from 'node:fs';
import { askFixture, fixtureText, printedOf, readAdmissionFixtures } from './admission-fixtures.ts';
import { ADMISSION_PAGE, admissionPage } from './admission-page.ts';

for (const fixture of [...readAdmissionFixtures('admission'), ...readAdmissionFixtures('usage')]) {
  writeFileSync(fixture.file, fixtureText(fixture, printedOf(fixture, await askFixture(fixture))));
}
writeFileSync(ADMISSION_PAGE, admissionPage());
console.log(`written: ${ADMISSION_PAGE}`);

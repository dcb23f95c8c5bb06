// Alerts and dashboard ask for metrics that our processes have.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { CHART } from './chart/values.ts';

const ROOT = dirname(import.meta.dirname);
const METRIC = /\b(?:cellar|barman_cloud_cloudnative_pg_io)_[a-z_]+[a-z]\b/g;
const sources = globSync('{api,injector,sidecar,webhook}/**/*.ts', {
  cwd: ROOT,
  exclude: (name) => name.endsWith('.test.ts'),
});
const text = sources.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
const declared = new Set(text.match(METRIC));
// The three of the Go plugin are put together from their prefix.
const PREFIX = 'barman_cloud_cloudnative_pg_io_';

for (const file of ['files/alerts.yaml', 'files/dashboard.json']) {
  test(`every metric of ${file} is declared in the code`, () => {
    const asked = new Set(readFileSync(join(CHART, file), 'utf8').match(METRIC));
    assert.ok(asked.size > 5);
    for (const name of asked) {
      const known = name.startsWith(PREFIX) ? text.includes(name.slice(PREFIX.length)) : declared.has(name);
      assert.ok(known, `${name} is declared nowhere`);
    }
  });
}

// Runs what needs an emulator of Google Cloud Storage (`*.wide.ts`) against fake-gcs-server.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { findFakeGcs } from '../servers/fake-gcs.ts';

const program = findFakeGcs();
if (program === undefined) {
  console.error(
    'there is no fake-gcs-server on the PATH: build github.com/fsouza/fake-gcs-server with Go, or name the program in CELLAR_FAKE_GCS',
  );
  process.exit(1);
}
const root = dirname(dirname(import.meta.dirname));
const files = globSync('test/gcs/*.wide.ts', { cwd: root });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, CELLAR_FAKE_GCS: program },
});
process.exit(status ?? 1);

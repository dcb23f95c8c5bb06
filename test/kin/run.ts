// Runs what needs a further S3 server (`*.wide.ts`) against VersityGW.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { findVersityGw } from '../servers/versitygw.ts';

const program = findVersityGw();
if (program === undefined) {
  console.error(
    'there is no versitygw on the PATH or in CELLAR_CLUSTER_TOOLS: build github.com/versity/versitygw/cmd/versitygw with Go, or name the program in CELLAR_VERSITYGW',
  );
  process.exit(1);
}
const root = dirname(dirname(import.meta.dirname));
const files = globSync('test/kin/*.wide.ts', { cwd: root });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, CELLAR_VERSITYGW: program },
});
process.exit(status ?? 1);

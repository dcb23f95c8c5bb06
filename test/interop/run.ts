// Runs the interop tests (`*.wide.ts`) against the barman tools on the PATH.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findOnPath } from './path.ts';

const program = findOnPath('barman-cloud-restore');
if (program === undefined) {
  console.error(
    'barman-cloud-restore is not on the PATH: install barman[cloud,azure,google,snappy,zstandard,lz4] from PyPI',
  );
  process.exit(1);
}
// The codecs are checked with the very modules that the tools use.
const python = join(dirname(program), 'python');
const files = globSync('test/interop/*.wide.ts', { cwd: dirname(dirname(import.meta.dirname)) });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=900000', ...files], {
  cwd: dirname(dirname(import.meta.dirname)),
  stdio: 'inherit',
  env: { ...process.env, BARMAN_PYTHON: python },
});
process.exit(status ?? 1);

// Runs what needs the barman tools against Azure's emulator (`*.wide.ts`).
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { findOnPath } from '../interop/path.ts';

if (findOnPath('barman-cloud-restore') === undefined) {
  console.error(
    'barman-cloud-restore is not on the PATH: install barman[cloud,azure,google,snappy,zstandard,lz4] from PyPI',
  );
  process.exit(1);
}
const root = dirname(dirname(import.meta.dirname));
const files = globSync('test/azure/*.wide.ts', { cwd: root });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);

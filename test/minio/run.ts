// Runs what needs a full object store (`*.wide.ts`) against MinIO.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { findMinio } from '../servers/minio.ts';

const program = findMinio();
if (program === undefined) {
  console.error(
    'there is no minio on the PATH: build github.com/minio/minio with Go, or name the program in CELLAR_MINIO',
  );
  process.exit(1);
}
const root = dirname(dirname(import.meta.dirname));
const files = globSync('test/minio/*.wide.ts', { cwd: root });
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, CELLAR_MINIO: program },
});
process.exit(status ?? 1);

// Installs what the lock file says, when it is not there yet. Runs on whatever Node the machine has (20 or newer), also
// before node_modules exists: therefore plain JavaScript, built-in modules only.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'node_modules', '.cellar-installed');
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log('installing dependencies (npm ci), some minutes on a cold machine …');
  const started = Date.now();
  const npm = spawnSync('npm', ['ci', '--loglevel=error'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (npm.status !== 0) {
    console.error('npm ci failed: see its lines above; is the npm registry reachable?');
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
  console.log(`installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

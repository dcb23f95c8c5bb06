// Runs the interop tests (`*.wide.ts`) against the barman tools on the PATH: all of them, or the named ones. `--all`: the
// long forms. `--not-covered`: runs nothing, and says what the matrix cannot cover here, one line for each reason.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { planHere, sayUncovered } from './matrix/here.ts';
import { findOnPath } from './path.ts';

const SHORT_LIMIT_MS = 900_000;
/** Of one file too, and the whole matrix is one. */
const LONG_LIMIT_MS = 4 * 3_600_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: 'boolean' }, 'not-covered': { type: 'boolean' } },
});
if (values.all) process.env.CELLAR_ALL = '1';
const uncovered = sayUncovered(planHere().uncovered);
if (values['not-covered']) {
  for (const line of uncovered) console.log(line);
  process.exit(0);
}

const program = findOnPath('barman-cloud-restore');
if (program === undefined) {
  console.error(
    'barman-cloud-restore is not on the PATH: install barman[cloud,azure,google,snappy,zstandard,lz4] from PyPI',
  );
  process.exit(1);
}
// The codecs are checked with the very modules that the tools use.
const python = join(dirname(program), 'python');
const root = dirname(dirname(import.meta.dirname));
const names = positionals.length === 0 ? ['*'] : positionals;
const files = names.flatMap((name) => globSync(`test/interop/${name}.wide.ts`, { cwd: root }));
const limitMs = process.env.CELLAR_ALL === '1' ? LONG_LIMIT_MS : SHORT_LIMIT_MS;
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-concurrency=2', `--test-timeout=${limitMs}`, ...files],
  { cwd: root, stdio: 'inherit', env: { ...process.env, BARMAN_PYTHON: python } },
);
for (const line of uncovered) console.log(`NOT COVERED: ${line}`);
process.exit(status ?? 1);

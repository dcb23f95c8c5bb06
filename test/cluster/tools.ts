// Where the programs of a cluster are: in the folder that make-tools.sh fills, in KUBEBUILDER_ASSETS, or on the PATH.
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

export const TOOLS = [
  'etcd',
  'kube-apiserver',
  'kubectl',
  'kube-controller-manager',
  'versitygw',
  'helm',
  'bwrap',
] as const;

export type Tool = (typeof TOOLS)[number];

/** What the tests of the API server take; the others run Pods. */
export const API_SERVER_TOOLS: readonly Tool[] = ['etcd', 'kube-apiserver', 'kubectl'];

/** The program's path; undefined when this machine has none. */
export function findTool(tool: Tool): string | undefined {
  return folders()
    .map((folder) => join(folder, tool))
    .find(isExecutable);
}

/** The program's path; throws with what to do when there is none. */
export function tool(name: Tool): string {
  const found = findTool(name);
  if (found !== undefined) return found;
  throw new Error(
    `there is no ${name}: test/cluster/make-tools.sh FOLDER makes it, and CELLAR_CLUSTER_TOOLS names FOLDER`,
  );
}

function folders(): string[] {
  const { CELLAR_CLUSTER_TOOLS, KUBEBUILDER_ASSETS, CELLAR_CI_CACHE, XDG_CACHE_HOME, PATH = '' } = process.env;
  const cache = CELLAR_CI_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'cellar-ci');
  const given = [CELLAR_CLUSTER_TOOLS, KUBEBUILDER_ASSETS, join(cache, 'kubernetes-1.34.4'), ...PATH.split(delimiter)];
  return given.filter((folder): folder is string => folder !== undefined && folder !== '');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

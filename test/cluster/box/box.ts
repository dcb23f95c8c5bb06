// A cluster in a box: the real API server in a network namespace of its own, and Pods that run as local processes. Needs root,
// bubblewrap and util-linux. Its folder stays, with all logs, when a test of the calling file fails.

import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { startChild, until } from '../child.ts';
import { createKubectl, type Kubectl } from '../kubectl.ts';
import { findTool } from '../tools.ts';
import type { Image } from './images.ts';
import { handle, makeOuter, removeAll } from './network.ts';

export type Box = {
  folder: string;
  kubectl: Kubectl;
  /** The command line that runs another one in the network of the cluster. */
  inside: readonly string[];
  /** Where this machine has a volume of a Pod. */
  volume(podUid: string, volume: string): string;
  /** The folder that is a PersistentVolumeClaim. */
  claim(namespace: string, name: string): string;
};

const START_LIMIT_MS = 180_000;

/** What is missing on this machine to run one; empty when nothing is. */
export function missingForBox(): string[] {
  const programs = ['kube-controller-manager', 'versitygw', 'bwrap', 'helm'] as const;
  const missing: string[] = programs.filter((name) => findTool(name) === undefined);
  return process.getuid?.() === 0 ? missing : [...missing, 'root'];
}

/** Starts one for all tests of the calling file. */
export async function useBox(images: (folder: string) => readonly Image[]): Promise<Box> {
  // Short: sockets lie far below it.
  const folder = await mkdtemp('/tmp/cb-');
  const name = folder.slice('/tmp/'.length);
  await chmod(folder, 0o755);
  const imagesFile = join(folder, 'images.json');
  await writeFile(imagesFile, JSON.stringify(images(folder)));
  await makeOuter(name);
  const inside = ['nsenter', `--net=${handle(name)}`];
  const env = { CELLAR_BOX_NAME: name, CELLAR_BOX_FOLDER: folder, CELLAR_BOX_IMAGES: imagesFile, ...toolVariables() };
  const logFile = join(folder, 'daemon.log');
  const [program = '', ...args] = [...inside, process.execPath, join(import.meta.dirname, 'daemon.ts')];
  const daemon = await startChild({ name: 'daemon', program, args, logFile, folder, env });
  const passed: boolean[] = [];
  afterEach((t) => void passed.push('passed' in t && t.passed));
  after(async () => {
    await daemon.stop('SIGTERM', 20_000);
    await removeAll(name);
    if (passed.length === 0 || passed.includes(false)) console.error(`the cluster's logs and data stay in ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  });
  await until('the cluster', () => existsSync(join(folder, 'ready')), { limitMs: START_LIMIT_MS, children: [daemon] });
  return {
    ...{ folder, inside },
    kubectl: createKubectl({ KUBECONFIG: join(folder, 'kubeconfig'), HOME: folder }, inside),
    volume: (podUid, volume) => join(folder, 'pods', podUid, volume),
    claim: (namespace, claim) => join(folder, 'pvc', namespace, claim),
  };
}

function toolVariables(): Record<string, string> {
  const given = ['CELLAR_CLUSTER_TOOLS', 'KUBEBUILDER_ASSETS', 'CELLAR_CI_CACHE', 'XDG_CACHE_HOME'];
  const set = given.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  const tools = findTool('kube-apiserver')?.replace(/\/[^/]+$/, '');
  return Object.fromEntries([...set, ['CELLAR_CLUSTER_TOOLS', process.env.CELLAR_CLUSTER_TOOLS ?? tools]]);
}

// Runs a container of a Pod from the tree of an image: its own mounts, a read-only root, no HOME, an account that the image
// does not know, its own processes. The network is the machine's.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Container, EnvVar } from '../../api/kube.ts';
import { findOnPath } from '../interop/path.ts';
import type { KubeApi } from '../kube-api.ts';
import type { Kubelet, LocalPod } from '../kubelet.ts';
import { type LocalProcess, startProcess, tailOf } from '../process.ts';
import type { Account } from '../unprivileged.ts';
import { imageEnvironment } from './dockerfile.ts';

export type Mount = { folder: string; mountPath: string; readOnly: boolean };

export type Ended = { status: number | null; output: string };

/** Whether this machine has bubblewrap. */
export function canContain(): boolean {
  return findOnPath('bwrap') !== undefined;
}

/** Programs of one image, run by one account. */
export class ImageContainers {
  readonly #tree: string;
  readonly #account: Account;

  constructor(tree: string, account: Account) {
    this.#tree = tree;
    this.#account = account;
  }

  /** Runs `/manager` with arguments to its end. */
  run(args: readonly string[], env: Record<string, string>, mounts: readonly Mount[] = []): Promise<Ended> {
    const { program, args: all, ...ids } = this.#account.invoke('bwrap', this.#bubble(args, env, mounts));
    return new Promise((resolve, reject) => {
      const child = spawn(program, all, { ...ids, cwd: '/', env: { PATH: process.env.PATH ?? '' }, timeout: 60_000 });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, output: output.trim() }));
    });
  }

  /** Starts `/manager` with arguments. */
  async start(
    name: string,
    args: readonly string[],
    env: Record<string, string>,
    mounts: readonly Mount[],
    logFile: string,
  ): Promise<LocalProcess> {
    const started = await startProcess({
      ...{ name, account: this.#account, program: 'bwrap', args: this.#bubble(args, env, mounts), logFile },
      env: { PATH: process.env.PATH ?? '' },
      folder: '/',
    });
    return { ...started, stop: (signal, limitMs) => stopInside(started, signal, limitMs) };
  }

  #bubble(args: readonly string[], env: Record<string, string>, mounts: readonly Mount[]): string[] {
    const own = readdirSync(this.#tree).flatMap((entry) => ['--ro-bind', join(this.#tree, entry), `/${entry}`]);
    // Calls of the double of the manager name the folders of this machine.
    const places = mounts.flatMap(({ folder, mountPath, readOnly }) =>
      [mountPath, folder].flatMap((place) => [readOnly ? '--ro-bind' : '--bind', folder, place]),
    );
    const variables = Object.entries({ ...imageEnvironment(), ...env }).flatMap(([name, value]) => [
      '--setenv',
      name,
      value,
    ]);
    const apart = [
      '--unshare-pid',
      '--unshare-ipc',
      '--unshare-uts',
      '--die-with-parent',
      '--clearenv',
      '--cap-drop',
      'ALL',
    ];
    const root = [...own, '--dev', '/dev', '--proc', '/proc', ...places, '--remount-ro', '/', '--chdir', '/'];
    return [...apart, ...root, ...variables, '--', '/manager', ...args];
  }
}

/** Lets a kubelet start native sidecars from an image. */
export function runFromImage(
  kubelet: Kubelet,
  containers: ImageContainers,
  { kubeApi, account, logFolder }: { kubeApi: KubeApi; account: Account; logFolder: string },
): void {
  kubelet.startSidecar = async (pod, name) => {
    await kubelet.prepare(pod);
    const container = sidecarOf(pod, name);
    const mounts = (container.volumeMounts ?? []).map(({ mountPath, readOnly }) => ({
      folder: kubelet.localPath(pod, name, mountPath),
      mountPath,
      readOnly: readOnly === true,
    }));
    for (const { folder } of mounts) {
      await mkdir(folder, { recursive: true });
      await account.own(folder);
    }
    const env = {
      KUBERNETES_SERVICE_HOST: kubeApi.host,
      KUBERNETES_SERVICE_PORT: String(kubeApi.port),
      ...Object.fromEntries((container.env ?? []).map((variable) => [variable.name, literalOf(pod, variable)])),
    };
    const logFile = join(logFolder, `${pod.name}.${name}.log`);
    const started = await containers.start(`${name} of ${pod.name}`, container.args ?? [], env, mounts, logFile);
    for (;;) {
      const { status, output } = await containers.run(probeOf(container), env, mounts);
      if (status === 0) return started;
      if (started.result() !== undefined) throw new Error(`${output}\n${tailOf(logFile)}`);
      await setTimeout(200);
    }
  };
}

function sidecarOf(pod: LocalPod, name: string): Container {
  const found = (pod.spec.initContainers ?? []).find((container) => container.name === name);
  if (found === undefined) throw new Error(`the Pod has no native sidecar ${name}`);
  return found;
}

/** Arguments of the startup probe behind `/manager`. */
function probeOf({ startupProbe }: Container): string[] {
  const { exec } = startupProbe as { exec: { command: string[] } };
  return exec.command.slice(1);
}

function literalOf(pod: LocalPod, { value, valueFrom }: EnvVar): string {
  const { fieldPath } = (valueFrom?.fieldRef ?? {}) as { fieldPath?: string };
  if (fieldPath === 'metadata.name') return pod.name;
  return fieldPath === 'metadata.namespace' ? pod.namespace : (value ?? '');
}

/** The signal goes to the program: bubblewrap passes none on. */
async function stopInside(started: LocalProcess, signal: NodeJS.Signals = 'SIGTERM', limitMs?: number) {
  if (signal === 'SIGKILL' || started.result() !== undefined) return started.stop('SIGKILL', limitMs);
  process.kill(innermost(started.pid), signal);
  const late = setTimeout(limitMs ?? 30_000, undefined, { ref: false });
  const ended = await Promise.race([started.ended, late]);
  return ended ?? started.stop('SIGKILL');
}

/** The last of the children of a process. */
export function innermost(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return child ? innermost(Number(child)) : pid;
}

/** Resident memory of the program, bytes. */
export function residentBytes(started: LocalProcess): number {
  const [, pages = '0'] = readFileSync(`/proc/${innermost(started.pid)}/statm`, 'utf8').split(' ');
  return Number(pages) * 4096;
}

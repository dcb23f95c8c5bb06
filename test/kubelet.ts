// Runs a container of a Pod as a local process, the way the kubelet would: volumes become folders, mount paths in the
// environment become those folders, the startup probe decides when it has started.
import { spawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container, EnvVar, Pod, PodSpec, Volume, VolumeMount } from '../api/kube.ts';
import { CERTIFICATES_MOUNT, PLUGINS_MOUNT } from '../api/names.ts';
import type { KubeApi } from './kube-api.ts';
import { type LocalProcess, startProcess, tailOf } from './process.ts';
import type { Account } from './unprivileged.ts';

/** A Pod, or the Pod of a Job: what the kubelet needs of either. */
export type LocalPod = { name: string; namespace: string; spec: PodSpec };

export type Kubelet = {
  /** Makes the folders of a Pod's volumes; repeating it changes nothing. */
  prepare(pod: LocalPod): Promise<void>;
  /** The folder that a path of a container lies in, through its mounts; throws when nothing is mounted there. */
  localPath(pod: LocalPod, container: string, path: string): string;
  /** Starts a native sidecar and waits for its startup probe. */
  startSidecar(pod: LocalPod, container: string): Promise<LocalProcess>;
  /** Removes what only the Pod owned (emptyDirs); claims stay. */
  remove(pod: LocalPod): Promise<void>;
};

/** Where the image's `/manager` is on this machine. */
const REPOSITORY = dirname(import.meta.dirname);
const ENTRY_POINT = join(REPOSITORY, 'main.ts');
const IMAGE_ENTRY_POINT = '/manager';
const SERVICE_ACCOUNT_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Variables that tell our process where paths of the image are on this machine; only main.ts reads them. */
const FOLDER_VARIABLES = {
  CELLAR_PLUGINS_FOLDER: PLUGINS_MOUNT,
  CELLAR_CERTIFICATES_FOLDER: CERTIFICATES_MOUNT,
  CELLAR_SERVICE_ACCOUNT_FOLDER: SERVICE_ACCOUNT_MOUNT,
};

/**
 * What the image's own ENV sets, because a process reads it before our first line runs: threads for the codecs and for files
 * side by side, and no arena of memory for each of them.
 */
const IMAGE_ENVIRONMENT = {
  UV_THREADPOOL_SIZE: '8',
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '33554432',
  MALLOC_TRIM_THRESHOLD_: '67108864',
  NODE_OPTIONS: '--max-semi-space-size=4',
};

/** Everything lies below `folder`: `claims/<claim>`, `pods/<pod>/<volume>`, `logs`. */
export function createKubelet(options: {
  folder: string;
  logFolder: string;
  account: Account;
  kubeApi: KubeApi;
  /** What `/manager` of the image stands for; the sources unless told otherwise. */
  entryPoint?: string;
}): Kubelet {
  const { account, kubeApi, entryPoint = ENTRY_POINT } = options;

  const kubelet: Kubelet = {
    async prepare(pod) {
      for (const volume of pod.spec.volumes ?? []) {
        const folder = folderOf(pod, volume);
        await mkdir(folder, { recursive: true });
        if (isServiceAccount(volume)) await kubeApi.writeServiceAccount(folder, pod.namespace);
        await account.own(folder);
      }
    },
    localPath(pod, container, path) {
      const local = mapPath(path, mountsOf(pod, findContainer(pod.spec, container)));
      if (local === undefined) throw new Error(`${path} lies below no mount of container ${container}`);
      return local;
    },
    async startSidecar(pod, name) {
      const container = findContainer(pod.spec, name);
      refuseWhatAKubeletWould(pod, container);
      await kubelet.prepare(pod);
      const env = environmentOf(pod, container);
      const started = await startProcess({
        name: `${name} of ${pod.name}`,
        account,
        program: process.execPath,
        args: [entryPoint, ...(container.args ?? [])],
        env,
        folder: options.folder,
        logFile: join(options.logFolder, `${pod.name}.${name}.log`),
      });
      try {
        await waitForStartup(container, env, started);
        return started;
      } catch (error) {
        await started.stop('SIGKILL');
        throw error;
      }
    },
    remove: (pod) => rm(join(options.folder, 'pods', pod.name), { recursive: true, force: true }),
  };
  return kubelet;

  function folderOf(pod: LocalPod, volume: Volume): string {
    const claim = volume.persistentVolumeClaim as { claimName: string } | undefined;
    if (claim !== undefined) return join(options.folder, 'claims', claim.claimName);
    if (volume.emptyDir !== undefined || isServiceAccount(volume)) {
      return join(options.folder, 'pods', pod.name, volume.name);
    }
    throw new Error(`volume ${volume.name}: this kubelet knows claims, emptyDirs and service-account tokens only`);
  }

  function mountsOf(pod: LocalPod, container: Container): (VolumeMount & { folder: string })[] {
    return (container.volumeMounts ?? []).map((mount) => {
      const volume = pod.spec.volumes?.find(({ name }) => name === mount.name);
      if (volume === undefined)
        throw new Error(`${container.name} mounts ${mount.name}, which is no volume of the Pod`);
      return { ...mount, folder: join(folderOf(pod, volume), mount.subPath ?? '') };
    });
  }

  function environmentOf(pod: LocalPod, container: Container): Record<string, string> {
    const mounts = mountsOf(pod, container);
    const env: Record<string, string> = {
      ...IMAGE_ENVIRONMENT,
      // The image has JavaScript; here the compiler of TypeScript would count as the sidecar's memory at every start.
      NODE_COMPILE_CACHE: join(options.folder, 'compile-cache'),
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      KUBERNETES_SERVICE_HOST: kubeApi.host,
      KUBERNETES_SERVICE_PORT: String(kubeApi.port),
    };
    for (const variable of container.env ?? []) {
      const value = literalOf(pod, variable);
      env[variable.name] = mapPath(value, mounts) ?? value;
    }
    for (const [name, path] of Object.entries(FOLDER_VARIABLES)) {
      const folder = mapPath(path, mounts);
      if (folder !== undefined) env[name] = folder;
    }
    return env;
  }

  /** Runs the probe as the document says it: its period, its limit of failures, its time limit. */
  async function waitForStartup(
    container: Container,
    env: Record<string, string>,
    started: LocalProcess,
  ): Promise<void> {
    const probe = readProbe(container);
    let last = 'never asked';
    for (let attempt = 1; attempt <= probe.failureThreshold; attempt += 1) {
      const result = started.result();
      if (result !== undefined) {
        throw new Error(`${started.name} ended with ${result.signal ?? result.code}:\n${tailOf(started.logFile)}`);
      }
      const { status, output } = await runProbe(probe, env);
      if (status === 0) return;
      last = `status ${status}: ${output}`;
      await Promise.race([delay(probe.periodMs), started.ended]);
    }
    const log = tailOf(started.logFile);
    throw new Error(
      `${started.name}: the startup probe failed ${probe.failureThreshold} times (${last}); log:\n${log}`,
    );
  }

  function runProbe(probe: Probe, env: Record<string, string>): Promise<{ status: number | null; output: string }> {
    const { program, args, ...ids } = account.invoke(process.execPath, [entryPoint, ...probe.args]);
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { ...ids, env, cwd: options.folder, timeout: probe.timeoutMs });
      let output = '';
      const collect = (chunk: Buffer): void => {
        output += chunk.toString('utf8');
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, output: output.trim() }));
    });
  }
}

/** The Pod that a created Pod document describes. */
export function localPod(pod: Pod): LocalPod {
  return { name: pod.metadata?.name ?? '', namespace: pod.metadata?.namespace ?? 'default', spec: pod.spec };
}

/** Rewrites a path, or a value that is one, through the longest mount above it; undefined when there is none. */
export function mapPath(path: string, mounts: readonly { mountPath: string; folder: string }[]): string | undefined {
  const [best] = mounts
    .filter(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`))
    .sort((a, b) => b.mountPath.length - a.mountPath.length);
  return best === undefined ? undefined : join(best.folder, path.slice(best.mountPath.length));
}

/** A container that carries what Kubernetes refuses, or that would not run our image, is an error of the patch. */
function refuseWhatAKubeletWould(pod: LocalPod, container: Container): void {
  const sidecar = (pod.spec.initContainers ?? []).includes(container);
  if (!sidecar || container.restartPolicy !== 'Always') {
    throw new Error(`${container.name} is no native sidecar: an init container with restartPolicy Always`);
  }
  if (container.command !== undefined)
    throw new Error(`${container.name} names a command: the image's entry point is ours`);
  if (!container.image) throw new Error(`${container.name} names no image`);
}

type Probe = { args: string[]; periodMs: number; timeoutMs: number; failureThreshold: number };

function readProbe(container: Container): Probe {
  const probe = (container.startupProbe ?? {}) as {
    exec?: { command?: string[] };
    periodSeconds?: number;
    timeoutSeconds?: number;
    failureThreshold?: number;
  };
  const [program, ...args] = probe.exec?.command ?? [];
  if (program !== IMAGE_ENTRY_POINT) {
    throw new Error(`the startup probe of ${container.name} runs ${program ?? 'nothing'}, not ${IMAGE_ENTRY_POINT}`);
  }
  return {
    args,
    periodMs: (probe.periodSeconds ?? 10) * 1000,
    timeoutMs: (probe.timeoutSeconds ?? 1) * 1000,
    failureThreshold: probe.failureThreshold ?? 3,
  };
}

function findContainer(spec: PodSpec, name: string): Container {
  const container = [...(spec.initContainers ?? []), ...spec.containers].find((candidate) => candidate.name === name);
  if (container === undefined) throw new Error(`the Pod has no container ${name}`);
  return container;
}

function literalOf(pod: LocalPod, variable: EnvVar): string {
  if (variable.valueFrom === undefined) return variable.value ?? '';
  const { fieldPath } = (variable.valueFrom.fieldRef ?? {}) as { fieldPath?: string };
  if (fieldPath === 'metadata.name') return pod.name;
  if (fieldPath === 'metadata.namespace') return pod.namespace;
  throw new Error(`${variable.name}: this kubelet knows fieldRef to metadata.name and metadata.namespace only`);
}

function isServiceAccount(volume: Volume): boolean {
  const { sources = [] } = (volume.projected ?? {}) as { sources?: { serviceAccountToken?: unknown }[] };
  return sources.some((source) => source.serviceAccountToken !== undefined);
}

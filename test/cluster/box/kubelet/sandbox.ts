/** One process tree in the namespaces of a container: bubblewrap for the file system, nsenter for the pod's network. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Container, V1Pod } from '@kubernetes/client-node';
import { net } from '../addresses.ts';
import type { Image } from '../images.ts';
import { core, idOf } from '../kube.ts';
import type { PodNetwork } from '../network.ts';
import { inState } from '../place.ts';
import { fieldValue, resourceValue } from './downward.ts';
import type { Volumes } from './volumes.ts';

export interface Place {
  pod: V1Pod;
  network: PodNetwork;
  volumes: Volumes;
}

export interface Command {
  argv: string[];
  env: Record<string, string>;
  user: string[];
}

const systemPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** What the container runs, with its environment and identity resolved. Throws while a Secret or ConfigMap is missing. */
export async function commandOf(place: Place, spec: V1Container, image: Image): Promise<Command> {
  const env = await environment(place, spec, image);
  const withVariables = (text: string) =>
    text.replace(/\$(\$)?\((\w+)\)/g, (all, escaped, variable) => (escaped ? all.slice(1) : (env[variable] ?? all)));
  const argv = spec.command?.length
    ? [...spec.command, ...(spec.args ?? [])]
    : [...(image.entrypoint ?? []), ...(spec.args?.length ? spec.args : (image.cmd ?? []))];
  if (!argv.length) throw new Error(`container ${spec.name}: neither the spec nor the image has a command`);
  return { argv: argv.map(withVariables), env, user: identity(place.pod, spec, image) };
}

function identity(pod: V1Pod, spec: V1Container, image: Image): string[] {
  const podContext = pod.spec?.securityContext ?? {};
  const own = spec.securityContext ?? {};
  const user = own.runAsUser ?? podContext.runAsUser ?? image.user ?? 0;
  const group = own.runAsGroup ?? podContext.runAsGroup ?? (image.user === user ? user : 0);
  if ((own.runAsNonRoot ?? podContext.runAsNonRoot) && user === 0)
    throw new Error(`container ${spec.name}: runAsNonRoot, yet the image runs as root`);
  const groups = [group, podContext.fsGroup, ...(podContext.supplementalGroups ?? [])].filter((g) => g !== undefined);
  return ['--reuid', String(user), '--regid', String(group), '--groups', groups.join(','), '--inh-caps=-all'];
}

async function environment(place: Place, spec: V1Container, image: Image): Promise<Record<string, string>> {
  const { pod, network } = place;
  const namespace = idOf(pod).namespace;
  const env: Record<string, string> = {
    PATH: [...(image.path ?? []), ...systemPath].join(':'),
    HOME: '/',
    HOSTNAME: pod.spec?.hostname ?? idOf(pod).name,
    KUBERNETES_SERVICE_HOST: net.kubernetesService,
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: `tcp://${net.kubernetesService}:443`,
    ...image.env,
  };
  for (const { prefix = '', secretRef, configMapRef } of spec.envFrom ?? []) {
    const ref = secretRef ?? configMapRef ?? {};
    const data = await keyed(
      ref.optional,
      secretRef ? () => secretData(namespace, ref.name ?? '') : () => configData(namespace, ref.name ?? ''),
    );
    for (const [key, value] of Object.entries(data ?? {})) env[prefix + key] = value;
  }
  for (const { name, value, valueFrom } of spec.env ?? []) {
    if (!valueFrom) {
      env[name] = (value ?? '').replace(/\$(\$)?\((\w+)\)/g, (all, escaped, variable) =>
        escaped ? all.slice(1) : (env[variable] ?? all),
      );
      continue;
    }
    const { fieldRef, resourceFieldRef, secretKeyRef, configMapKeyRef } = valueFrom;
    if (fieldRef) env[name] = fieldValue(pod, fieldRef.fieldPath, network.address);
    else if (resourceFieldRef) env[name] = resourceValue(pod, resourceFieldRef, spec);
    else {
      const ref = secretKeyRef ?? configMapKeyRef;
      if (ref === undefined) throw new Error(`env ${name}: this source is not known here`);
      const data = await keyed(
        ref.optional,
        secretKeyRef ? () => secretData(namespace, ref.name ?? '') : () => configData(namespace, ref.name ?? ''),
      );
      const found = data?.[ref.key];
      if (found !== undefined) env[name] = found;
      else if (!ref.optional) throw new Error(`env ${name}: ${ref.name} has no key ${ref.key}`);
    }
  }
  return env;
}

async function secretData(namespace: string, name: string): Promise<Record<string, string>> {
  const { data = {} } = await core.readNamespacedSecret({ namespace, name });
  return Object.fromEntries(Object.entries(data).map(([k, v]) => [k, Buffer.from(v, 'base64').toString()]));
}

async function configData(namespace: string, name: string): Promise<Record<string, string>> {
  return (await core.readNamespacedConfigMap({ namespace, name })).data ?? {};
}

async function keyed<T>(mayMiss: boolean | undefined, get: () => Promise<T>): Promise<T | undefined> {
  return mayMiss ? get().catch(() => undefined) : get();
}

export interface Running {
  /** The container's first process, as numbered on this machine. */
  pid: number;
  ended: Promise<number>;
  signal(name: NodeJS.Signals): void;
}

/** Starts the container's process; resolves once it runs. */
export function launch(place: Place, spec: V1Container, image: Image, command: Command, log: string): Promise<Running> {
  const out = openSync(log, 'a');
  const child = spawn(
    'nsenter',
    [
      `--net=${place.network.handle}`,
      'bwrap',
      ...fileSystem(place, spec, image),
      '--info-fd',
      '3',
      '--',
      '/usr/bin/setpriv',
      ...command.user,
      '--',
      ...command.argv,
    ],
    { stdio: ['ignore', out, out, 'pipe'], env: command.env, cwd: '/' },
  );
  closeSync(out);
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)));
  });
  return firstPid(child, ended).then((pid) => ({
    pid,
    ended,
    // The wrapper does not pass signals on: they go to the process inside, and its end ends the wrapper.
    signal: (name) => {
      if (child.exitCode === null && child.signalCode === null) kill(pid, name);
    },
  }));
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function firstPid(child: ChildProcess, ended: Promise<number>): Promise<number> {
  const info = child.stdio[3] as NodeJS.ReadableStream;
  let text = '';
  const said = new Promise<void>((resolve) => {
    info.on('data', (chunk) => {
      text += chunk;
      if (text.includes('}')) resolve();
    });
    info.on('end', resolve);
  });
  await Promise.race([said, ended]);
  const pid = /"child-pid":\s*(\d+)/.exec(text)?.[1];
  if (!pid) throw new Error(`the sandbox did not start (exit ${await ended}), see the container's log`);
  return Number(pid);
}

function fileSystem(place: Place, spec: V1Container, image: Image): string[] {
  const args = [
    '--die-with-parent',
    '--as-pid-1',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--hostname',
    place.pod.spec?.hostname ?? idOf(place.pod).name,
    '--cap-add',
    'CAP_SETUID',
    '--cap-add',
    'CAP_SETGID',
    '--ro-bind',
    '/usr',
    '/usr',
    '--symlink',
    'usr/bin',
    '/bin',
    '--symlink',
    'usr/sbin',
    '/sbin',
    '--symlink',
    'usr/lib',
    '/lib',
    '--symlink',
    'usr/lib64',
    '/lib64',
    ...etc(),
    ...folders('/run', '/var'),
    '--symlink',
    '../run',
    '/var/run',
    '--perms',
    '1777',
    '--dir',
    '/tmp',
    '--perms',
    '1777',
    '--dir',
    '/var/tmp',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--ro-bind',
    hostsDir(idOf(place.pod).namespace),
    '/cluster',
  ];
  for (const [inside, outside] of Object.entries(image.files ?? {}))
    args.push(...folders(...parents(inside)), '--ro-bind', realpathSync(outside), inside);
  const mounts = (spec.volumeMounts ?? []).map((mount) => ({
    ...mount,
    mountPath: mount.mountPath.replace(/^\/var\/run(?=\/|$)/, '/run'),
  }));
  for (const mount of mounts.sort((a, b) => a.mountPath.length - b.mountPath.length)) {
    const source = join(place.volumes.path(mount.name), mount.subPath ?? '');
    if (mount.subPath && isOwnFolder(place.pod, mount.name)) mkdirSync(source, { recursive: true });
    args.push(
      ...folders(...parents(mount.mountPath)),
      mount.readOnly ? '--ro-bind' : '--bind',
      mount.subPath ? realpathSync(source) : source,
      mount.mountPath,
    );
  }
  if (spec.securityContext?.readOnlyRootFilesystem) args.push('--remount-ro', '/');
  return [...args, '--chdir', spec.workingDir ?? image.workdir ?? '/'];
}

/** bubblewrap would make the missing parents of a mount itself, for root alone. */
const parents = (path: string) =>
  path
    .split('/')
    .slice(1, -1)
    .map((_, i, all) => `/${all.slice(0, i + 1).join('/')}`);
const folders = (...paths: string[]) => paths.flatMap((path) => ['--perms', '0755', '--dir', path]);

const isOwnFolder = (pod: V1Pod, volume: string) => {
  const found = pod.spec?.volumes?.find((v) => v.name === volume);
  return Boolean(found?.emptyDir ?? found?.persistentVolumeClaim);
};

export const hostsDir = (namespace: string) => inState('hosts', namespace);

/** The /etc of every container: our users, this machine's certificates and loader cache, and the names of Services. */
function etc(): string[] {
  const own = ['passwd', 'group', 'nsswitch.conf'].flatMap((file) => [
    '--ro-bind',
    inState('etc', file),
    `/etc/${file}`,
  ]);
  const shared = ['/etc/ssl', '/etc/ld.so.cache', '/etc/localtime', '/etc/alternatives'].flatMap((path) => [
    '--ro-bind-try',
    path,
    path,
  ]);
  return ['--perms', '0755', '--dir', '/etc', ...own, ...shared, '--symlink', '/cluster/hosts', '/etc/hosts'];
}

export function writeEtc(): void {
  const dir = inState('etc');
  mkdirSync(dir, { recursive: true });
  const users = [
    ['root', 0],
    ['postgres', 26],
    ['nobody', 65534],
    ['nonroot', 65532],
    ['app', 10001],
  ] as const;
  writeFileSync(join(dir, 'passwd'), users.map(([name, id]) => `${name}:x:${id}:${id}:${name}:/:/bin/sh\n`).join(''));
  writeFileSync(join(dir, 'group'), users.map(([name, id]) => `${name}:x:${id}:\n`).join(''));
  writeFileSync(join(dir, 'nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files\n');
}

/** Runs another process inside a running container. */
export function enter(
  running: Running,
  command: Pick<Command, 'env' | 'user'>,
  argv: string[],
  stdin: boolean,
): ChildProcess {
  return spawn(
    'nsenter',
    [
      '--target',
      String(running.pid),
      '--mount',
      '--uts',
      '--ipc',
      '--net',
      '--pid',
      '--root',
      '--wd',
      '/usr/bin/setpriv',
      ...command.user,
      '--no-new-privs',
      '--',
      ...argv,
    ],
    { stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'], env: command.env },
  );
}

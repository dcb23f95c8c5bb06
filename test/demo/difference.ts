// A short rendering of what a patch did to a Pod, for people: what was added, and where.
import type { Container, PodSpec, VolumeMount } from '../../api/kube.ts';

/** Lines with `+` for what is new in `after`. Values are cut to the width. */
export function renderDifference(before: PodSpec, after: PodSpec, width = 110): string {
  return [
    ...addedContainers('initContainers', before.initContainers ?? [], after.initContainers ?? []),
    ...addedContainers('containers', before.containers, after.containers),
    ...addedMounts(before.containers, after.containers),
    ...addedVolumes(before, after),
  ]
    .map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line))
    .join('\n');
}

function addedContainers(list: string, before: readonly Container[], after: readonly Container[]): string[] {
  const known = new Set(before.map(({ name }) => name));
  return after
    .filter(({ name }) => !known.has(name))
    .flatMap((container) => [
      `+ ${list}: ${container.name}`,
      ...facts(container).map(([name, value]) => `+   ${name.padEnd(13)} ${value}`),
    ]);
}

function facts(container: Container): [string, string][] {
  const probe = container.startupProbe as { exec?: { command?: string[] } } | undefined;
  const known: [string, string | undefined][] = [
    ['image', container.image],
    ['args', container.args?.join(' ')],
    ['restartPolicy', container.restartPolicy],
    ['startupProbe', probe?.exec?.command?.join(' ')],
    ['env', container.env?.map(({ name }) => name).join(' ')],
    ...(container.volumeMounts ?? []).map((mount): [string, string] => ['mount', describeMount(mount)]),
  ];
  return known.filter((fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== '');
}

function addedMounts(before: readonly Container[], after: readonly Container[]): string[] {
  return after.flatMap((container) => {
    const old = before.find(({ name }) => name === container.name);
    if (old === undefined) return [];
    const known = new Set(old.volumeMounts?.map(({ mountPath }) => mountPath));
    return (container.volumeMounts ?? [])
      .filter(({ mountPath }) => !known.has(mountPath))
      .map((mount) => `+ containers: ${container.name}: mount ${describeMount(mount)}`);
  });
}

function addedVolumes(before: PodSpec, after: PodSpec): string[] {
  const known = new Set(before.volumes?.map(({ name }) => name));
  return (after.volumes ?? [])
    .filter(({ name }) => !known.has(name))
    .map(({ name, ...source }) => `+ volumes: ${name} (${Object.keys(source).join(', ')})`);
}

function describeMount({ name, mountPath }: VolumeMount): string {
  return `${name}:${mountPath}`;
}

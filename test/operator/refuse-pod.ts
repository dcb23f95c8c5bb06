// What the API server refuses of a Pod or of a Job's template, as far as a patch of ours could bring it about. Pure.
import type { Container, PodSpec } from '../../api/kube.ts';

/** Throws, in the API server's manner, at the first thing that it would not store. */
export function refuseInvalidPodSpec(spec: PodSpec): void {
  const { containers, initContainers = [], volumes = [] } = spec;
  if (!Array.isArray(containers) || containers.length === 0) throw new Error('spec.containers: Required value');
  const all = [...containers, ...initContainers];
  refuseDuplicates('spec.containers and initContainers', all);
  refuseDuplicates('spec.volumes', volumes);
  const names = new Set(volumes.map(({ name }) => name));
  for (const container of all) {
    if (!container.image) throw new Error(`${container.name}: image: Required value`);
    if (container.env?.some(({ name }) => !name)) throw new Error(`${container.name}: env name: Required value`);
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      if (!names.has(name)) throw new Error(`${container.name}: volumeMounts: Not found: "${name}"`);
      if (!mountPath) throw new Error(`${container.name}: mountPath: Required value`);
    }
    refuseDoubleMount(container);
  }
  for (const container of initContainers) {
    const native = container.restartPolicy === 'Always';
    if (container.startupProbe !== undefined && !native) {
      throw new Error(
        `${container.name}: startupProbe: Forbidden: may not be set for init containers without restartPolicy`,
      );
    }
  }
}

function refuseDuplicates(field: string, list: readonly { name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of list) {
    if (seen.has(name)) throw new Error(`${field}: Duplicate value: "${name}"`);
    seen.add(name);
  }
}

function refuseDoubleMount({ name, volumeMounts = [] }: Container): void {
  const paths = volumeMounts.map(({ mountPath }) => mountPath);
  if (new Set(paths).size < paths.length) throw new Error(`${name}: mountPath: must be unique`);
}

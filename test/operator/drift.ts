// Whether the operator would roll a Pod: the spec that it wants against the one that it wrote down when it made the Pod
// (cnpg-i-contract.md §3.3). Pure.
import { isDeepStrictEqual } from 'node:util';
import type { Container, PodSpec } from '../../api/kube.ts';

/** Neither arguments nor pull policy nor restart policy are looked at. */
const CONTAINER_FIELDS = [
  ...['image', 'env', 'envFrom', 'readinessProbe', 'livenessProbe', 'startupProbe', 'command', 'resources', 'ports'],
  'securityContext',
];

const POD_FIELDS = [
  ...['securityContext', 'affinity', 'tolerations', 'nodeSelector', 'topologySpreadConstraints', 'serviceAccountName'],
  ...['automountServiceAccountToken', 'schedulerName', 'hostname', 'terminationGracePeriodSeconds'],
];

/** What differs, each as a person would say it; empty when the Pod may stay. */
export function drift(stored: PodSpec, wanted: PodSpec): string[] {
  return [
    ...POD_FIELDS.filter((field) => differ(stored, wanted, field)),
    ...byName(stored.volumes ?? [], wanted.volumes ?? [], 'volume', (before, after) =>
      isDeepStrictEqual(before, after) ? [] : ['changed'],
    ),
    ...byName(stored.containers, wanted.containers, 'container', changesOf),
    ...byName(stored.initContainers ?? [], wanted.initContainers ?? [], 'init container', changesOf),
  ];
}

function byName<T extends { name: string }>(
  before: T[],
  after: T[],
  what: string,
  compare: (before: T, after: T) => string[],
): string[] {
  const names = new Set([...before, ...after].map(({ name }) => name));
  return [...names].flatMap((name) => {
    const [old, fresh] = [before, after].map((list) => list.find((element) => element.name === name));
    if (old === undefined) return [`${what} ${name} added`];
    if (fresh === undefined) return [`${what} ${name} removed`];
    return compare(old, fresh).map((change) => `${what} ${name}: ${change}`);
  });
}

function changesOf(before: Container, after: Container): string[] {
  const changed = CONTAINER_FIELDS.filter((field) => differ(before, after, field));
  return isDeepStrictEqual(mountsOf(before), mountsOf(after)) ? changed : [...changed, 'volumeMounts'];
}

/** Keyed by volume: of several mounts of one the operator sees the last. */
function mountsOf({ volumeMounts = [] }: Container): Map<string, unknown> {
  return new Map(volumeMounts.map((mount) => [mount.name, mount]));
}

function differ(before: object, after: object, field: string): boolean {
  return !isDeepStrictEqual(Reflect.get(before, field), Reflect.get(after, field));
}

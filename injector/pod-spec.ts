// Edits of a Pod's spec: everything is placed by name, so that twice equals once, and what does not change stays the
// same object, so that the difference is small and cheap to find.
import { isDeepStrictEqual } from 'node:util';
import { InvalidInputError } from '../api/errors.ts';
import type { Container, PodSpec, Volume } from '../api/kube.ts';
import { CERTIFICATES_VOLUME, PLUGINS_MOUNT, PLUGINS_VOLUME, SIDECAR_CONTAINER } from '../api/names.ts';
import { shortened } from './shape.ts';

/** Containers that a message names. */
const MAX_SHOWN = 5;

export type SpecEdit = {
  mainContainer: string;
  /** Undefined when no store names a CA: then a volume left from before is removed. */
  certificates: Volume | undefined;
  /** Builds the sidecar from the main container as it is after the edits. */
  sidecar: (main: Container) => Container;
};

/**
 * Adds the volumes, the `/plugins` mount of the main container and the sidecar, which goes last among the init
 * containers: it starts after `bootstrap-controller`, as a native sidecar. Throws InvalidInputError when the main
 * container is missing.
 */
export function editPodSpec(spec: PodSpec, edit: SpecEdit): PodSpec {
  const main = spec.containers.find(({ name }) => name === edit.mainContainer);
  if (main === undefined) {
    const found = spec.containers.slice(0, MAX_SHOWN).map(({ name }) => shortened(name));
    const advice = `one of them must be named ${edit.mainContainer}: the sidecar copies its settings`;
    throw new InvalidInputError('spec.containers', found, advice);
  }
  const editedMain = withPluginsMount(main);
  return withFields(spec, {
    volumes: editVolumes(spec.volumes ?? [], edit.certificates),
    containers: placeByName(spec.containers, editedMain),
    initContainers: placeByName(spec.initContainers ?? [], edit.sidecar(editedMain)),
  });
}

/** The Pod's sidecar, if it has one. */
export function findSidecar(spec: PodSpec): Container | undefined {
  return spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
}

/** Puts a container into the place of the one with its name, or at the end. */
export function placeSidecar(spec: PodSpec, sidecar: Container): PodSpec {
  return withFields(spec, { initContainers: placeByName(spec.initContainers ?? [], sidecar) });
}

function editVolumes(volumes: Volume[], certificates: Volume | undefined): Volume[] {
  const withCertificates =
    certificates === undefined ? withoutCertificates(volumes) : placeByName(volumes, certificates);
  // Another plugin may have brought the volume, of whatever kind: it is shared.
  if (withCertificates.some(({ name }) => name === PLUGINS_VOLUME)) return withCertificates;
  return [...withCertificates, { name: PLUGINS_VOLUME, emptyDir: {} }];
}

function withoutCertificates(volumes: Volume[]): Volume[] {
  const others = volumes.filter(({ name }) => name !== CERTIFICATES_VOLUME);
  return others.length === volumes.length ? volumes : others;
}

/** Also checked when another plugin has brought the volume: without the mount the manager would not find our socket. */
function withPluginsMount(main: Container): Container {
  const mounts = main.volumeMounts ?? [];
  if (mounts.some(({ name, mountPath }) => name === PLUGINS_VOLUME || mountPath === PLUGINS_MOUNT)) return main;
  return { ...main, volumeMounts: [...mounts, { name: PLUGINS_VOLUME, mountPath: PLUGINS_MOUNT }] };
}

function placeByName<T extends { name: string }>(list: T[], item: T): T[] {
  const index = list.findIndex(({ name }) => name === item.name);
  if (index === -1) return [...list, item];
  return isDeepStrictEqual(list[index], item) ? list : list.with(index, item);
}

/** A copy with these fields, or the spec itself when they are what it has. */
function withFields(spec: PodSpec, fields: Partial<PodSpec>): PodSpec {
  const edited = { ...spec, ...fields };
  return spec.volumes === edited.volumes &&
    spec.containers === edited.containers &&
    spec.initContainers === edited.initContainers
    ? spec
    : edited;
}

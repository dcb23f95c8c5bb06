// What a Cluster's sidecars may do, kept in its Role and RoleBinding (objectstore-and-injection.md §7.1, §7.2).
import { isDeepStrictEqual } from 'node:util';
import { ConflictError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { type Role, type RoleBinding, roleBindingOf, roleOf, type Subject } from './role.ts';

/** The few calls that this takes. Objects that come out must not be changed. */
export type AccessPort = {
  find<K extends AccessObject['kind']>(kind: K, namespace: string, name: string): Promise<ByKind[K] | undefined>;
  /** False when it exists already. */
  create(object: AccessObject): Promise<boolean>;
  /** False when it has changed since it was read. */
  replace(object: AccessObject): Promise<boolean>;
};

export type AccessObject = Role | RoleBinding;
type ByKind = { Role: Role; RoleBinding: RoleBinding };

/** How often somebody else may be faster before we give up; the operator comes back anyway. */
const ATTEMPTS = 5;

/**
 * Makes the Role and the RoleBinding of a Cluster, or changes what differs: rules, our labels, our subject. Labels and
 * subjects of others stay. Throws ConflictError when the RoleBinding refers to another Role, which cannot be changed,
 * or when writes keep colliding; InvalidInputError when the Cluster document lacks what the owner reference needs.
 */
export async function ensureAccess(
  port: AccessPort,
  cluster: Cluster,
  stores: ObjectStore[],
  version: string,
): Promise<void> {
  const role = roleOf(cluster, stores, version);
  await ensure(port, role, (found) => ({ ...found, metadata: labelled(found, role), rules: role.rules }));

  const binding = roleBindingOf(cluster, version);
  await ensure(port, binding, (found) => {
    refuseOtherRole(found, binding);
    const subjects = found.subjects ?? [];
    const missing = binding.subjects?.filter((own) => !subjects.some((other) => isSameSubject(own, other))) ?? [];
    return { ...found, metadata: labelled(found, binding), subjects: [...subjects, ...missing] };
  });
}

async function ensure<K extends AccessObject['kind']>(
  port: AccessPort,
  wanted: ByKind[K] & { kind: K },
  edit: (found: ByKind[K]) => ByKind[K],
): Promise<void> {
  const { namespace, name } = wanted.metadata;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const found = await port.find(wanted.kind, namespace, name);
    if (found === undefined) {
      if (await port.create(wanted)) return;
      continue;
    }
    const edited = edit(found);
    if (isDeepStrictEqual(edited, found) || (await port.replace(edited))) return;
  }
  throw new ConflictError(`${wanted.kind} ${namespace}/${name} changed ${ATTEMPTS} times while it was being written`);
}

function labelled<M extends { labels?: Record<string, string> }>(found: { metadata: M }, wanted: AccessObject): M {
  return { ...found.metadata, labels: { ...found.metadata.labels, ...wanted.metadata.labels } };
}

function refuseOtherRole(found: RoleBinding, wanted: RoleBinding): void {
  if (found.roleRef.kind === wanted.roleRef.kind && found.roleRef.name === wanted.roleRef.name) return;
  const { namespace, name } = found.metadata;
  throw new ConflictError(
    `RoleBinding ${namespace}/${name} refers to ${found.roleRef.kind} ${found.roleRef.name} instead of ` +
      `${wanted.roleRef.kind} ${wanted.roleRef.name}, and that cannot be changed: delete the RoleBinding, it is made again`,
  );
}

function isSameSubject(a: Subject, b: Subject): boolean {
  return a.kind === b.kind && a.name === b.name && a.namespace === b.namespace;
}

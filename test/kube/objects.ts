// What a test API server stores: objects with uid, generation and resourceVersion, and the conflicts that go with them.
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { applyPatch, type Operation } from 'jsonpatch';
import type { ObjectMeta } from '../../api/kube.ts';
import { apiVersionOf, type Resource } from './resources.ts';

export type KubeObject = {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta & { name: string; creationTimestamp?: string };
  spec?: unknown;
  status?: unknown;
} & Record<string, unknown>;

/** A failure as the API server words it. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export type WatchEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: KubeObject };

export type KubeObjects = {
  create(resource: Resource, namespace: string, object: KubeObject): KubeObject;
  get(resource: Resource, namespace: string, name: string): KubeObject;
  list(resource: Resource, namespace: string | undefined): { items: KubeObject[]; resourceVersion: string };
  /** Replaces spec and metadata, or the status. A resourceVersion that is given must be the stored one. */
  replace(resource: Resource, namespace: string, object: KubeObject, part: 'object' | 'status'): KubeObject;
  patch(
    resource: Resource,
    namespace: string,
    name: string,
    body: unknown,
    options: { contentType: string; part: 'object' | 'status' },
  ): KubeObject;
  remove(resource: Resource, namespace: string, name: string): KubeObject;
  /** Calls back for every change of a resource until the returned function is called. */
  watch(resource: Resource, namespace: string | undefined, listener: (event: WatchEvent) => void): () => void;
};

/** Starts empty. Everything that goes in or comes out is a copy. */
export function createObjects(): KubeObjects {
  const stored = new Map<string, KubeObject>();
  const changes = new EventEmitter().setMaxListeners(0);
  let version = 1000;

  const keyOf = (resource: Resource, namespace: string, name: string): string =>
    [resource.group, resource.plural, namespace, name].join('/');
  const find = (resource: Resource, namespace: string, name: string): KubeObject => {
    const found = stored.get(keyOf(resource, namespace, name));
    if (found === undefined) throw new StatusError(404, 'NotFound', `${titleOf(resource)} "${name}" not found`);
    return found;
  };
  const store = (resource: Resource, object: KubeObject, type: WatchEvent['type']): KubeObject => {
    version += 1;
    const { metadata } = object;
    const saved = { ...object, metadata: { ...metadata, resourceVersion: String(version) } };
    const key = keyOf(resource, metadata.namespace ?? '', metadata.name);
    if (type === 'DELETED') stored.delete(key);
    else stored.set(key, saved);
    changes.emit('change', resource, { type, object: structuredClone(saved) });
    return structuredClone(saved);
  };

  const objects: KubeObjects = {
    create(resource, namespace, object) {
      const { name } = object.metadata;
      if (stored.has(keyOf(resource, namespace, name))) {
        throw new StatusError(409, 'AlreadyExists', `${titleOf(resource)} "${name}" already exists`);
      }
      const metadata = {
        ...object.metadata,
        namespace,
        uid: randomUUID(),
        generation: 1,
        creationTimestamp: new Date().toISOString().replace(/\.\d+/, ''),
      };
      const { status, ...rest } = structuredClone(object);
      const kept = resource.status || status === undefined ? rest : { ...rest, status };
      return store(resource, { ...kept, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata }, 'ADDED');
    },
    get: (resource, namespace, name) => structuredClone(find(resource, namespace, name)),
    list(resource, namespace) {
      const prefix = namespace === undefined ? keyOf(resource, '', '').slice(0, -1) : keyOf(resource, namespace, '');
      const items = [...stored].filter(([key]) => key.startsWith(prefix)).map(([, object]) => structuredClone(object));
      return { items, resourceVersion: String(version) };
    },
    replace(resource, namespace, object, part) {
      const old = find(resource, namespace, object.metadata.name);
      refuseStale(resource, old, object.metadata.resourceVersion);
      return store(resource, merged(resource, old, structuredClone(object), part), 'MODIFIED');
    },
    patch(resource, namespace, name, body, { contentType, part }) {
      const old = find(resource, namespace, name);
      const wanted = applied(structuredClone(old), body, contentType);
      refuseStale(resource, old, wanted.metadata.resourceVersion);
      return store(resource, merged(resource, old, wanted, part), 'MODIFIED');
    },
    remove: (resource, namespace, name) => store(resource, find(resource, namespace, name), 'DELETED'),
    watch(resource, namespace, listener) {
      const onChange = (changed: Resource, event: WatchEvent): void => {
        const here = namespace === undefined || event.object.metadata.namespace === namespace;
        if (changed === resource && here) listener(event);
      };
      changes.on('change', onChange);
      return () => changes.off('change', onChange);
    },
  };
  return objects;
}

/** A merge patch (RFC 7396): objects are merged, null removes, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

function applied(old: KubeObject, body: unknown, contentType: string): KubeObject {
  if (contentType.startsWith('application/json-patch')) {
    const errors = applyPatch(old, body as Operation[]).filter((error) => error !== null);
    if (errors.length > 0) throw new StatusError(422, 'Invalid', errors.map((error) => error.message).join('; '));
    return old;
  }
  if (!isObject(body)) throw new StatusError(400, 'BadRequest', 'the patch is no object');
  // Strategic merges of the lists that our processes write, and server-side apply, come to the same as a merge here.
  return mergePatch(old, body) as KubeObject;
}

function merged(resource: Resource, old: KubeObject, wanted: KubeObject, part: 'object' | 'status'): KubeObject {
  const { uid, generation = 1, creationTimestamp, namespace, name } = old.metadata;
  if (part === 'status') return { ...old, status: wanted.status };
  const changed = JSON.stringify(old.spec) !== JSON.stringify(wanted.spec);
  const fixed = { uid, creationTimestamp, namespace, name, generation: changed ? generation + 1 : generation };
  const next = { ...wanted, metadata: { ...wanted.metadata, ...fixed } as KubeObject['metadata'] };
  return resource.status ? { ...next, status: old.status } : next;
}

function refuseStale(resource: Resource, old: KubeObject, given: string | undefined): void {
  if (given === undefined || given === '' || given === old.metadata.resourceVersion) return;
  const message = `Operation cannot be fulfilled on ${titleOf(resource)} "${old.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`;
  throw new StatusError(409, 'Conflict', message);
}

function titleOf(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

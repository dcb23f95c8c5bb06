/** The Kubernetes API as tests use it: typed core calls, any object by apiVersion and kind, caches that follow a path. */
import {
  CoreV1Api,
  type Informer,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  KubernetesObjectApi,
  makeInformer,
  type ObjectCache,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';
import { inState } from './place.ts';

export const config = new KubeConfig();
export let core: CoreV1Api;
export let objects: KubernetesObjectApi;

/** Reads the kubeconfig that `cluster up` wrote. */
export function connect(): void {
  config.loadFromFile(inState('kubeconfig'));
  core = config.makeApiClient(CoreV1Api);
  objects = KubernetesObjectApi.makeApiClient(config);
}

export const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);

export type Cache<T extends KubernetesObject> = Informer<T> & ObjectCache<T>;

/** Follows a collection for as long as this process lives. */
export async function follow<T extends KubernetesObject>(
  path: string,
  list: () => Promise<KubernetesListObject<T>>,
  on: { change?: (object: T) => void; gone?: (object: T) => void },
): Promise<Cache<T>> {
  const informer = makeInformer<T>(config, path, list);
  const { change, gone } = on;
  if (change) {
    informer.on('add', change);
    informer.on('update', change);
  }
  if (gone) informer.on('delete', gone);
  informer.on('error', () => setTimeout(() => void informer.start().catch(() => undefined), 1000));
  await informer.start();
  return informer;
}

export function isStatus(error: unknown, ...codes: number[]): boolean {
  return codes.includes((error as { code?: number }).code ?? 0);
}

/** What the API server gives every object that it has stored. */
export function idOf(object: { metadata?: { namespace?: string; name?: string; uid?: string } }): {
  namespace: string;
  name: string;
  uid: string;
} {
  const { namespace = '', name = '', uid = '' } = object.metadata ?? {};
  return { namespace, name, uid };
}

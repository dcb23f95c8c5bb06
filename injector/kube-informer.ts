// Informers by the generated client, over all namespaces, listed page by page.
import { makeInformer } from '@kubernetes/client-node';
import type { FeedObject, Informer } from './feed.ts';
import type { KubeAccess, Resource } from './kube-config.ts';

/** Bounds what one answer of the API server takes. */
const PAGE = 500;

/** Nothing is asked before it is started. `slim` cuts down what is listed, in place. */
export function createInformer<T extends FeedObject>(
  { config, api }: KubeAccess,
  resource: Resource,
  slim: (object: FeedObject) => void,
): Informer<T> {
  const { group, version, plural } = resource;
  const list = async () => {
    const items: T[] = [];
    for (let after: string | undefined; ; ) {
      const page = await api.listCustomObjectForAllNamespaces({
        ...{ group, version, resourcePlural: plural, limit: PAGE },
        ...(after === undefined ? {} : { _continue: after }),
      });
      // Before the next page comes: all of them at once would be the most that this process ever holds.
      for (const item of page.items) slim(item);
      items.push(...page.items);
      after = page.metadata?.continue || undefined;
      if (after === undefined) return { ...page, items };
    }
  };
  // The API server has checked the objects against the schema of their kind, whose type T is.
  return makeInformer(config, `/apis/${group}/${version}/${plural}`, list) as unknown as Informer<T>;
}

/** Whether the API server refused for want of rights, at the list or at the watch. */
export function isForbidden(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const facts = error as { code?: unknown; statusCode?: unknown };
  return facts.code === 403 || facts.statusCode === 403;
}

// The Backup objects of a namespace: listed in pages, and deleted only as they were seen.
import type { Backup } from '../kube.ts';
import { KubeError, type KubeHttp } from './kube-http.ts';

export type KubeBackups = {
  /** Every Backup of a namespace, page by page, so that no number of them fills the memory. Throws KubeError. */
  list(namespace: string, signal?: AbortSignal): AsyncIterable<Backup>;
  /**
   * Deletes a Backup unless another one has taken its name meanwhile. One that is gone already counts as deleted; false
   * when the name belongs to another one now. Throws KubeError.
   */
  remove(namespace: string, name: string, uid: string, signal?: AbortSignal): Promise<boolean>;
};

const PAGE_OBJECTS = 200;

type Page = { metadata?: { continue?: string }; items?: Backup[] };

/** `api` is the path of the group and version that the operator serves, such as `/apis/postgresql.cnpg.io/v1`. */
export function createKubeBackups(http: Pick<KubeHttp, 'request'>, api: string): KubeBackups {
  const folder = (namespace: string): string => `${api}/namespaces/${encodeURIComponent(namespace)}/backups`;
  return {
    async *list(namespace, signal) {
      let next = '';
      do {
        const query = `limit=${PAGE_OBJECTS}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`;
        const path = `${folder(namespace)}?${query}`;
        const page = (await http.request({ method: 'GET', path, ...(signal === undefined ? {} : { signal }) })) as Page;
        yield* page.items ?? [];
        next = page.metadata?.continue ?? '';
      } while (next !== '');
    },
    async remove(namespace, name, uid, signal) {
      const path = `${folder(namespace)}/${encodeURIComponent(name)}`;
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } };
      try {
        await http.request({ method: 'DELETE', path, body, ...(signal === undefined ? {} : { signal }) });
        return true;
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return true;
        if (error instanceof KubeError && error.status === 409) return false;
        throw error;
      }
    },
  };
}

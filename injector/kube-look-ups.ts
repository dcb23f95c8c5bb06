// What the admission door asks of the API server on demand, by the generated client.
import { type ConfigurationOptions, createConfiguration } from '@kubernetes/client-node';
import { KubeError } from '../api/wire/kube-http.ts';
import type { KubeAccess, Resource } from './kube-config.ts';
import { type Asked, kubeFailure } from './kube-failure.ts';
import { MissingObjectError } from './reads.ts';
import { isObjectName } from './shape.ts';

export type LookUpPort = {
  /** Names of the keys of a Secret, never their values; undefined when there is no such Secret. */
  secretKeys(namespace: string, name: string, signal: AbortSignal): Promise<string[] | undefined>;
  /** A Backup as JSON; undefined when there is none. */
  backup(namespace: string, name: string, signal: AbortSignal): Promise<unknown>;
  /** Also of a namespace that has gone. */
  isNamespaceTerminating(namespace: string, signal: AbortSignal): Promise<boolean>;
};

/**
 * Nothing is asked before the first call. Calls end with the signal, and throw PreconditionError when they are forbidden,
 * KubeError otherwise.
 */
export function lookUpPort({ core, api }: Pick<KubeAccess, 'core' | 'api'>, backups: Resource): LookUpPort {
  return {
    async secretKeys(namespace, name, signal) {
      const asked = { verb: 'read', kind: 'Secret', plural: 'secrets', namespace, name };
      const secret = await find(asked, () => core.readNamespacedSecret({ namespace, name }, endingWith(signal)));
      return secret && Object.keys(secret.data ?? {});
    },
    backup(namespace, name, signal) {
      const { group, version, plural, kind } = backups;
      return find({ verb: 'read', kind, plural, namespace, name }, () =>
        api.getNamespacedCustomObject({ group, version, plural, namespace, name }, endingWith(signal)),
      );
    },
    async isNamespaceTerminating(name, signal) {
      const asked = { verb: 'read', kind: 'Namespace', plural: 'namespaces', namespace: '', name };
      const namespace = await find(asked, () => core.readNamespace({ name }, endingWith(signal)));
      return namespace === undefined || namespace.metadata?.deletionTimestamp !== undefined;
    },
  };
}

/** Of names that people write: `.` would be another path, and answered with a list. */
async function find<T>(asked: Asked, read: () => Promise<T>): Promise<T | undefined> {
  if (!isObjectName(asked.name)) return undefined;
  try {
    return await read();
  } catch (error) {
    const { verb, plural, namespace, name } = asked;
    // The parser's message repeats a piece of the answer, which may be a Secret.
    if (error instanceof SyntaxError) {
      throw new KubeError({ method: verb, path: `${plural} ${namespace}/${name}`, reason: 'the answer is not JSON' });
    }
    const failure = kubeFailure(error, asked);
    if (failure instanceof MissingObjectError) return undefined;
    throw failure;
  }
}

/** The client has no argument for a signal: it is put beside the limit that every request has. */
function endingWith(signal: AbortSignal): ConfigurationOptions {
  const { middleware } = createConfiguration({
    promiseMiddleware: [
      {
        async pre(context) {
          const limit = context.getSignal();
          context.setSignal(limit === undefined ? signal : AbortSignal.any([limit, signal]));
          return context;
        },
        post: async (context) => context,
      },
    ],
  });
  return { middleware, middlewareMergeStrategy: 'append' };
}

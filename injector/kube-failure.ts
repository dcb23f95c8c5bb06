// What the API server refused, in our own words: the generated client's message would repeat headers and body.
import { ApiException } from '@kubernetes/client-node';
import { messageOf, PreconditionError } from '../api/errors.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import { MissingObjectError } from './reads.ts';

/** What was asked for; `name` is empty for a list. */
export type Asked = { verb: string; kind: string; plural: string; namespace: string; name: string };

/**
 * Turns what the generated client throws into MissingObjectError, PreconditionError when the API server forbids it, and
 * KubeError otherwise.
 */
export function kubeFailure(error: unknown, { verb, kind, plural, namespace, name }: Asked): Error {
  const status = error instanceof ApiException ? error.code : undefined;
  if (status === 404) return new MissingObjectError(kind, namespace, name, { cause: error });
  const reason = reasonOf(error);
  if (status === 403) {
    const hint = `allow the plugin's service account to ${verb} ${plural}`;
    return new PreconditionError(`${kind} ${namespace}/${name}: ${reason}`, { cause: error, hint });
  }
  const facts = { method: verb, path: `${plural} ${namespace}/${name}`, reason };
  return new KubeError(status === undefined ? facts : { ...facts, status }, { cause: error });
}

/** The API server's own words. */
function reasonOf(error: unknown): string {
  if (!(error instanceof ApiException)) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return messageOf(cause);
  }
  try {
    const { message } = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    if (typeof message === 'string' && message !== '') return message;
  } catch {
    // No Status object: a proxy answered.
  }
  return error.code === 401 ? 'the API server does not accept our token' : 'refused without a reason';
}

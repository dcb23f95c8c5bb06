// Events by the generated client. They are of the core API, which its client of custom objects does not serve.
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import { PreconditionError } from '../api/errors.ts';
import type { EventPort } from '../api/wire/events.ts';
import type { KubeAccess } from './kube-config.ts';
import { kubeFailure } from './kube-failure.ts';
import { MissingObjectError } from './reads.ts';

const EVENTS = { kind: 'Event', plural: 'events' };

/** Nothing is asked before the first Event. */
export function eventPort({ core }: Pick<KubeAccess, 'core'>): EventPort {
  return {
    async create(event) {
      const { namespace, name } = event.metadata;
      try {
        // The client sends times as it gets them; its types want Dates, whose milliseconds the API server refuses here.
        await core.createNamespacedEvent({ namespace, body: event as never });
      } catch (error) {
        throw kubeFailure(error, { ...EVENTS, verb: 'create', namespace, name });
      }
    },
    async repeat(namespace, name, repetition) {
      try {
        const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
        await core.patchNamespacedEvent({ namespace, name, body: repetition }, mergePatch);
      } catch (error) {
        throw kubeFailure(error, { ...EVENTS, verb: 'patch', namespace, name });
      }
    },
    isForbidden: (error) => error instanceof PreconditionError && !(error instanceof MissingObjectError),
  };
}

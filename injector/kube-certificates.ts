// Secrets and webhook configurations by the generated client, for certificates that we keep ourselves.
import type {
  CertificatePort,
  ConfigurationKind,
  SecretObject,
  WebhookConfigurationObject,
} from '../api/wire/certificate-secrets.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import type { KubeAccess } from './kube-config.ts';
import { type Asked, kubeFailure } from './kube-failure.ts';
import { MissingObjectError } from './reads.ts';

const PLURALS: Record<ConfigurationKind, string> = {
  ValidatingWebhookConfiguration: 'validatingwebhookconfigurations',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
};

/** Nothing is asked before the first call. Calls throw PreconditionError when they are forbidden, and KubeError otherwise. */
export function certificatePort({ core, api }: Pick<KubeAccess, 'core' | 'api'>): CertificatePort {
  return {
    secret: (namespace, name) =>
      // The client types every field as possibly absent; the API server has none without metadata.
      find(
        asked('read', namespace, name),
        () => core.readNamespacedSecret({ namespace, name }) as Promise<SecretObject>,
      ),
    createSecret: (secret) => {
      const { namespace, name } = secret.metadata;
      return write(asked('create', namespace, name), () => core.createNamespacedSecret({ namespace, body: secret }));
    },
    replaceSecret: (secret) => {
      const { namespace, name } = secret.metadata;
      return write(asked('update', namespace, name), () =>
        core.replaceNamespacedSecret({ namespace, name, body: secret }),
      );
    },
    configuration: (kind, name) =>
      find<WebhookConfigurationObject>(askedOf(kind, 'read', name), () =>
        api.getClusterCustomObject({ ...placeOf(kind), name }),
      ),
    replaceConfiguration: (kind, body) => {
      const { name } = body.metadata;
      // The client of custom objects sends what it is given, fields that our client does not know too.
      return write(askedOf(kind, 'update', name), () =>
        api.replaceClusterCustomObject({ ...placeOf(kind), name, body }),
      );
    },
  };
}

function placeOf(kind: ConfigurationKind) {
  return { group: 'admissionregistration.k8s.io', version: 'v1', plural: PLURALS[kind] };
}

function asked(verb: string, namespace: string, name: string): Asked {
  return { verb, kind: 'Secret', plural: 'secrets', namespace, name };
}

function askedOf(kind: ConfigurationKind, verb: string, name: string): Asked {
  return { verb, kind, plural: PLURALS[kind], namespace: '', name };
}

async function find<T>(question: Asked, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const failure = kubeFailure(error, question);
    if (failure instanceof MissingObjectError) return undefined;
    throw failure;
  }
}

/** False when somebody else was faster. Of a replacement that is also an object that has gone. */
async function write(question: Asked, send: () => Promise<unknown>): Promise<boolean> {
  try {
    await send();
    return true;
  } catch (error) {
    const failure = kubeFailure(error, question);
    if (failure instanceof KubeError && failure.status === 409) return false;
    if (failure instanceof MissingObjectError && question.verb === 'update') return false;
    throw failure;
  }
}

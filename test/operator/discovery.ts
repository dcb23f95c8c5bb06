// How CloudNativePG finds a plugin: a Service of its own namespace with a label, three annotations and two Secrets
// (cnpg-i-contract.md §2.1). Pure.
import { createPrivateKey, X509Certificate } from 'node:crypto';

export type ServiceDocument = {
  metadata: {
    namespace: string;
    name: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
};

/** Decoded: what an API server would hold in base64. */
export type TlsSecret = { namespace: string; name: string; data: Record<string, string> };

export type Deployed = { services: readonly ServiceDocument[]; secrets: readonly TlsSecret[] };

/** A plugin that the operator knows, and how to reach it. */
export type Registration = {
  name: string;
  /** `<service>.<namespace>.svc:<port>` */
  address: string;
  serverName: string;
  /** `tls.crt` of the server Secret, whoever issued it. */
  serverCertificate: string;
  client: { cert: string; key: string };
};

export type RegistrationFailure =
  | 'ServerSecretNotFound'
  | 'ClientSecretNotFound'
  | 'InvalidPortAnnotation'
  | 'InvalidClientCertificate'
  | 'InvalidServerCertificate';

/** The Event on a Service. */
export type RegistrationEvent = { service: string; reason: RegistrationFailure | 'PluginRegistered' };

const LABEL_NAME = 'cnpg.io/pluginName';
const SERVER_SECRET = 'cnpg.io/pluginServerSecret';
const CLIENT_SECRET = 'cnpg.io/pluginClientSecret';
const PORT = 'cnpg.io/pluginPort';
const SERVER_NAME = 'cnpg.io/pluginServerName';

/** Services that are no plugins are passed over without a word; a plugin that cannot be used is an Event and forgotten. */
export function discover(
  deployed: Deployed,
  operatorNamespace: string,
): { plugins: Map<string, Registration>; events: RegistrationEvent[] } {
  const plugins = new Map<string, Registration>();
  const events: RegistrationEvent[] = [];
  for (const service of deployed.services) {
    if (!isPlugin(service, operatorNamespace)) continue;
    const found = register(service, deployed.secrets);
    if (typeof found !== 'string') plugins.set(found.name, found);
    events.push({ service: service.metadata.name, reason: typeof found === 'string' ? found : 'PluginRegistered' });
  }
  return { plugins, events };
}

function isPlugin({ metadata }: ServiceDocument, operatorNamespace: string): boolean {
  if (metadata.namespace !== operatorNamespace || !metadata.labels?.[LABEL_NAME]) return false;
  return [SERVER_SECRET, CLIENT_SECRET, PORT].every((key) => metadata.annotations?.[key] !== undefined);
}

function register({ metadata }: ServiceDocument, secrets: readonly TlsSecret[]): Registration | RegistrationFailure {
  const { namespace, name, labels = {}, annotations = {} } = metadata;
  const port = annotations[PORT] ?? '';
  if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > 65535) return 'InvalidPortAnnotation';
  const secretNamed = (key: string) =>
    secrets.find((secret) => secret.namespace === namespace && secret.name === annotations[key])?.data;
  const server = secretNamed(SERVER_SECRET);
  if (server === undefined) return 'ServerSecretNotFound';
  const client = secretNamed(CLIENT_SECRET);
  if (client === undefined) return 'ClientSecretNotFound';
  const [cert, key, serverCertificate] = [client['tls.crt'] ?? '', client['tls.key'] ?? '', server['tls.crt'] ?? ''];
  if (!isPair(cert, key)) return 'InvalidClientCertificate';
  if (!isCertificate(serverCertificate)) return 'InvalidServerCertificate';
  return {
    name: labels[LABEL_NAME] ?? '',
    address: `${name}.${namespace}.svc:${port}`,
    serverName: annotations[SERVER_NAME] ?? name,
    ...{ serverCertificate, client: { cert, key } },
  };
}

function isPair(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

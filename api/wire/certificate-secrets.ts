// How certificates and authorities lie in Secrets, and the port through which Secrets are read and written.
import { certificatesIn } from './certificate-plan.ts';
import type { KeyPair } from './certificates.ts';

/** A Secret as the API server gives it; values of `data` are base64. */
export type SecretObject = {
  apiVersion: 'v1';
  kind: 'Secret';
  type?: string;
  metadata: {
    name: string;
    namespace: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  data?: Record<string, string>;
};

/** A validating or mutating webhook configuration, as far as it is read; the rest is kept as it came. */
export type WebhookConfigurationObject = {
  metadata: { name: string; resourceVersion?: string };
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
};

export const CONFIGURATION_KINDS = ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration'] as const;
export type ConfigurationKind = (typeof CONFIGURATION_KINDS)[number];

/** Writes answer false when somebody else was faster: the object exists already, or has changed since it was read. */
export type CertificatePort = {
  secret(namespace: string, name: string): Promise<SecretObject | undefined>;
  createSecret(secret: SecretObject): Promise<boolean>;
  replaceSecret(secret: SecretObject): Promise<boolean>;
  configuration(kind: ConfigurationKind, name: string): Promise<WebhookConfigurationObject | undefined>;
  replaceConfiguration(kind: ConfigurationKind, configuration: WebhookConfigurationObject): Promise<boolean>;
};

const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'cellar' };
const TLS_TYPE = 'kubernetes.io/tls';

/** All authorities of the Secret, in its order: `ca.crt` and `ca.key` hold one of each after the other. */
export function readAuthorities(secret: SecretObject | undefined): KeyPair[] {
  const certs = certificatesIn(textOf(secret, 'ca.crt'));
  const keys = textOf(secret, 'ca.key').match(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/g) ?? [];
  return certs.flatMap((cert, index) => {
    const key = keys[index];
    return key === undefined ? [] : [{ cert, key }];
  });
}

/** The Secret of these authorities. */
export function authoritiesSecret(
  found: SecretObject | undefined,
  place: Place,
  pairs: readonly KeyPair[],
): SecretObject {
  return secretOf(found, place, 'Opaque', {
    'ca.crt': bundleOf(pairs),
    'ca.key': pairs.map(({ key }) => key).join(''),
  });
}

/** The certificate alone, without what follows it in the Secret, and its key; undefined where there is none. */
export function readLeaf(secret: SecretObject | undefined): KeyPair | undefined {
  const [cert] = certificatesIn(textOf(secret, 'tls.crt'));
  const key = textOf(secret, 'tls.key');
  return cert === undefined || key === '' ? undefined : { cert, key };
}

/**
 * The Secret of a certificate. All trusted authorities follow the certificate in `tls.crt`: CloudNativePG trusts what it finds
 * there and nothing else (cnpg-i-contract.md §2.2), so that it knows the next authority before that one signs.
 */
export function leafSecret(
  found: SecretObject | undefined,
  place: Place,
  leaf: KeyPair,
  trusted: readonly KeyPair[],
): SecretObject {
  const bundle = bundleOf(trusted);
  return secretOf(found, place, TLS_TYPE, {
    'tls.crt': `${leaf.cert}${bundle}`,
    'tls.key': leaf.key,
    'ca.crt': bundle,
  });
}

/** Whether writing would change nothing. */
export function isSameData(a: SecretObject | undefined, b: SecretObject): boolean {
  const entries = Object.entries(b.data ?? {});
  return (
    Object.keys(a?.data ?? {}).length === entries.length && entries.every(([key, value]) => a?.data?.[key] === value)
  );
}

export function bundleOf(pairs: readonly KeyPair[]): string {
  return pairs.map(({ cert }) => cert).join('');
}

export type Place = { namespace: string; name: string };

/** The type of a Secret that is there cannot be changed; annotations of others (cert-manager's) would be untrue. */
function secretOf(
  found: SecretObject | undefined,
  { namespace, name }: Place,
  type: string,
  texts: Record<string, string>,
): SecretObject {
  const { resourceVersion, labels } = found?.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: found?.type ?? type,
    metadata: {
      ...{ namespace, name, labels: { ...labels, ...MANAGED_BY } },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    data: Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
  };
}

function textOf(secret: SecretObject | undefined, key: string): string {
  return Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8');
}

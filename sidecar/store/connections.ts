// What a store's connections trust and through whom they go, for every provider.
import { rootCertificates } from 'node:tls';

export type ConnectionTrust = {
  /** Complete set of trusted CAs in PEM; undefined for Node's own. */
  trustedCertificates: readonly string[] | undefined;
  /** Variables that name proxies, as they are. */
  proxies: Record<string, string>;
};

/** What connections are made with where they are our own. */
export type HttpConnections = ConnectionTrust & {
  connectTimeoutMs: number;
  /** A connection on which nothing moves for so long is broken. */
  silenceTimeoutMs: number;
  maxSockets: number;
};

export const HTTP_LIMITS = { connectTimeoutMs: 10_000, silenceTimeoutMs: 60_000, maxSockets: 64 };

const PROXY_VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'];

/** `certificateAuthority` (PEM, of `endpointCA`) is added to the system's. */
export function connectionTrust(
  env: Record<string, string | undefined>,
  certificateAuthority: string | undefined,
): ConnectionTrust {
  return {
    trustedCertificates: certificateAuthority === undefined ? undefined : [...rootCertificates, certificateAuthority],
    proxies: Object.fromEntries(PROXY_VARIABLES.flatMap((name) => (env[name] ? [[name, env[name]]] : []))),
  };
}

// From flags to certificates in use: files that others renew, or Secrets that we keep.
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, PreconditionError } from '../api/errors.ts';
import { type CertificateKeeper, type KeeperOptions, openKeeper } from '../api/wire/certificate-keeper.ts';
import type { CertificatePort } from '../api/wire/certificate-secrets.ts';
import { type CertificateSource, followKeeper } from '../api/wire/certificate-source.ts';
import type { Log } from '../api/wire/log.ts';
import type { SelfMadeFlags } from './flags-certificates.ts';

const RETRY_MS = 2_000;

export type SelfMadeOptions = {
  port: CertificatePort;
  flags: SelfMadeFlags;
  /** Where the service account is; undefined outside of a cluster. */
  ownNamespace: string | undefined;
  withWebhook: boolean;
  log: Log;
};

/**
 * Waits until the API server lets us make or find our certificates: without them no door can be opened. Throws
 * PreconditionError when there is no namespace to keep them in.
 */
export async function keepCertificates(options: SelfMadeOptions): Promise<CertificateSource> {
  const { log } = options;
  const keeperOptions = keeperOptionsOf(options);
  let said = '';
  for (;;) {
    try {
      return followKeeper(await opened(keeperOptions));
    } catch (error) {
      const message = messageOf(error);
      if (message !== said) log.warn({ error: message }, 'certificates can be neither found nor made, trying again');
      said = message;
      await delay(RETRY_MS);
    }
  }
}

async function opened(options: KeeperOptions): Promise<CertificateKeeper> {
  const keeper = await openKeeper(options);
  options.log.info({ namespace: options.namespace }, 'certificates are kept in Secrets of this namespace');
  return keeper;
}

function keeperOptionsOf({ port, flags, ownNamespace, withWebhook, log }: SelfMadeOptions): KeeperOptions {
  const { secrets, services, configurations, durationMs, renewBeforeMs } = flags;
  const namespace = flags.namespace ?? ownNamespace;
  if (namespace === undefined) {
    throw new PreconditionError('self-made certificates have no namespace to be kept in', {
      hint: 'outside of a cluster say --certificate-namespace',
    });
  }
  const server = { use: 'server' as const, secret: secrets.server, usage: 'server' as const };
  const client = { use: 'client' as const, secret: secrets.client, usage: 'client' as const };
  const webhook = { use: 'webhook' as const, secret: secrets.webhook, usage: 'server' as const };
  return {
    ...{ port, namespace, log, authoritySecret: secrets.authority, lives: { durationMs, renewBeforeMs } },
    kept: [
      { ...server, ...namesOf(services.plugin, namespace) },
      { ...client, commonName: `${services.plugin}-client`, dnsNames: [] },
      ...(withWebhook ? [{ ...webhook, ...namesOf(services.webhook, namespace) }] : []),
    ],
    configurations: {
      ...(configurations.validating && { ValidatingWebhookConfiguration: configurations.validating }),
      ...(configurations.mutating && { MutatingWebhookConfiguration: configurations.mutating }),
    },
  };
}

/** CloudNativePG verifies the short name (cnpg-i-contract.md §2.2), the API server the one with the namespace. */
function namesOf(service: string, namespace: string): { commonName: string; dnsNames: string[] } {
  return { commonName: service, dnsNames: [service, `${service}.${namespace}`, `${service}.${namespace}.svc`] };
}

// Certificates that look after themselves: an authority and what it signs, kept in Secrets, renewed long before their end,
// and made known to those who must trust them. Replicas need no leader: whoever writes first wins, and all read what is there.
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, PreconditionError } from '../errors.ts';
import {
  type CertificateLives,
  type CertificatePaces,
  pacesOf,
  planAuthorities,
  signerOf,
  whyRenew,
} from './certificate-plan.ts';
import {
  authoritiesSecret,
  bundleOf,
  type CertificatePort,
  CONFIGURATION_KINDS,
  type ConfigurationKind,
  isSameData,
  leafSecret,
  type Place,
  readAuthorities,
  readLeaf,
} from './certificate-secrets.ts';
import { type CertificateUsage, issue, type KeyPair, makeAuthority } from './certificates.ts';
import type { Log } from './log.ts';
import type { Running } from './process.ts';

export type CertificateUse = 'webhook' | 'server' | 'client';

/** One certificate that is kept. */
export type KeptCertificate = {
  use: CertificateUse;
  secret: string;
  usage: CertificateUsage;
  commonName: string;
  dnsNames: string[];
};

export type KeeperOptions = {
  port: CertificatePort;
  namespace: string;
  authoritySecret: string;
  kept: KeptCertificate[];
  /** Those whose webhooks are to trust our authorities. */
  configurations: Partial<Record<ConfigurationKind, string>>;
  lives: CertificateLives;
  log: Log;
  now?: () => number;
};

/** What is in use now. */
export type KeptMaterial = {
  pairs: Partial<Record<CertificateUse, KeyPair>>;
  /** PEM of all authorities that count, the oldest first. */
  bundle: string;
};

export type CertificateKeeper = {
  current(): KeptMaterial;
  /** Called after every change. */
  onChange(listener: (material: KeptMaterial) => void): void;
  /** Looks now: renews what is due and takes over what others have written. Throws what the API server refuses. */
  look(): Promise<void>;
  /** Looks again and again until it is stopped; failures are logged, and what was there stays in use. */
  start(): Running;
};

/** Each lost race means that another replica has made progress. */
const MAX_LOST_RACES = 10;

/**
 * Makes or finds everything once, so that doors can be opened with it. Throws what the API server refuses: PreconditionError
 * when rights are missing, KubeError when it is out of reach.
 */
export async function openKeeper(options: KeeperOptions): Promise<CertificateKeeper> {
  const { port, namespace, log, lives, now = Date.now } = options;
  const paces = pacesOf(lives);
  const listeners: ((material: KeptMaterial) => void)[] = [];
  let material = await lookOnce();

  return {
    current: () => material,
    onChange: (listener) => void listeners.push(listener),
    look,
    start: () => repeat(look, paces, log),
  };

  async function look(): Promise<void> {
    const found = await lookOnce();
    if (JSON.stringify(found) === JSON.stringify(material)) return;
    material = found;
    for (const listener of listeners) listener(found);
  }

  async function lookOnce(): Promise<KeptMaterial> {
    const trusted = await settle(keepAuthorities, options.authoritySecret);
    // First: whoever is to verify what comes next must know the authority.
    await publish(bundleOf(trusted));
    const pairs: KeptMaterial['pairs'] = {};
    for (const kept of options.kept)
      pairs[kept.use] = await settle((place) => keepLeaf(kept, trusted, place), kept.secret);
    return { pairs, bundle: bundleOf(trusted) };
  }

  /** Until a round ends with what is stored. `undefined` is a lost race: what the other has written is read next. */
  async function settle<T>(round: (place: Place) => Promise<T | undefined>, name: string): Promise<T> {
    for (let lost = 0; lost < MAX_LOST_RACES; lost += 1) {
      const result = await round({ namespace, name });
      if (result !== undefined) return result;
    }
    throw new PreconditionError(`Secret ${namespace}/${name} changes all the time`, {
      hint: 'find out what else writes it, for example a Certificate of cert-manager',
    });
  }

  async function keepAuthorities(place: Place): Promise<KeyPair[] | undefined> {
    const found = await port.secret(place.namespace, place.name);
    const known = readAuthorities(found);
    const { trusted, newOneDue } = planAuthorities(known, paces, now());
    if (!newOneDue && trusted.length === known.length) return trusted;
    if (newOneDue) {
      const validity = { validMs: paces.authorityValidMs, at: now() };
      // A name of its own: whoever verifies finds the authority by its name.
      const commonName = `cellar ${new Date(now()).toISOString()}`;
      trusted.push(await makeAuthority({ commonName, ...validity }));
    }
    const wanted = authoritiesSecret(found, place, trusted);
    if (!(await (found === undefined ? port.createSecret(wanted) : port.replaceSecret(wanted)))) return undefined;
    log.info({ secretName: place.name, authorities: trusted.length }, 'certificate authorities are renewed');
    return trusted;
  }

  async function keepLeaf(
    { commonName, dnsNames, usage, use }: KeptCertificate,
    trusted: KeyPair[],
    place: Place,
  ): Promise<KeyPair | undefined> {
    const found = await port.secret(place.namespace, place.name);
    const stored = readLeaf(found);
    const signer = signerOf(trusted, lives, paces, now());
    if (signer === undefined) throw new Error('there is no authority to sign with');
    const reason = whyRenew(stored, { signer, trusted, dnsNames }, lives, now());
    const leaf =
      stored !== undefined && reason === undefined
        ? stored
        : await issue(signer, { commonName, dnsNames, usages: [usage], validMs: lives.durationMs, at: now() });
    const wanted = leafSecret(found, place, leaf, trusted);
    if (isSameData(found, wanted)) return leaf;
    if (!(await (found === undefined ? port.createSecret(wanted) : port.replaceSecret(wanted)))) return undefined;
    if (reason !== undefined) log.info({ use, secretName: place.name, reason }, 'a certificate was made');
    return leaf;
  }

  async function publish(bundle: string): Promise<void> {
    const caBundle = Buffer.from(bundle).toString('base64');
    for (const kind of CONFIGURATION_KINDS) {
      const name = options.configurations[kind];
      if (name !== undefined) await publishIn(kind, name, caBundle);
    }
  }

  /** Charts are applied in any order: a configuration that is not there yet gets its bundle at a later look. */
  async function publishIn(kind: ConfigurationKind, name: string, caBundle: string): Promise<void> {
    for (let lost = 0; lost < MAX_LOST_RACES; lost += 1) {
      const found = await port.configuration(kind, name);
      const webhooks = found?.webhooks ?? [];
      if (found === undefined || webhooks.every(({ clientConfig }) => clientConfig.caBundle === caBundle)) return;
      const changed = webhooks.map((hook) => ({ ...hook, clientConfig: { ...hook.clientConfig, caBundle } }));
      if (!(await port.replaceConfiguration(kind, { ...found, webhooks: changed }))) continue;
      log.info({ kind, name }, 'the webhook configuration trusts our authorities');
      return;
    }
    throw new PreconditionError(`${kind} ${name} changes all the time`, {
      hint: 'find out what else writes its caBundle',
    });
  }
}

function repeat(look: () => Promise<void>, { lookMs }: CertificatePaces, log: Log): Running {
  const stopping = new AbortController();
  let said = '';
  const running = (async () => {
    while (!stopping.signal.aborted) {
      // Jitter: replicas that started together would go on losing races against each other.
      await delay(lookMs * (0.8 + Math.random() * 0.4), undefined, { signal: stopping.signal, ref: false }).catch(
        () => {},
      );
      if (stopping.signal.aborted) return;
      try {
        await look();
        said = '';
      } catch (error) {
        const message = messageOf(error);
        if (message !== said) log.warn({ error: message }, 'certificates stay as they were, and are looked at again');
        said = message;
      }
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

// Which authority signs, which are trusted, and when a certificate is due for renewal: decided from what the Secrets hold
// and the time, and from nothing else, so that every replica decides the same.
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { CLOCK_SKEW_MS, type KeyPair } from './certificates.ts';

/** How long certificates live, milliseconds. */
export type CertificateLives = {
  /** Of a server's or client's certificate. */
  durationMs: number;
  /** A certificate that ends earlier than this is made anew. */
  renewBeforeMs: number;
};

/** What follows from the lives. */
export type CertificatePaces = {
  authorityValidMs: number;
  /** An authority that ends earlier than this gets a successor; more than a certificate's whole life, so that none outlives its authority. */
  authorityRenewBeforeMs: number;
  /** How long a new authority is only trusted before it signs: all who must trust it have learnt of it by then. */
  settleMs: number;
  /** Pause between two looks at the Secrets. */
  lookMs: number;
};

const MAX_SETTLE_MS = 10 * 60_000;
const MAX_LOOK_MS = 60_000;

export function pacesOf({ durationMs, renewBeforeMs }: CertificateLives): CertificatePaces {
  return {
    authorityValidMs: 3 * durationMs,
    authorityRenewBeforeMs: 1.5 * durationMs,
    settleMs: Math.min(MAX_SETTLE_MS, renewBeforeMs / 4),
    lookMs: Math.min(MAX_LOOK_MS, renewBeforeMs / 20),
  };
}

/** The authorities that count now, the oldest first, and whether a new one is due. */
export type AuthorityPlan = { trusted: KeyPair[]; newOneDue: boolean };

/** Expired authorities go, all others stay trusted: certificates that they signed are still in use. */
export function planAuthorities(known: readonly KeyPair[], paces: CertificatePaces, now: number): AuthorityPlan {
  const trusted = known
    .filter((pair) => isAuthority(pair) && endOf(pair.cert) > now)
    .toSorted((a, b) => endOf(a.cert) - endOf(b.cert));
  const newest = trusted.at(-1);
  return { trusted, newOneDue: newest === undefined || endOf(newest.cert) - now < paces.authorityRenewBeforeMs };
}

/**
 * The authority that signs: the newest that has settled. Without one it is the oldest, whom everybody has known for longest,
 * unless its end is too near.
 */
export function signerOf(
  trusted: readonly KeyPair[],
  lives: CertificateLives,
  paces: CertificatePaces,
  now: number,
): KeyPair | undefined {
  const usable = trusted.filter(({ cert }) => endOf(cert) - now > lives.renewBeforeMs);
  const settled = usable.filter(({ cert }) => now - birthOf(cert) >= paces.settleMs);
  return settled.at(-1) ?? usable[0] ?? trusted.at(-1);
}

/** What a certificate must be like. */
export type LeafWish = { signer: KeyPair; trusted: readonly KeyPair[]; dnsNames: readonly string[] };

/** Why a certificate has to be made anew; undefined while it serves. */
export function whyRenew(
  leaf: KeyPair | undefined,
  wish: LeafWish,
  lives: CertificateLives,
  now: number,
): string | undefined {
  if (leaf === undefined) return 'there is none';
  const certificate = certificateOf(leaf.cert);
  if (certificate === undefined || !fits(leaf)) return 'it is not usable';
  const issuer = wish.trusted.find(({ cert }) => isIssuedBy(certificate, cert));
  if (issuer === undefined) return 'it is not of our authority';
  const missing = wish.dnsNames.filter((name) => certificate.checkHost(name) === undefined);
  if (missing.length > 0) return `it does not name ${missing.join(', ')}`;
  if (certificate.validToDate.getTime() - now < lives.renewBeforeMs) return 'its end is near';
  // What the leaving authority signed is replaced long before that one ends.
  return issuer.cert === wish.signer.cert ? undefined : 'another authority signs now';
}

/** Unix milliseconds of a PEM certificate's end; of several the first counts. */
export function endOf(pem: string): number {
  return certificateOf(pem)?.validToDate.getTime() ?? 0;
}

/** Milliseconds from a PEM certificate's beginning to its end; of several the first counts. */
export function lifeOf(pem: string): number {
  return endOf(pem) - (certificateOf(pem)?.validFromDate.getTime() ?? 0);
}

/** The certificates of a PEM text, one text each. */
export function certificatesIn(pem: string): string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((text) => `${text}\n`);
}

function birthOf(pem: string): number {
  return (certificateOf(pem)?.validFromDate.getTime() ?? 0) + CLOCK_SKEW_MS;
}

function isAuthority(pair: KeyPair): boolean {
  return certificateOf(pair.cert)?.ca === true && fits(pair);
}

function isIssuedBy(certificate: X509Certificate, authority: string): boolean {
  const issuer = certificateOf(authority);
  return issuer !== undefined && certificate.verify(issuer.publicKey);
}

function fits({ cert, key }: KeyPair): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false;
  }
}

function certificateOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

// Certificates made on the spot: for the demo, tests, and installations without cert-manager. ECDSA P-256, in memory.
import { randomBytes, webcrypto } from 'node:crypto';
import type { Extension, X509CertificateCreateParamsName } from '@peculiar/x509';

/** A certificate and its private key, both PEM. Error messages never contain either. */
export type KeyPair = { cert: string; key: string };

export type CertificateUsage = 'server' | 'client';

export type CertificateRequest = {
  commonName: string;
  dnsNames?: string[];
  ipAddresses?: string[];
  usages: CertificateUsage[];
} & Validity;

export type Validity = {
  /** How long it is valid from `at`, milliseconds; it begins CLOCK_SKEW_MS earlier, for clocks that go slow. */
  validMs: number;
  /** Unix milliseconds; now when left out. */
  at?: number;
};

/** How long before it was made a certificate says to be valid: whoever wants its age adds this to its beginning. */
export const CLOCK_SKEW_MS = 5 * 60_000;

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Makes a certificate that vouches for itself and for nobody else, as cert-manager's self-signed issuer does. */
export async function makeSelfSigned(request: CertificateRequest): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  return create(request.commonName, request, keys, await leafExtensions(request));
}

/** Makes an authority that can issue. */
export async function makeAuthority(request: { commonName: string } & Validity): Promise<KeyPair> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  return create(request.commonName, request, keys, [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
  ]);
}

/** Makes a certificate signed by an authority. Throws what the parser throws when the authority is not usable. */
export async function issue(authority: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.cert);
  const pkcs8 = x509.PemConverter.decodeFirst(authority.key);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  // Of two authorities of one name OpenSSL tries the first only, unless the certificate says whose key signed it.
  const issuedBy = await x509.AuthorityKeyIdentifierExtension.create(issuer);
  const extensions = [...(await leafExtensions(request)), issuedBy];
  return create(request.commonName, request, keys, extensions, { name: issuer.subject, signingKey });
}

async function create(
  commonName: string,
  { validMs, at = Date.now() }: Validity,
  keys: webcrypto.CryptoKeyPair,
  extensions: Extension[],
  issuer?: { name: string; signingKey: webcrypto.CryptoKey },
): Promise<KeyPair> {
  const x509 = await loadX509();
  const subject: X509CertificateCreateParamsName = [{ CN: [commonName] }];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer?.name ?? subject,
    notBefore: new Date(at - CLOCK_SKEW_MS),
    notAfter: new Date(at + validMs),
    publicKey: keys.publicKey,
    signingKey: issuer?.signingKey ?? keys.privateKey,
    signingAlgorithm: SIGNATURE,
    extensions: [...extensions, await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: `${certificate.toString('pem')}\n`, key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n` };
}

async function leafExtensions(request: CertificateRequest): Promise<Extension[]> {
  const x509 = await loadX509();
  const names = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const usages = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth };
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(request.usages.map((usage) => usages[usage])),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
  ];
}

/** 127 random bits: positive, and never zero in front, as DER wants it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** Loaded at the first use: it takes 20 MiB, and most processes read certificates and make none. */
async function loadX509() {
  // https://github.com/PeculiarVentures/x509#%EF%B8%8F-reflect-polyfill-required
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

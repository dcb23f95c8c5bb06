// The flags about certificates: files as the Go plugin takes them, or names of Secrets that we keep ourselves.
import { InvalidInputError } from '../api/errors.ts';
import type { CertificateFiles } from '../api/wire/certificate-source.ts';

export const CERTIFICATE_FLAGS = {
  certificates: { type: 'string', default: 'files' },
  'server-cert': { type: 'string' },
  'server-key': { type: 'string' },
  'client-cert': { type: 'string' },
  'webhook-cert': { type: 'string' },
  'webhook-key': { type: 'string' },
  'ca-secret': { type: 'string' },
  'server-secret': { type: 'string' },
  'client-secret': { type: 'string' },
  'webhook-secret': { type: 'string' },
  'plugin-service': { type: 'string' },
  'webhook-service': { type: 'string' },
  'validating-configuration': { type: 'string' },
  'mutating-configuration': { type: 'string' },
  'certificate-duration': { type: 'string' },
  'certificate-renew-before': { type: 'string' },
  'certificate-namespace': { type: 'string' },
} as const;

type Flag = keyof typeof CERTIFICATE_FLAGS;
export type CertificateValues = { [flag in Flag]?: string | undefined };

/** Names of what is kept, and how long certificates live. */
export type SelfMadeFlags = {
  secrets: { authority: string; server: string; client: string; webhook: string };
  services: { plugin: string; webhook: string };
  configurations: { validating: string | undefined; mutating: string | undefined };
  durationMs: number;
  renewBeforeMs: number;
  /** Undefined: that of the service account. */
  namespace: string | undefined;
};

export type CertificateFlags = { mode: 'files'; files: CertificateFiles } | ({ mode: 'self-made' } & SelfMadeFlags);

const FILE_FLAGS: Flag[] = ['server-cert', 'server-key', 'client-cert', 'webhook-cert', 'webhook-key'];

/** Those of the Go plugin's manifest and chart: a switch from one to the other finds the same names. */
const DEFAULTS = {
  'ca-secret': 'cellar-ca',
  'server-secret': 'barman-cloud-server-tls',
  'client-secret': 'barman-cloud-client-tls',
  'webhook-secret': 'cellar-webhook-tls',
  'plugin-service': 'barman-cloud',
  'webhook-service': 'cellar-webhook',
  'certificate-duration': '2160h',
  'certificate-renew-before': '360h',
};

/** Reads them. Throws InvalidInputError naming the flag that is missing, malformed, or of the other mode. */
export function readCertificateFlags(values: CertificateValues, withWebhook: boolean): CertificateFlags {
  if (values.certificates === 'self-made') return { mode: 'self-made', ...readSelfMade(values) };
  if (values.certificates !== 'files') {
    throw new InvalidInputError('--certificates', values.certificates, 'use files or self-made');
  }
  const strangers = Object.keys(CERTIFICATE_FLAGS) as Flag[];
  refuse(
    values,
    strangers.filter((flag) => flag !== 'certificates' && !FILE_FLAGS.includes(flag)),
    'is for --certificates=self-made only',
  );
  const file = (flag: Flag): string => {
    const path = values[flag];
    if (path) return path;
    throw new InvalidInputError(`--${flag}`, path, 'must be the path of a PEM file, unless --certificates=self-made');
  };
  const plugin = { serverCert: file('server-cert'), serverKey: file('server-key'), clientCert: file('client-cert') };
  const webhook = withWebhook ? { cert: file('webhook-cert'), key: file('webhook-key') } : undefined;
  return { mode: 'files', files: { plugin, webhook } };
}

function readSelfMade(values: CertificateValues): SelfMadeFlags {
  refuse(values, FILE_FLAGS, 'is for --certificates=files only');
  const value = (flag: keyof typeof DEFAULTS): string => values[flag] || DEFAULTS[flag];
  const secrets = {
    authority: value('ca-secret'),
    server: value('server-secret'),
    client: value('client-secret'),
    webhook: value('webhook-secret'),
  };
  if (new Set(Object.values(secrets)).size < 4) {
    throw new InvalidInputError('--*-secret', Object.values(secrets).join(', '), 'must be four different names');
  }
  const durationMs = readDuration('certificate-duration', value('certificate-duration'));
  const renewBeforeMs = readDuration('certificate-renew-before', value('certificate-renew-before'));
  if (renewBeforeMs > durationMs / 2) {
    const advice = `must be at most half of --certificate-duration, which is ${value('certificate-duration')}`;
    throw new InvalidInputError('--certificate-renew-before', value('certificate-renew-before'), advice);
  }
  return {
    secrets,
    services: { plugin: value('plugin-service'), webhook: value('webhook-service') },
    configurations: {
      validating: values['validating-configuration'] || undefined,
      mutating: values['mutating-configuration'] || undefined,
    },
    ...{ durationMs, renewBeforeMs, namespace: values['certificate-namespace'] || undefined },
  };
}

/** A flag that would be silently ignored is a mistake that somebody finds out about too late. */
function refuse(values: CertificateValues, flags: readonly Flag[], advice: string): void {
  for (const flag of flags) {
    if (values[flag] !== undefined) throw new InvalidInputError(`--${flag}`, values[flag], advice);
  }
}

const UNITS_MS = { h: 3_600_000, m: 60_000, s: 1000 };

/** As Go writes durations: `2160h`, `1h30m`, `20s`. */
export function readDuration(flag: string, text: string): number {
  const parts = [...text.matchAll(/(\d{1,9})([hms])/g)];
  const durationMs = parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS_MS[unit as 'h' | 'm' | 's'], 0);
  if (durationMs > 0 && parts.map(([part]) => part).join('') === text) return durationMs;
  throw new InvalidInputError(`--${flag}`, text, 'must be a duration such as 2160h, 90m or 20s');
}

// When certificates end: a metric always, a line in the log when the end is near, and not ready only when it has come.
import { endOf, lifeOf } from './certificate-plan.ts';
import type { CertificateSet, CertificateSource } from './certificate-source.ts';
import type { Log } from './log.ts';
import type { Running } from './process.ts';

export type ExpiryWatch = Running & {
  /**
   * What this process presents and has expired, in a sentence; undefined while all serve. The client's certificate does not count:
   * it is for CloudNativePG to present, and the admission door does without.
   */
  problem(): string | undefined;
  /** Text format of Prometheus. */
  metrics(): string;
};

const METRIC = 'cellar_certificate_expiry_timestamp_seconds';

/** Below this the line in the log begins: what renews certificates should have done it by then. */
const NEAR_MS = 7 * 24 * 3_600_000;
/** Of a certificate that lives shorter, this part of its whole life. */
const NEAR_PART = 1 / 10;
const LOOK_MS = 60 * 60_000;

type Closeness = 'far' | 'near' | 'expired';

/** Watches the certificates of a source. Each says once that it is near its end, and once that it has ended. */
export function watchExpiry(
  source: Pick<CertificateSource, 'current' | 'onChange'>,
  options: { log: Log; now?: () => number },
): ExpiryWatch {
  const { log, now = Date.now } = options;
  const said = new Map<string, Closeness>();
  const look = (): void => {
    for (const [use, pem] of certificatesOf(source.current())) {
      const closeness = closenessOf(pem, now());
      const before = said.get(use) ?? 'far';
      said.set(use, closeness);
      if (closeness === before || closeness === 'far') continue;
      const facts = { use, notAfter: new Date(endOf(pem)).toISOString() };
      if (closeness === 'expired') log.error(facts, 'a certificate has expired');
      else log.warn(facts, 'a certificate ends soon and was not renewed');
    }
  };
  look();
  source.onChange(look);
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return {
    problem() {
      look();
      const presented = certificatesOf(source.current()).filter(([use]) => use !== 'client');
      const expired = presented.find(([, pem]) => endOf(pem) <= now());
      if (expired === undefined) return undefined;
      const [use, pem] = expired;
      return `the ${use} certificate has expired at ${new Date(endOf(pem)).toISOString()}`;
    },
    metrics() {
      const lines = certificatesOf(source.current()).map(
        ([use, pem]) => `${METRIC}{use="${use}"} ${endOf(pem) / 1000}\n`,
      );
      return `# HELP ${METRIC} End of the certificate, Unix seconds.\n# TYPE ${METRIC} gauge\n${lines.join('')}`;
    },
    async stop() {
      clearInterval(timer);
    },
  };
}

function certificatesOf({ plugin, client, webhook }: CertificateSet): [string, string][] {
  return [
    ['server', plugin.cert],
    ['client', client],
    ...(webhook === undefined ? [] : [['webhook', webhook.cert] satisfies [string, string]]),
  ];
}

function closenessOf(pem: string, now: number): Closeness {
  const restMs = endOf(pem) - now;
  if (restMs <= 0) return 'expired';
  return restMs < Math.min(NEAR_MS, lifeOf(pem) * NEAR_PART) ? 'near' : 'far';
}

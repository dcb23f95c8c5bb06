// Where a store is: the bucket's URL, the endpoint, what goes with which provider (rules B12, B13, B15, B16, C1, C2).
import { onlyProvider, type ProviderBlock } from './credentials.ts';
import type { Draft } from './draft.ts';
import type { Finding } from './rule.ts';
import { show, showUrl } from './show.ts';

const DESTINATION = 'spec.configuration.destinationPath';
const ENDPOINT = 'spec.configuration.endpointURL';
const ENDPOINT_CA = 'spec.configuration.endpointCA';

const FORMS: Record<ProviderBlock, { pattern: RegExp; form: string; name: string }> = {
  s3Credentials: { pattern: /^s3:\/\/[^/?#\s]+(\/[^?#]*)?$/i, form: 's3://BUCKET[/PREFIX]', name: 'S3' },
  googleCredentials: {
    pattern: /^(gs:\/\/|https:\/\/console\.cloud\.google\.com\/storage\/browser\/)[^/?#\s]+(\/[^?#]*)?$/,
    form: 'gs://BUCKET[/PREFIX]',
    name: 'Google Cloud Storage',
  },
  azureCredentials: {
    pattern: /^https?:\/\/[^/?#\s]+\/[^/?#\s]+(\/[^?#]*)?$/i,
    form: 'https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX]',
    name: 'Azure Blob Storage',
  },
};

export function destinationForm({ configuration }: Draft): Finding[] {
  const provider = onlyProvider(configuration);
  const { destinationPath } = configuration;
  if (provider === undefined || !destinationPath || FORMS[provider].pattern.test(destinationPath)) return [];
  const { form, name } = FORMS[provider];
  const meant = provider === 'azureCredentials' ? undefined : destinationMeant(destinationPath, provider);
  const hint = meant === undefined ? '' : `did you mean ${meant}? `;
  return [
    {
      path: DESTINATION,
      found: showUrl(destinationPath),
      advice: `${hint}destinationPath must look like ${form} for ${name}`,
      offending: [provider, destinationPath],
    },
  ];
}

/** The scheme left out, of the wrong kind, or with the wrong number of slashes. */
function destinationMeant(url: string, provider: ProviderBlock): string | undefined {
  const [, place] =
    /^(?:(?:s3a?|gs|gcs):\/*|\/*)([a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:\/[\w./-]{0,100})?)$/i.exec(url) ?? [];
  if (place === undefined) return undefined;
  return `${provider === 's3Credentials' ? 's3' : 'gs'}://${place}`;
}

/**
 * Barman takes Azure hosts outside blob.core.windows.net for emulators: those log in by connection string only, and the
 * path begins with the account. Hosts `ACCOUNT.blob.…` of other Azure clouds name the account themselves.
 */
export function azureEmulator({ configuration }: Draft): Finding[] {
  const url = configuration.destinationPath;
  if (!url || onlyProvider(configuration) !== 'azureCredentials') return [];
  const match = /^https?:\/\/([^/?#\s]+)\/([^/?#\s]+)(?:\/([^/?#]*)|$)/i.exec(url);
  const [, host = '', , container] = match ?? [];
  if (match === null || /(^|\.)blob\.core\.windows\.net$/i.test(host)) return [];
  const hasString = configuration.azureCredentials?.connectionString !== undefined;
  const found = showUrl(url);
  const offending = [url, hasString];
  const findings: Finding[] = [];
  if (!hasString) {
    const advice = 'emulated and sovereign endpoints need a connection string: set azureCredentials.connectionString';
    findings.push({ path: DESTINATION, found, advice, offending });
  }
  if (!container && !/^[^.]+\.blob\./i.test(host)) {
    const advice = 'outside blob.core.windows.net it must look like http://HOST:PORT/ACCOUNT/CONTAINER[/PREFIX]';
    findings.push({ path: DESTINATION, found, advice, offending: url });
  }
  return findings;
}

export function authorityWithGoogle({ configuration }: Draft): Finding[] {
  if (configuration.endpointCA === undefined || onlyProvider(configuration) !== 'googleCredentials') return [];
  return [{ path: ENDPOINT_CA, found: 'a selector', advice: 'ignored for Google Cloud Storage; remove it' }];
}

export function encryptionOutsideS3({ configuration }: Draft): Finding[] {
  const provider = onlyProvider(configuration);
  if (provider === undefined || provider === 's3Credentials') return [];
  return (['wal', 'data'] as const).flatMap((part) => {
    const encryption = configuration[part]?.encryption;
    if (encryption === undefined) return [];
    const path = `spec.configuration.${part}.encryption`;
    return [{ path, found: show(encryption), advice: 'only used with S3; remove it' }];
  });
}

/** An empty endpointURL works as none, and templates write it. */
export function endpointForm({ configuration: { endpointURL } }: Draft): Finding[] {
  if (!endpointURL || isPlainEndpoint(endpointURL)) return [];
  const meant = /^[a-z0-9][a-z0-9.-]{0,100}(:\d{1,5})?\/?$/i.test(endpointURL)
    ? `did you mean https://${endpointURL} or http://${endpointURL}? `
    : '';
  const rule = 'not a valid endpoint URL: write http(s)://HOST[:PORT], without user, password and query';
  return [{ path: ENDPOINT, found: showUrl(endpointURL), advice: meant + rule, offending: endpointURL }];
}

function isPlainEndpoint(endpoint: string): boolean {
  if (!/^https?:\/\/[^\s?#@]+$/i.test(endpoint)) return false;
  const url = URL.parse(endpoint);
  return url !== null && url.hostname !== '';
}

export function authorityOverHttp({ configuration: { endpointCA, endpointURL } }: Draft): Finding[] {
  if (endpointCA === undefined || !/^http:\/\//i.test(endpointURL ?? '')) return [];
  return [{ path: ENDPOINT_CA, found: 'a selector', advice: 'the CA is unused over http; use https, or remove it' }];
}

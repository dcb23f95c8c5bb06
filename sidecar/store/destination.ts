// The grammar of `destinationPath`, per provider (object-store-layout.md §1.1). Pure.
import { InvalidInputError } from '../../api/errors.ts';

export type Provider = 's3' | 'azure' | 'gcs';

const FIELD = 'spec.configuration.destinationPath';
const GCS_CONSOLE = 'https://console.cloud.google.com/storage/browser/';

/**
 * Bucket (or container) and prefix as barman reads them from the URL: S3 drops leading slashes and keeps a trailing
 * one, Azure strips nothing, Google strips both ends. Hosts `ACCOUNT.blob.<any suffix>` are Azure's cloud form.
 * Throws InvalidInputError.
 */
export function parseDestination(
  provider: Provider,
  destinationPath: string,
): {
  bucket: string;
  prefix: string;
} {
  if (provider === 's3') return parseS3(destinationPath);
  if (provider === 'azure') {
    const { bucket, prefix } = parseAzureDestination(destinationPath);
    return { bucket, prefix };
  }
  return parseGoogle(destinationPath);
}

function parseS3(url: string) {
  const match = /^s3:\/\/([^/?#]+)([^?#]*)/i.exec(url);
  if (match?.[1] === undefined) throw new InvalidInputError(FIELD, url, 'write s3://BUCKET or s3://BUCKET/PREFIX');
  return { bucket: match[1], prefix: (match[2] ?? '').replace(/^\/+/, '') };
}

function parseGoogle(url: string) {
  const rewritten = url.startsWith(GCS_CONSOLE) ? `gs://${url.slice(GCS_CONSOLE.length)}` : url;
  const match = /^gs:\/\/([^/?#]+)([^?#]*)/i.exec(rewritten);
  if (match?.[1] === undefined) {
    throw new InvalidInputError(FIELD, url, `write gs://BUCKET[/PREFIX] or ${GCS_CONSOLE}BUCKET[/PREFIX]`);
  }
  return { bucket: match[1], prefix: (match[2] ?? '').replace(/^\/+|\/+$/g, '') };
}

/**
 * What an Azure URL names: container, prefix, account, and the address of the account. In the cloud form
 * (`ACCOUNT.blob.…`) the account is in the host and the address is HTTPS whatever the URL says, as in barman; otherwise
 * the first segment of the path is the account. Throws InvalidInputError.
 */
export function parseAzureDestination(url: string): {
  bucket: string;
  prefix: string;
  account: string;
  endpoint: string;
} {
  const advice =
    'write https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX] or http://HOST:PORT/ACCOUNT/CONTAINER[/PREFIX]';
  const match = /^(https?):\/\/([^/?#]+)([^?#]*)/i.exec(url);
  const [, scheme = '', authority = '', path = ''] = match ?? [];
  if (match === null) throw new InvalidInputError(FIELD, url, advice);
  const inCloud = /^([^.]+)\.blob\..+/i.exec(authority);
  const [first = '', ...segments] = path.split('/').slice(1);
  const [bucket = '', ...prefix] = inCloud ? [first, ...segments] : segments;
  if (bucket === '') throw new InvalidInputError(FIELD, url, advice);
  const endpoint = inCloud ? `https://${authority}` : `${scheme.toLowerCase()}://${authority}/${first}`;
  return { bucket, prefix: prefix.join('/'), account: inCloud?.[1] ?? first, endpoint };
}

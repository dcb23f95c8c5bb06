// Where a store keeps its data, in words that can be compared later: a Backup object outlives the settings of its
// ObjectStore. Pure.
import type { ObjectStore } from '../../api/objectstore.ts';

/**
 * `s3://bucket/prefix at https://host`. A trailing slash makes no other place, nor does the spelling of a host; credentials
 * in an address are left out. `ambientEndpoint` is the one that counts for S3 when the ObjectStore names none.
 */
export function destinationOf({ spec }: ObjectStore, ambientEndpoint: string | undefined): string {
  const { destinationPath, endpointURL, s3Credentials } = spec.configuration;
  const path = withoutSlash(destinationPath);
  const endpoint = endpointURL || (s3Credentials === undefined ? undefined : ambientEndpoint);
  return endpoint ? `${path} at ${addressOf(endpoint)}` : path;
}

function addressOf(endpoint: string): string {
  if (!/^https?:/i.test(endpoint) || !URL.canParse(endpoint)) return 'an endpoint that is no URL';
  const { protocol, host, pathname } = new URL(endpoint);
  return withoutSlash(`${protocol}//${host}${pathname}`);
}

function withoutSlash(text: string): string {
  return text.replace(/\/+$/, '');
}

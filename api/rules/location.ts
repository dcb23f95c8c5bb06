// Whether two stores are one place (objectstore-and-injection.md §2.4, CL11).
import type { StoreReference } from '../parameters.ts';
import { childOf } from '../schema.ts';

/**
 * Endpoint and destination of a configuration in a form that compares: scheme and host in lower case, no slash before the
 * folder and none behind it. Takes any JSON; undefined when no destination is named.
 */
export function locationOf(configuration: unknown): string | undefined {
  const [destination, endpoint] = [childOf(configuration, 'destinationPath'), childOf(configuration, 'endpointURL')];
  if (typeof destination !== 'string' || destination === '') return undefined;
  return `${normalizeEndpoint(endpoint)} ${normalizeDestination(destination)}`;
}

function normalizeDestination(url: string): string {
  const [, scheme = '', host = '', path = ''] = /^([a-z][a-z0-9+.-]*:\/\/)?([^/]*)\/*(.*)$/is.exec(url) ?? [];
  return `${scheme.toLowerCase()}${host.toLowerCase()}/${path.replace(/\/$/, '')}`;
}

function normalizeEndpoint(endpoint: unknown): string {
  if (typeof endpoint !== 'string' || endpoint === '') return '';
  return (URL.parse(endpoint)?.href ?? endpoint).replace(/\/$/, '');
}

/** Where a server's WAL and base backups go: a reference, from a namespace, with the location when it is known. */
export type Place = StoreReference & { namespace: string; location: string | undefined };

/** One store of one namespace is one place, whatever is known of it. */
export function isSamePlace(one: Place, other: Place): boolean {
  if (one.serverName !== other.serverName) return false;
  if (one.namespace === other.namespace && one.objectStore === other.objectStore) return true;
  return one.location !== undefined && one.location === other.location;
}

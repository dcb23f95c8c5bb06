// The JSON documents that the operator sends inside its requests (cnpg-i-contract.md §8).
import { InvalidInputError, messageOf } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';

/** Reads `cluster_definition`; throws InvalidInputError unless it is an object with a name and a spec. */
export function decodeCluster(bytes: Uint8Array): Cluster {
  return decode<Cluster>('cluster_definition', bytes);
}

/** Reads `backup_definition`; throws InvalidInputError unless it is an object with a name and a spec. */
export function decodeBackup(bytes: Uint8Array): Backup {
  return decode<Backup>('backup_definition', bytes);
}

/** Lenient like upstream: group, version and unknown fields do not matter, so that renamed operators work. */
function decode<T extends Cluster | Backup>(field: string, bytes: Uint8Array): T {
  const document = parse(field, bytes);
  if (!isObject(document)) throw new InvalidInputError(field, describe(document), 'send a JSON object');
  const { metadata, spec } = document;
  const name = isObject(metadata) ? metadata.name : undefined;
  if (typeof name !== 'string' || name === '') {
    throw new InvalidInputError(`${field}: metadata.name`, name, 'send the name of the object');
  }
  if (!isObject(spec)) throw new InvalidInputError(`${field}: spec`, describe(spec), 'send the spec of the object');
  return document as T;
}

/** The document itself never enters a message: it may hold anything that a user wrote into it. */
function parse(field: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    const place = /at position \d+/.exec(messageOf(error))?.[0];
    const found = `${bytes.length} bytes that are not JSON${place === undefined ? '' : ` (${place})`}`;
    throw new InvalidInputError(field, found, 'send a JSON object', { cause: error });
  }
}

function describe(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// The resource of an object in the JSON API, as the port tells of it. Pure.
import type { ObjectInfo } from './store.ts';

/** What is asked of the store about an object. */
export const OBJECT_FIELDS = 'name,size,generation,timeCreated,crc32c,metadata';

/** What the store tells of an object. */
export type GcsObject = {
  info: ObjectInfo;
  /** Base64 of four bytes; undefined where the store does not tell. */
  crc32c: string | undefined;
};

/**
 * Reads a resource. The ETag of the port is the generation: it names the content alone, and conditions and reads take it.
 */
export function gcsObject(resource: Record<string, unknown>): GcsObject {
  const info = {
    key: textOf(resource.name) ?? '',
    sizeBytes: Number(textOf(resource.size) ?? 0),
    etag: textOf(resource.generation) ?? '',
    lastModified: new Date(textOf(resource.timeCreated) ?? 0),
    metadata: lowerCased(resource.metadata),
  };
  return { info, crc32c: textOf(resource.crc32c) };
}

/** As objects are listed. */
export function listedObject(resource: Record<string, unknown>): ObjectInfo {
  const { metadata: _metadata, ...info } = gcsObject(resource).info;
  return info;
}

function lowerCased(metadata: unknown): Record<string, string> {
  if (typeof metadata !== 'object' || metadata === null) return {};
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key.toLowerCase(), String(value)]));
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

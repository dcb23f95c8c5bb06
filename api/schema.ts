// The part of JSON Schema that Kubernetes understands in a CRD (structural schemas), and nothing else.

export type Schema = {
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  required?: string[];
  enum?: string[];
  pattern?: string;
  minLength?: number;
  minimum?: number;
  format?: 'int32' | 'date-time';
  default?: string | number | boolean;
  anyOf?: Schema[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-map-type'?: 'atomic';
  'x-kubernetes-list-type'?: 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: CelRule[];
};

export type CelRule = { rule: string; message: string; reason?: string; fieldPath?: string };

/**
 * What the API server makes of a document before it checks it: fields that the schema does not know are pruned, nulls
 * are dropped (objectstore-and-injection.md §1.4, §1.6). Never deeper than the schema, whatever the document.
 */
export function prune(value: unknown, schema: Schema): unknown {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => prune(item, items));
  }
  if (!isFields(value)) return value;
  const { properties, additionalProperties } = schema;
  if (properties === undefined && additionalProperties === undefined) return value;
  const kept = Object.entries(value).flatMap(([key, item]) => {
    const known = fieldSchema(schema, key);
    return known === undefined || item === null ? [] : [[key, prune(item, known)] as const];
  });
  return Object.fromEntries(kept);
}

/** The schema of one field of an object; undefined when the field is not known. */
export function fieldSchema(schema: Schema, key: string): Schema | undefined {
  const { properties, additionalProperties } = schema;
  return properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
}

/** Whether a value is a JSON object: neither null nor a list. */
export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of a value that may be anything; undefined when there is none. */
export function childOf(parent: unknown, key: string): unknown {
  return isFields(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
}

/** The keys that a JSON pointer (RFC 6901) goes through. */
export function pointerKeys(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}

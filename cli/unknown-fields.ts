// Fields that an ObjectStore does not have. The API server drops them without a word before any webhook sees them, so
// only the file shows them.
import { OBJECTSTORE_SPEC_SCHEMA } from '../api/objectstore-schema.ts';
import { nearest } from '../api/rules/near-miss.ts';
import { keyPath } from '../api/rules/show.ts';
import { childOf, fieldSchema, isFields, type Schema } from '../api/schema.ts';

export type UnknownField = { path: string; message: string };

/** Takes any JSON value; looks below `spec` only. */
export function unknownFields(objectStore: unknown): UnknownField[] {
  return [...walk(childOf(objectStore, 'spec'), OBJECTSTORE_SPEC_SCHEMA, 'spec')];
}

function* walk(value: unknown, schema: Schema, path: string): Generator<UnknownField> {
  const { items, properties } = schema;
  if (Array.isArray(value) && items !== undefined) {
    for (const [index, item] of value.entries()) yield* walk(item, items, `${path}[${index}]`);
  }
  if (!isFields(value) || properties === undefined) return;
  for (const [key, field] of Object.entries(value)) {
    const known = fieldSchema(schema, key);
    const place = /^\w{1,60}$/.test(key) ? `${path}.${key}` : keyPath(path, key);
    if (known !== undefined) yield* walk(field, known, place);
    else yield { path: place, message: `unknown field, dropped by the API server${hint(key, properties)}` };
  }
}

/** A slip of the pen, or a field that stands at another place. */
function hint(key: string, properties: Record<string, Schema>): string {
  const meant = nearest(key, Object.keys(properties));
  if (meant !== undefined) return `; did you mean ${meant}?`;
  const elsewhere = placesOf(key, OBJECTSTORE_SPEC_SCHEMA, 'spec');
  return elsewhere.length === 1 ? `; it belongs in ${elsewhere[0]}` : '';
}

function placesOf(key: string, { properties = {} }: Schema, path: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => [
    ...(name === key ? [`${path}.${name}`] : []),
    ...placesOf(key, schema, `${path}.${name}`),
  ]);
}

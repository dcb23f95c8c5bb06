// Checks of parsed JSON against what our types say, so that no patch is ever made from half-understood input.
import { InvalidInputError } from '../api/errors.ts';

/** Throws InvalidInputError, naming the path, when the value is not of its shape. Unknown fields are always fine. */
export type Shape = (value: unknown, path: string) => void;

const MAX_SHOWN = 80;

/** Of objects and namespaces, as the API server accepts them (RFC 1123); anything else would mean another path to it. */
const OBJECT_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export const text: Shape = (value, path) => {
  if (typeof value !== 'string') throw mismatch(path, value, 'must be a string');
};

export const name: Shape = (value, path) => {
  if (typeof value !== 'string' || value === '') throw mismatch(path, value, 'must be a name that is not empty');
};

export const objectName: Shape = (value, path) => {
  if (!isObjectName(value)) throw mismatch(path, value, 'must be a name of small letters, digits, dots and dashes');
};

/** Whether an object can have such a name at all. */
export function isObjectName(value: unknown): value is string {
  return typeof value === 'string' && OBJECT_NAME.test(value);
}

export const flag: Shape = (value, path) => {
  if (typeof value !== 'boolean') throw mismatch(path, value, 'must be true or false');
};

/** Missing, or null as Go writes it, or of the shape. */
export function optional(shape: Shape): Shape {
  return (value, path) => {
    if (value !== undefined && value !== null) shape(value, path);
  };
}

export function listOf(shape: Shape): Shape {
  return (value, path) => {
    if (!Array.isArray(value)) throw mismatch(path, value, 'must be a list');
    for (const [index, item] of value.entries()) shape(item, `${path}[${index}]`);
  };
}

export function mapOf(shape: Shape): Shape {
  return (value, path) => {
    for (const [key, item] of Object.entries(fieldsOf(value, path))) shape(item, `${path}.${shortened(key)}`);
  };
}

export function object(fields: Record<string, Shape>): Shape {
  return (value, path) => {
    const found = fieldsOf(value, path);
    for (const [key, shape] of Object.entries(fields)) shape(found[key], `${path}.${key}`);
  };
}

/** The value found, short enough for a message; never the content of an object. */
export function mismatch(path: string, value: unknown, advice: string): InvalidInputError {
  return new InvalidInputError(path, shown(value), advice);
}

function shown(value: unknown): unknown {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? shortened(value) : value;
}

/** For messages, which travel in a header. */
export function shortened(value: string): string {
  return value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
}

/** The fields of an object; anything else is a mismatch. */
export function fieldsOf(value: unknown, path: string): Record<string, unknown> {
  if (isObject(value)) return value;
  throw mismatch(path, value, 'must be an object');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Checks of parsed JSON against what our types say, so that no patch is ever made from half-understood input.
import { InvalidInputError } from '../api/errors.ts';

/** Throws InvalidInputError, naming the path, when the value is not of its shape. Unknown fields are always fine. */
export type Shape = (value: unknown, path: string) => void;

const MAX_SHOWN = 80;

export const text: Shape = (value, path) => {
  if (typeof value !== 'string') throw mismatch(path, value, 'must be a string');
};

export const name: Shape = (value, path) => {
  if (typeof value !== 'string' || value === '') throw mismatch(path, value, 'must be a name that is not empty');
};

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
    for (const [key, item] of Object.entries(fieldsOf(value, path))) shape(item, `${path}.${key}`);
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
  return typeof value === 'string' ? value.slice(0, MAX_SHOWN) : value;
}

/** The fields of an object; anything else is a mismatch. */
export function fieldsOf(value: unknown, path: string): Record<string, unknown> {
  if (isObject(value)) return value;
  throw mismatch(path, value, 'must be an object');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
